"""Any course of events: merchant, customer, platform, relay, reconciler and operator, in any order."""

import asyncio
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Literal
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.machine.oracle import Oracle, money_and_credits_agree, open_ones_are_unpaid
from tests.machine.world import MERCHANTS, OPERATOR, SHOPS, Books, Storage, World, settled

from billing_core.domain.events import Change
from billing_core.domain.payments import DisputeStatus, PaymentStatus
from billing_core.domain.purchases import UNPAID_ENDS, Purchase
from billing_core.errors import (
    PlatformAuthError,
    PlatformError,
    PlatformProtocolError,
    PlatformRejected,
    PlatformThrottled,
    PlatformUnavailable,
)
from billing_core.ports.clock import Clock
from billing_core.testing import a_caller, a_merchant_created
from billing_core.testing.scripted_platform import Verb
from billing_core.use_cases.create_purchase import PurchaseRequest
from billing_core.use_cases.inbound import Done

merchants = st.sampled_from(sorted(SHOPS))
keys = st.sampled_from(["key-1", "key-2", "key-3"])
packs = st.sampled_from(["small", "large"])
places = st.integers(0, 20)
namings = st.sampled_from(
    [("reference",), ("reference", "purchase"), ("purchase",), ("payment",), ("payment", "purchase", "account")]
)
Fault = type[PlatformError]
faults = st.sampled_from([PlatformUnavailable, PlatformThrottled, PlatformAuthError, PlatformProtocolError])
steps = st.sampled_from([timedelta(minutes=2), timedelta(hours=5), timedelta(days=3), timedelta(days=91)])
ways_to_pay_wrongly: list[Literal["a cent less", "another account", "without details"]] = [
    "a cent less",
    "another account",
    "without details",
]
JOBS = ["reconcile_purchases", "expire_purchases", "follow_refunds", "archive_purchases", "expire_trials"]


