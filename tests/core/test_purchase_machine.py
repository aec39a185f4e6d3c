"""A purchase through any life: the rules of contract 5 hold after every step."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from billing_core.domain.events import (
    Change,
    CreditsPurchased,
    CreditsRestored,
    CreditsReversed,
    Fact,
    PurchaseNeedsReview,
)
from billing_core.domain.money import Money
from billing_core.domain.payments import DisputeStatus, PaymentReport, PaymentStatus
from billing_core.domain.purchases import UNPAID_ENDS, Purchase, PurchaseDecision, PurchaseStatus, create_purchase
from billing_core.testing import MOMENT, a_merchant, an_offer, an_origin

MERCHANT, BY = a_merchant(), an_origin()
REFERENCE = "pay-1"
UNPAID = st.sampled_from([each for each in PaymentStatus if each is not PaymentStatus.PAID])


class PurchaseMachine(RuleBasedStateMachine):
    """One purchase, what the platform said of it in what order, and everything recorded."""

    purchase: Purchase

    def __init__(self) -> None:
        super().__init__()
        self.now, self.changes = MOMENT, list[Change]()
        self.newest: tuple[datetime, int, DisputeStatus] | None = None  # the newest paid report that was believed
        self.was_late: bool | None = None

    @initialize(credits_=st.integers(1, 300), bonus=st.integers(0, 30), cents=st.integers(0, 1000))
    def create(self, credits_: int, bonus: int, cents: int) -> None:
        """This will create the purchase."""
        offer = an_offer(credits=credits_, bonus_credits=bonus, price=Money(amount_minor=cents, currency="USD"))
        decision = create_purchase(
            UUID(int=1),
            MERCHANT,
            offer,
            return_url="https://shop.example",
            lifetime=timedelta(hours=2),
            test=False,
            now=self.now,
            by=BY,
        )
        self.purchase = decision.purchase
        self.changes.extend(decision.changes)

    @rule(minutes=st.sampled_from([0, 1, 59, 60, 119]))
    def time_passes(self, minutes: int) -> None:
        """This will move the clock."""
        self.now += timedelta(minutes=minutes)

    @rule(number=st.integers(1, 2))
    def checkout_made(self, number: int) -> None:
        """This will let the platform's checkout arrive, perhaps a second time with another URL."""
        self._take(self.purchase.checkout_made(REFERENCE, f"https://pay.example/{number}", self.now, BY))

    @rule()
    def fail(self) -> None:
        """This will let the platform refuse the checkout."""
        self._take(self.purchase.fail("refused", self.now, BY))

    @rule()
    def expire(self) -> None:
        """This will let the expiry job run: it ends exactly the open purchases past their deadline."""
        due = self.purchase.is_open and self.now >= self.purchase.expires_at
        decision = self.purchase.expire(self.now, BY)
        assert bool(decision.changes) == due
        self._take(decision)

    @rule()
    def check(self) -> None:
        """This will let the reconciler look: that is no change."""
        if self.purchase.is_open:
            check_at = self.purchase.next_check(self.now, self.purchase.expires_at)
            assert check_at > self.now
            self.purchase = replace(self.purchase, check_at=check_at)

    @rule(status=UNPAID, refunded=st.integers(0, 50))
    def reported_unpaid(self, status: PaymentStatus, refunded: int) -> None:
        """This will deliver an unpaid report: one that is not open stays as it is, or asks for a person."""
        was_open, before = self.purchase.is_open, self.purchase
        self._take(self._settle(status=status, refunded_minor=refunded, price=None, platform_account_id=None))
        assert was_open or _unreviewed(self.purchase) == _unreviewed(before)

    @rule(
        refunded=st.integers(0, 1100),
        dispute=st.sampled_from(DisputeStatus),
        seconds_ago=st.sampled_from([0, 0, 30, 3600]),
        twice=st.booleans(),
    )
    def reported_paid(self, refunded: int, dispute: DisputeStatus, seconds_ago: int, twice: bool) -> None:
        """This will deliver a true report of payment, fresh or stale, once or twice."""
        observed_at = self.now - timedelta(seconds=seconds_ago)
        first_payment, was_late = not self.purchase.is_paid, self.purchase.status in UNPAID_ENDS
        for _ in range(1 + twice):
            self._take(self._settle(refunded_minor=refunded, dispute=dispute, observed_at=observed_at))
        assert self.purchase.is_paid
        if first_payment:
            self.was_late = was_late
        if self.newest is None or observed_at >= self.newest[0]:
            self.newest = (observed_at, min(refunded, self.purchase.offer.price.amount_minor), dispute)

    @rule(what=st.sampled_from(["amount", "currency", "account", "reference"]))
    def reported_mismatch(self, what: str) -> None:
        """This will deliver a payment that is not the one offered: a person must look, and no credits move."""
        paid = self.purchase.is_paid
        if what == "reference":
            if self.purchase.platform_reference is None:
                return
            decision = self._settle(platform_reference="pay-2", refunded_minor=1)
        elif paid:
            return
        elif what == "account":
            decision = self._settle(platform_account_id="another")
        else:
            price = self.purchase.offer.price
            amount = price.amount_minor + (what == "amount")
            decision = self._settle(price=Money(amount_minor=amount, currency="USD" if what == "amount" else "EUR"))
        assert decision.purchase.needs_review
        assert decision.purchase.status is self.purchase.status
        assert all(isinstance(change.fact, PurchaseNeedsReview) for change in decision.changes)
        self._take(decision)

    @invariant()
    def credits_are_purchased_once_by_exactly_the_paid(self) -> None:
        """One credits.purchased per payment for ever, with what was offered and the right `late`."""
        granted = [fact for fact in self._facts() if isinstance(fact, CreditsPurchased)]
        assert len(granted) == (1 if self.purchase.is_paid else 0)
        for fact in granted:
            offer = self.purchase.offer
            assert (fact.credits, fact.bonus_credits) == (offer.credits, offer.bonus_credits)
            assert fact.price.amount_minor == offer.price.amount_minor
            assert fact.late == self.purchase.late == self.was_late
            assert fact.completed_at == self.purchase.completed_at

    @invariant()
    def credits_reversed_follow_the_newest_report(self) -> None:
        """`ceil(total × refunded / paid)`, all of them while disputed or lost, and the events add up to it."""
        taken = sum(fact.credits for fact in self._facts() if isinstance(fact, CreditsReversed))
        given = sum(fact.credits for fact in self._facts() if isinstance(fact, CreditsRestored))
        assert taken - given == self.purchase.credits_reversed
        if self.newest is not None:
            _, refunded, dispute = self.newest
            total, paid = self.purchase.offer.total_credits, self.purchase.offer.price.amount_minor
            share = (total * refunded + paid - 1) // paid if paid else 0
            whole = dispute in (DisputeStatus.OPEN, DisputeStatus.LOST)
            assert self.purchase.credits_reversed == (total if whole else share)
            assert self.purchase.status is _paid_status(paid, refunded, dispute)

    @invariant()
    def payment_stays(self) -> None:
        """Once paid, no later status is an unpaid one."""
        paid = [
            PurchaseStatus(change.status_after) not in {*UNPAID_ENDS, "created", "pending"} for change in self.changes
        ]
        assert paid == sorted(paid)

    @invariant()
    def history_is_one_chain_without_gaps(self) -> None:
        """Numbers count from 1, each change starts where the one before ended, and the version is the last number."""
        numbers = [change.number for change in self.changes]
        assert numbers == list(range(1, self.purchase.version + 1))
        befores = [change.status_before for change in self.changes]
        assert befores == [None, *(change.status_after for change in self.changes)][: len(befores)]
        assert self.purchase.status == self.changes[-1].status_after

    @invariant()
    def event_ids_are_distinct(self) -> None:
        """No two facts share an id, so no broker takes one for the other."""
        ids = [change.event_id for change in self.changes if change.fact is not None]
        assert len(set(ids)) == len(ids)

    @invariant()
    def one_url_is_handed_out(self) -> None:
        """The first checkout's, if any; whether it is shown depends on the clock alone."""
        assert self.purchase.is_usable(self.now) == (self.purchase.is_open and self.now < self.purchase.expires_at)
        assert len([change for change in self.changes if change.what == "pending"]) == bool(self.purchase.checkout_url)

    def _settle(self, **values: object) -> PurchaseDecision:
        fields: dict[str, object] = {
            "platform_reference": REFERENCE,
            "status": PaymentStatus.PAID,
            "observed_at": self.now,
            "price": self.purchase.offer.price,
            "platform_account_id": MERCHANT.platform_account_id,
        }
        return self.purchase.settle(PaymentReport(**fields | values), self.now, BY)  # type: ignore[arg-type] # by name

    def _take(self, decision: PurchaseDecision) -> None:
        assert decision.purchase.version == self.purchase.version + len(decision.changes)
        self.purchase = decision.purchase
        self.changes.extend(decision.changes)

    def _facts(self) -> list[Fact]:
        return [change.fact for change in self.changes if change.fact is not None]


def _unreviewed(purchase: Purchase) -> Purchase:
    """The purchase, whatever a person was asked about it."""
    return replace(purchase, review=replace(purchase.review, findings=()), version=0)


def _paid_status(paid: int, refunded: int, dispute: DisputeStatus) -> PurchaseStatus:
    if dispute is DisputeStatus.OPEN:
        return PurchaseStatus.DISPUTED
    if dispute is DisputeStatus.LOST or 0 < paid == refunded:
        return PurchaseStatus.REFUNDED
    return PurchaseStatus.PARTIALLY_REFUNDED if refunded else PurchaseStatus.COMPLETED


PurchaseMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=20)
TestPurchaseMachine = PurchaseMachine.TestCase
