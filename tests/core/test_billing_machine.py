"""The whole of Billing in memory through any course of events: duplicates, disorder, lost answers, late jobs."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from billing_core.domain.money import Money
from billing_core.domain.purchases import DisputeStatus, PaymentStatus, Purchase
from billing_core.errors import BillingError, PlatformRejected, PlatformUnavailable, PublishingUnavailable
from billing_core.messages import InboundMessage
from billing_core.ports.publishing import OutboxEvent
from billing_core.testing import InMemoryBilling, a_caller, a_merchant, a_merchant_created, a_purchase_updated
from billing_core.use_cases.create_purchase import PurchaseRequest
from billing_core.use_cases.inbound import Done, Parked, Retry

# Two of the merchants are one shop, installed a second time.
SHOPS = {"m-0": "shop-a", "m-1": "shop-a", "m-2": "shop-b"}
MERCHANTS = {each: a_merchant(each, platform_account_id=shop) for each, shop in SHOPS.items()}
ANNOUNCED = {each: a_merchant_created(merchant, message_id=f"a-{each}") for each, merchant in MERCHANTS.items()}
merchants = st.sampled_from(sorted(SHOPS))
keys = st.sampled_from(["key-1", "key-2", "key-3"])
places = st.integers(0, 20)


class BillingMachine(RuleBasedStateMachine):
    """Several merchants, one platform, one broker."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.billing = InMemoryBilling()
        self.notices: list[InboundMessage] = []
        self.was_paid = set[object]()
        self.recorded = dict[tuple[str, int], OutboxEvent]()  # also what the outbox was allowed to forget since

    def teardown(self) -> None:
        """This will let everything come to rest, and check that the platform's money and ours agree."""
        try:
            self.check_that_everything_paid_counts_in_the_end()
        finally:
            self.loop.close()

    # --- what merchants and other services do ----------------------------------------------------------------------

    @rule(batch=st.lists(merchants, min_size=1, max_size=4))
    def announce(self, batch: list[str]) -> None:
        """This will announce merchants, the same ones again and again."""
        outcomes = self._run(self.billing.register_merchants([ANNOUNCED[each] for each in batch]))
        assert outcomes == [Done()] * len(batch)

    @rule(merchant=merchants, key=keys)
    def start_trial(self, merchant: str, key: str) -> None:
        """This will ask for a trial; refusals are part of life."""
        self._try(self.billing.activate_trial(a_caller(MERCHANTS[merchant]), key))

    @rule(merchant=merchants, key=keys, pack=st.sampled_from(["small", "large"]), url=st.sampled_from("ab"))
    def buy(self, merchant: str, key: str, pack: str, url: str) -> None:
        """This will ask for a purchase, under a key that may have been used for this or another one."""
        request = PurchaseRequest(pack=pack, return_url=f"https://shop.example/{url}")
        self._try(self.billing.create_purchase(a_caller(MERCHANTS[merchant]), key, request))

    # --- what the platform and its customers do --------------------------------------------------------------------

    @rule(rejects=st.booleans(), after_effect=st.booleans())
    def checkout_fails_next(self, rejects: bool, after_effect: bool) -> None:
        """This will make the next checkout be refused, or its answer be lost."""
        error = PlatformRejected("sandbox", "no") if rejects else PlatformUnavailable("sandbox", "no answer")
        self.billing.platform.fail("create_checkout", error, after_effect=after_effect and not rejects)

    @rule(times=st.integers(1, 3))
    def looking_up_fails_next(self, times: int) -> None:
        """This will make the platform be away for some questions."""
        self.billing.platform.fail("look_up", PlatformUnavailable("sandbox", "no answer"), times=times)

    @precondition(lambda self: self.billing.platform.payments)
    @rule(place=places, what=st.sampled_from(["pay", "pay", "pay", "decline", "process", "expire", "fail_payment"]))
    def customer_acts(self, place: int, what: str) -> None:
        """This will pay, decline or leave a checkout; what was paid stays paid, as at every platform."""
        reference = self._reference(place)
        if self.billing.platform.payments[reference].status is not PaymentStatus.PAID:
            getattr(self.billing.platform, what)(reference)

    @precondition(lambda self: self.billing.platform.payments)
    @rule(place=places)
    def pays_another_amount(self, place: int) -> None:
        """This will have a checkout paid with a cent too little."""
        reference = self._reference(place)
        payment = self.billing.platform.payments[reference]
        if payment.status is not PaymentStatus.PAID:
            cents = payment.purchase.offer.price.amount_minor - 1
            self.billing.platform.pay(reference, price=Money(amount_minor=cents, currency="USD"))

    @precondition(lambda self: self.billing.platform.payments)
    @rule(place=places, cents=st.sampled_from([1, 333, 999]), dispute=st.sampled_from([None, *DisputeStatus]))
    def money_goes_back(self, place: int, cents: int, dispute: DisputeStatus | None) -> None:
        """This will refund, or open, win or lose a dispute."""
        reference = self._reference(place)
        if dispute is None:
            self.billing.platform.refund(reference, cents)
        else:
            self.billing.platform.dispute(reference, dispute)

    @rule(fresh=st.lists(places, max_size=2), repeated=st.lists(places, max_size=3), backwards=st.booleans())
    def notices_arrive(self, fresh: list[int], repeated: list[int], backwards: bool) -> None:
        """This will deliver notices in one batch: new ones, old ones again, in any order, about known and unknown."""
        references = [*sorted(self.billing.platform.payments), "nobody's"]
        new = [a_purchase_updated(references[place % len(references)]) for place in fresh]
        batch = new + [self.notices[place % len(self.notices)] for place in repeated if self.notices]
        self.notices.extend(new)
        outcomes = self._run(self.billing.handle_webhooks(batch[::-1] if backwards else batch))
        assert len(outcomes) == len(batch)
        assert all(isinstance(outcome, Done | Retry | Parked) for outcome in outcomes)

    # --- what happens by itself ------------------------------------------------------------------------------------

    @rule(step=st.sampled_from([timedelta(minutes=1), timedelta(hours=5), timedelta(days=3), timedelta(days=40)]))
    def time_passes(self, step: timedelta) -> None:
        """This will move the clock, perhaps past every deadline."""
        self.billing.clock.advance(step)

    @rule()
    def jobs_run(self) -> None:
        """This will run what is due."""
        outcomes = self._run(self.billing.jobs())
        assert [outcome.error for outcome in outcomes if outcome.error is not None] == []

    @rule(confirmed=st.sampled_from([None, 0, 1, 2]))
    def events_are_relayed(self, confirmed: int | None) -> None:
        """This will relay, with a broker that may break off."""
        if confirmed is not None:
            self.billing.publisher.fail_after(confirmed)
        with suppress(PublishingUnavailable):  # what was not confirmed goes out next time
            self._run(self.billing.relay_events())

    # --- what must hold --------------------------------------------------------------------------------------------

    @invariant()
    def each_payment_is_announced_once_as_it_is_recorded(self) -> None:
        """Exactly one credits.purchased for each paid purchase, with the record's data, and none for any other."""
        told = self._told("evt.billing.credits.purchased")
        paid = {str(each.purchase_id): each for each in self._purchases() if each.is_paid}
        assert sorted(data["purchase_id"] for data in told) == sorted(paid)
        for data in told:
            purchase = paid[data["purchase_id"]]
            assert (data["merchant_id"], data["pack"]) == (purchase.merchant_id, purchase.offer.pack)
            assert (data["credits"], data["bonus_credits"]) == (purchase.offer.credits, purchase.offer.bonus_credits)
            assert data["price"]["amount_minor"] == purchase.offer.price.amount_minor
            assert (data["late"], data["test"]) == (purchase.late, purchase.test)

    @invariant()
    def what_was_paid_stays_paid(self) -> None:
        """No purchase ever leaves the paid statuses."""
        paid = {each.purchase_id for each in self._purchases() if each.is_paid}
        assert self.was_paid <= paid
        self.was_paid |= paid

    @invariant()
    def credits_taken_back_add_up(self) -> None:
        """Reversed less restored, by purchase, is what the record says."""
        taken: dict[str, int] = defaultdict(int)
        for sign, kind in ((1, "reversed"), (-1, "restored")):
            for data in self._told(f"evt.billing.credits.{kind}"):
                taken[data["purchase_id"]] += sign * data["credits"]
        for purchase in self._purchases():
            assert taken[str(purchase.purchase_id)] == purchase.credits_reversed

    @invariant()
    def a_shop_has_one_trial(self) -> None:
        """Whatever merchant ids it came under, and each trial's facts are told once."""
        started = self._told("evt.billing.trial.started")
        shops = [SHOPS[data["merchant_id"]] for data in started]
        assert len(shops) == len(set(shops))
        for once in ("expired", "converted", "refused"):
            trials = [data["trial_id"] for data in self._told(f"evt.billing.trial.{once}")]
            assert len(trials) == len(set(trials))

    @invariant()
    def events_are_published_in_order_without_gaps(self) -> None:
        """Each merchant's events by their sequence from 1, each id once."""
        sequences: dict[str, list[int]] = defaultdict(list)
        for event in self.billing.published:
            sequences[event.merchant_id].append(event.sequence)
        assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in sequences.values())
        ids = [event.event_id for event in self._recorded()]
        assert len(ids) == len(set(ids))

    @invariant()
    def histories_have_no_gaps(self) -> None:
        """Every purchase's changes are numbered from 1 to its version."""
        numbers: dict[object, list[int]] = defaultdict(list)
        for subject_id, number in self.billing.storage.tables.changes:
            numbers[subject_id].append(number)
        for purchase in self._purchases():
            assert sorted(numbers[purchase.purchase_id]) == list(range(1, purchase.version + 1))

    def check_that_everything_paid_counts_in_the_end(self) -> None:
        """Once the platform answers and its notices arrive, every matching payment of a claimed purchase is paid."""
        platform = self.billing.platform
        for reference in sorted(platform.payments):
            while isinstance(outcome := self._run(self.billing.notify(reference)), Retry):
                if outcome.reason == "no purchase has this reference yet":
                    break  # its create was never answered; the reconciler or a retry will find it
        by_id = {each.purchase_id: each for each in self._purchases()}
        for (_, reference), purchase_id in self.billing.storage.tables.payment_claims.items():
            payment, purchase = platform.payments[reference], by_id[purchase_id]
            if payment.status is PaymentStatus.PAID:
                matches = payment.price == purchase.offer.price
                assert (purchase.is_paid, purchase.needs_review) == (matches, not matches)
        self.each_payment_is_announced_once_as_it_is_recorded()
        self.events_are_relayed(None)
        self.events_are_relayed(None)  # the broker may have been told to break off once more
        assert {event.event_id for event in self.billing.published} == {event.event_id for event in self._recorded()}
        self.events_are_published_in_order_without_gaps()

    # --- how -------------------------------------------------------------------------------------------------------

    def _run(self, act: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(act)

    def _try(self, act: Coroutine[Any, Any, Any]) -> None:
        with suppress(BillingError):  # a refusal is an answer; anything else is a fault
            self._run(act)

    def _reference(self, place: int) -> str:
        references = sorted(self.billing.platform.payments)
        return references[place % len(references)]

    def _purchases(self) -> list[Purchase]:
        tables = self.billing.storage.tables
        return [*tables.purchases.values(), *tables.archive.values()]

    def _told(self, kind: str) -> list[dict[str, Any]]:
        return [json.loads(event.body)["data"] for event in self._recorded() if event.type == kind]

    def _recorded(self) -> list[OutboxEvent]:
        """Every event ever recorded, in the order of its recording."""
        for key, row in self.billing.storage.tables.outbox.items():
            assert self.recorded.setdefault(key, row.event) == row.event
        return list(self.recorded.values())


BillingMachine.TestCase.settings = settings(max_examples=20, stateful_step_count=25)
TestBillingMachine = BillingMachine.TestCase