class BillingMachine(RuleBasedStateMachine):
    """Several merchants, two platforms, one broker, and a storage."""

    def __init__(self, runner: asyncio.Runner, storage: Callable[[Clock], Storage]) -> None:
        super().__init__()
        self.world = World(runner, storage)
        self.billing = self.world.billing
        self.oracle = Oracle(self.world)

    def teardown(self) -> None:
        """This will let everything come to rest, and check that the platforms' money and ours agree."""
        try:
            if sys.exc_info()[0] is None:  # what broke a rule already is not checked again
                self.come_to_rest()
        finally:
            self.world.close()

    # --- what merchants and other services do ----------------------------------------------------------------------

    @initialize(unknown=st.lists(merchants, max_size=1), lost=st.booleans(), pack=packs)
    def begin(self, unknown: list[str], lost: bool, pack: str) -> None:
        """This will announce the merchants, but perhaps one, and have them buy; perhaps no answer comes."""
        known = [each for each in SHOPS if each not in unknown]
        self.announce(known)
        for each in known if lost else ():
            self.checkout_fails_next(SHOPS[each][0], rejects=False, after_effect=True)
        for each in known:
            self.buy(each, "key-1", pack, "a", slowly=False)

    @rule(batch=st.lists(merchants, min_size=1, max_size=3))
    def announce(self, batch: list[str]) -> None:
        """This will announce merchants, the same ones again and again."""
        messages = [a_merchant_created(MERCHANTS[each], message_id=f"a-{each}") for each in batch]
        assert self.world.run(self.billing.register_merchants(messages)) == [Done()] * len(batch)

    @rule(merchant=merchants, key=keys)
    def start_trial(self, merchant: str, key: str) -> None:
        """This will ask for a trial; refusals are part of life."""
        self.world.attempt(self.billing.activate_trial(a_caller(MERCHANTS[merchant]), key))

    @rule(merchant=merchants, key=keys, pack=packs, url=st.sampled_from("ab"), slowly=st.booleans())
    def buy(self, merchant: str, key: str, pack: str, url: str, slowly: bool) -> None:
        """This will ask for a purchase, under a key that may have been used; the platform may take its time."""
        work = self.world.buy(merchant, key, PurchaseRequest(pack=pack, return_url=f"https://shop.example/{url}"))
        if slowly:
            self.world.start(work, SHOPS[merchant][0], "create_checkout")
        else:
            self.world.attempt(work)

    # --- what platforms and their customers do ---------------------------------------------------------------------

    @rule(platform=st.sampled_from(["stripe", "shopify"]), rejects=st.booleans(), after_effect=st.booleans())
    def checkout_fails_next(self, platform: str, rejects: bool, after_effect: bool) -> None:
        """This will make the next checkout be refused, or its answer be lost."""
        error = PlatformRejected(platform, "no") if rejects else PlatformUnavailable(platform, "no answer")
        after_effect = after_effect and not rejects
        self.world.platforms[platform].fail("create_checkout", error, after_effect=after_effect)

    @rule(
        platform=st.sampled_from(["stripe", "shopify"]),
        verb=st.sampled_from(["look_up", "find_checkout", "trace_payment", "cancel_checkout", "refunds"]),
        fault=faults,
        times=st.integers(1, 2),
        after_effect=st.booleans(),
    )
    def asking_fails_next(self, platform: str, verb: Verb, fault: Fault, times: int, after_effect: bool) -> None:
        """This will make the platform be in trouble for some questions."""
        error = fault(platform, "trouble", retry_after_s=7)
        self.world.platforms[platform].fail(verb, error, times=times, after_effect=after_effect)

    @precondition(lambda self: self.world.references(paid=False))
    @rule(place=places, what=st.sampled_from(["pay", "pay", "pay", "decline", "process", "expire", "fail_payment"]))
    def customer_acts(self, place: int, what: str) -> None:
        """This will pay, decline or leave a checkout; what was paid stays paid, as at every platform."""
        platform, reference = self.world.payment(place, paid=False)
        getattr(platform, what)(reference)

    @precondition(lambda self: self.world.references(paid=False))
    @rule(place=places, wrongly=st.sampled_from(ways_to_pay_wrongly), test=st.booleans())
    def customer_pays_wrongly(self, place: int, wrongly: str, test: bool) -> None:
        """This will have a checkout paid with a cent too little, from elsewhere, or nobody knows what and by whom."""
        platform, reference = self.world.payment(place, paid=False)
        if wrongly == "a cent less" or not platform.tells_refunds:
            price = platform.payments[reference].purchase.offer.price
            platform.pay(reference, price=replace(price, amount_minor=price.amount_minor - 1), test=test)
        elif wrongly == "another account":
            platform.pay(reference, account_id="somebody-else")
        else:
            platform.pay_without_details(reference)

    @precondition(lambda self: self.world.rivals())
    @rule(place=places, backwards=st.booleans())
    def customer_pays_twice(self, place: int, backwards: bool) -> None:
        """This will pay every checkout that was made of one purchase, and the notices arrive."""
        rivals = self.world.rivals()[place % len(self.world.rivals())]
        for reference in rivals[::-1] if backwards else rivals:
            platform = self.world.platforms[self.world.payments[reference].purchase.platform]
            if platform.payments[reference].status is not PaymentStatus.PAID:
                platform.pay(reference)
            self.world.run(self.world.deliver([self.world.notice(reference, ("reference", "purchase"))]))

    @precondition(lambda self: self.world.references(paid=True))
    @rule(
        place=places,
        cents=st.sampled_from([1, 333, 999, 10_000]),
        dispute=st.sampled_from([None, None, *DisputeStatus]),
        heard=st.booleans(),
    )
    def money_goes_back(self, place: int, cents: int, dispute: DisputeStatus | None, heard: bool) -> None:
        """This will refund, or open, win or lose a dispute, of what was paid; perhaps the notice arrives."""
        platform, reference = self.world.payment(place, paid=True)
        if dispute is None:
            platform.refund(reference, cents)
        else:
            platform.dispute(reference, dispute)
        if heard:
            self.world.run(self.world.deliver([self.world.notice(reference, ("payment",))]))

    # --- what the relay of webhooks does ---------------------------------------------------------------------------

    @precondition(lambda self: self.world.payments)
    @rule(
        fresh=st.lists(st.tuples(places, namings), min_size=1, max_size=4),
        old=st.lists(places, max_size=3),
        backwards=st.booleans(),
    )
    def notices_arrive(self, fresh: list[tuple[int, tuple[str, ...]]], old: list[int], backwards: bool) -> None:
        """This will deliver notices in one batch: new ones, old ones again, in any order. Whatever is told by none
        was dropped."""
        new = [self.world.notice(self.world.payment(place)[1], naming) for place, naming in fresh]
        batch = [*new, *(self.world.notices[place % len(self.world.notices)] for place in old if self.world.notices)]
        self.world.notices.extend(new)
        self.world.run(self.world.deliver(batch[::-1] if backwards else batch))

    @precondition(lambda self: self.world.payments)
    @rule(place=places, naming=namings)
    def notice_waits_for_the_platform(self, place: int, naming: tuple[str, ...]) -> None:
        """This will deliver a notice about which the platform's answer is long on its way."""
        platform, reference = self.world.payment(place)
        notice = self.world.notice(reference, naming)
        self.world.notices.append(notice)
        self.world.start(self.world.deliver([notice]), platform.name, "look_up")

    @precondition(lambda self: self.world.slow)
    @rule(place=places)
    def slow_answer_arrives(self, place: int) -> None:
        """This will let an answer arrive that was given long ago."""
        self.world.finish(place)

    # --- what happens by itself ------------------------------------------------------------------------------------

    @rule(step=steps)
    def time_passes(self, step: timedelta) -> None:
        """This will move the clock, perhaps past every deadline."""
        self.world.clock.advance(step)

    @rule()
    def due_jobs_run(self) -> None:
        """This will run what is due; only a platform in trouble may stop a job."""
        before = self.world.read()
        outcomes = self.world.run(self.billing.jobs())
        assert all(outcome.error is None or isinstance(outcome.error, PlatformError) for outcome in outcomes)
        assert [fault for outcome in outcomes if outcome.report for fault in outcome.report.faults] == []
        self._nothing_with_money_ended(before)

    @rule(job=st.sampled_from(JOBS))
    def one_job_runs(self, job: str) -> None:
        """This will run one job out of its turn, as an operator may."""
        before = self.world.read()
        report = self.world.attempt(getattr(self.billing, job)())
        assert report is None or report.faults == ()
        self._nothing_with_money_ended(before)

    @rule(confirmed=st.sampled_from([None, 0, 1, 2]))
    def events_are_relayed(self, confirmed: int | None) -> None:
        """This will relay, with a broker that may break off."""
        if confirmed is not None:
            self.billing.publisher.fail_after(confirmed)
        self.world.relay()

    # --- what operators do -----------------------------------------------------------------------------------------

    @precondition(lambda self: self.world.payments)
    @rule(place=places, verb=st.sampled_from(["reconcile", "cancel", "accept", "dismiss"]), dry_run=st.booleans())
    def operator_acts(self, place: int, verb: str, dry_run: bool) -> None:
        """This will reconcile, call off or resolve; or only tell what that would do."""
        platform, reference = self.world.payment(place)
        self._operate(platform.payments[reference].purchase.purchase_id, verb, dry_run)

    @precondition(lambda self: any(each.needs_review for each in self.world.read().purchases.values()))
    @rule(place=places, verdict=st.sampled_from(["accept", "dismiss"]))
    def operator_resolves(self, place: int, verdict: str) -> None:
        """This will resolve one of the purchases that wait for it."""
        flagged = [each.purchase_id for each in self.world.read().purchases.values() if each.needs_review]
        self._operate(sorted(flagged)[place % len(flagged)], verdict, dry_run=False)

    def _operate(self, purchase_id: UUID, verb: str, dry_run: bool) -> None:
        before, operate = self.world.read(), self.billing.operate
        purchase = before.purchases[purchase_id]
        platform, key = self.world.platforms[purchase.platform], (purchase.merchant_id, purchase_id)
        told, kept = platform.told, dict(platform.payments)
        if verb == "reconcile":
            self.world.attempt(operate.reconcile([key], OPERATOR, dry_run=dry_run))
            self._nothing_with_money_ended(before)
        elif verb == "cancel":
            self.world.attempt(operate.cancel(key, OPERATOR, dry_run=dry_run))
        else:
            verdict: Literal["accept", "dismiss"] = "accept" if verb == "accept" else "dismiss"
            changes = self.world.attempt(operate.resolve(key, verdict, OPERATOR, dry_run=dry_run))
            if changes is None:
                platform.told = told  # refused: whatever the platform said was for the operator alone
            elif not dry_run:
                self._note_decision(told, purchase, changes)
        if dry_run:
            platform.told = told
            assert (self.world.read(), platform.payments) == (before, kept), "a dry run changed something"

    # --- what must hold --------------------------------------------------------------------------------------------

    @invariant()
    def every_rule_of_the_contract_holds(self) -> None:
        """See `Oracle`."""
        self.oracle.check(self.world.read())

    def come_to_rest(self) -> None:
        """This will have the platforms answer and check what the reconciler finds, then what every notice brings."""
        self.world.recover()
        self.world.clock.advance(timedelta(hours=7))  # whatever waited for its next check is due
        assert self.world.run(self.billing.reconcile_purchases()).faults == ()
        open_ones_are_unpaid(self.world, self._checked())
        named = ("reference", "purchase")
        assert settled(
            self.world.run(self.world.deliver([self.world.notice(each, named) for each in self.world.references()]))
        )
        self.world.run(self.billing.follow_refunds())
        for _ in range(2):  # the broker may be about to break off, once
            self.world.relay()
        books = self._checked()
        money_and_credits_agree(self.world, books)
        assert {event.event_id for event in books.events} == {each.event_id for each in self.billing.published}

    # --- how -------------------------------------------------------------------------------------------------------

    def _checked(self) -> Books:
        books = self.world.read()
        self.oracle.check(books)
        return books

    def _note_decision(self, told: Iterable[str], purchase: Purchase, changes: Sequence[Change]) -> None:
        if any(change.what == "completed" for change in changes):
            self.world.told.accepted.add(purchase.purchase_id)
        for reference in told:
            if self.world.payments[reference].purchase.purchase_id == purchase.purchase_id:
                self.world.told.decided.add(reference)

    def _nothing_with_money_ended(self, before: Books) -> None:
        """Nothing that was paid was taken for unpaid: the platform is asked first, and where it cannot be, nothing
        ends (rule 4)."""
        for purchase_id, purchase in self.world.read().purchases.items():
            if before.purchases[purchase_id].is_open and purchase.status in UNPAID_ENDS:
                platform = self.world.platforms[purchase.platform]
                asked = (
                    [purchase.platform_reference] if purchase.platform_reference else platform.references_of(purchase)
                )
                assert PaymentStatus.PAID not in {platform.payments[each].status for each in asked}
