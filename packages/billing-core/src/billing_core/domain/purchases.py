"""The life of a purchase: `created → pending → completed`, and what comes after (contract §5).

Three sentences hold it together. Verified payment overrides every unpaid end, and nothing unpaid ever overwrites
payment. After payment the status is a function of how much was refunded and how a dispute stands. Credits taken back
follow the cumulative refund, never the single notice.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from billing_core.domain.events import (
    Change,
    CreditsPurchased,
    CreditsRestored,
    CreditsReversed,
    Fact,
    Origin,
    Price,
    PurchaseCancelled,
    PurchaseCreated,
    PurchaseDeclined,
    PurchaseExpired,
    PurchaseFailed,
    PurchaseNeedsReview,
)
from billing_core.domain.merchants import Merchant
from billing_core.domain.packs import Offer
from billing_core.domain.payments import DisputeStatus, PaymentReport, PaymentStatus
from billing_core.domain.reviews import NO_REVIEW, Review, ReviewFinding
from billing_core.errors import ResolutionRefused


class PurchaseStatus(StrEnum):
    """Where a purchase is in its life."""

    CREATED = "created"
    PENDING = "pending"
    COMPLETED = "completed"
    DECLINED = "declined"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    DISPUTED = "disputed"


OPEN = frozenset({PurchaseStatus.CREATED, PurchaseStatus.PENDING})
UNPAID_ENDS = frozenset(
    {PurchaseStatus.DECLINED, PurchaseStatus.FAILED, PurchaseStatus.EXPIRED, PurchaseStatus.CANCELLED}
)
PAID = frozenset(PurchaseStatus) - OPEN - UNPAID_ENDS
ARCHIVED_AFTER = timedelta(days=90)


_UNPAID_END: dict[PaymentStatus, tuple[PurchaseStatus, type[Fact]]] = {
    PaymentStatus.DECLINED: (PurchaseStatus.DECLINED, PurchaseDeclined),
    PaymentStatus.FAILED: (PurchaseStatus.FAILED, PurchaseFailed),
    PaymentStatus.EXPIRED: (PurchaseStatus.EXPIRED, PurchaseExpired),
    PaymentStatus.CANCELLED: (PurchaseStatus.CANCELLED, PurchaseCancelled),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """A credit pack a merchant chose, with the offer as it stood. `version` counts its changes.

    `paid_minor` is what was paid where an operator took another amount for the one that was offered. `check_at` is when
    its platform is asked next: always for open ones, and for those that were called off while their checkout could
    still be paid.
    """

    purchase_id: UUID
    merchant_id: str
    platform: str
    platform_account_id: str
    offer: Offer
    return_url: str
    status: PurchaseStatus
    created_at: datetime
    expires_at: datetime
    test: bool = False
    platform_reference: str | None = None
    checkout_url: str | None = None
    late: bool = False
    review: Review = NO_REVIEW
    paid_minor: int | None = None
    refunded_minor: int = 0
    dispute: DisputeStatus = DisputeStatus.NONE
    credits_reversed: int = 0
    completed_at: datetime | None = None
    ended_at: datetime | None = None
    observed_at: datetime | None = None
    check_at: datetime | None = None
    version: int = 0

    def __post_init__(self) -> None:
        if self.is_paid != (self.completed_at is not None):
            raise ValueError("exactly the paid purchases have a completed_at")
        if not 0 <= self.credits_reversed <= self.offer.total_credits:
            raise ValueError("credits_reversed stays between 0 and what was bought")
        if (self.is_open and self.check_at is None) or (self.is_paid and self.check_at is not None):
            raise ValueError("open purchases are looked after by the reconciler, paid ones are not")

    # --- what it is ------------------------------------------------------------------------------------------------

    @property
    def short_reference(self) -> str:
        """The reference people see on an invoice, unique for each purchase: `CP-` and 20 characters of its id."""
        return f"CP-{self.purchase_id.hex[12:].upper()}"

    @property
    def is_open(self) -> bool:
        """Whether payment may still come without being late."""
        return self.status in OPEN

    @property
    def is_paid(self) -> bool:
        """Whether payment has been verified, whatever came after."""
        return self.status in PAID

    @property
    def needs_review(self) -> bool:
        """Whether a person must look."""
        return bool(self.review.findings)

    def is_usable(self, now: datetime) -> bool:
        """Whether the merchant can still pay it in time."""
        return is_usable(self.status, self.expires_at, now)

    def check_is_due(self, now: datetime) -> bool:
        """Whether it is time to ask its platform about it."""
        return self.check_at is not None and self.check_at <= now

    # --- what happens to it ----------------------------------------------------------------------------------------

    def checkout_made(self, reference: str, url: str, now: datetime, by: Origin) -> "PurchaseDecision":
        """This will take the platform's checkout, the first one only: one URL is ever handed out."""
        if self.status is not PurchaseStatus.CREATED:
            return PurchaseDecision(self)
        values: dict[str, Any] = {
            "status": PurchaseStatus.PENDING,
            "platform_reference": reference,
            "checkout_url": url,
        }
        return self._changed("pending", now, by, None, **values)

    def fail(self, reason: str, now: datetime, by: Origin) -> "PurchaseDecision":
        """This will end a purchase that has no checkout because the platform refused one, or never made it."""
        if self.status is not PurchaseStatus.CREATED:
            return PurchaseDecision(self)
        return self._unpaid_end(PaymentStatus.FAILED, reason, now, by)

    def expire(self, now: datetime, by: Origin) -> "PurchaseDecision":
        """This will end an open purchase past its deadline. The caller has asked the platform first."""
        if not self.is_open or now < self.expires_at:
            return PurchaseDecision(self)
        return self._unpaid_end(PaymentStatus.EXPIRED, "not paid in time", now, by)

    def cancel(self, now: datetime, by: Origin) -> "PurchaseDecision":
        """This will call an open purchase off. The caller has ended its checkout, where the platform can, and asked;
        the reconciler goes on asking until it cannot be paid any more."""
        if not self.is_open:
            return PurchaseDecision(self)
        return self._unpaid_end(PaymentStatus.CANCELLED, by.reason, now, by, check_at=self.check_at)

    def next_check(self, now: datetime, over_at: datetime) -> datetime:
        """When to ask about it again: after as long as it has waited since its beginning, or since it was over, from
        1 minute to 6 hours; and when it is over."""
        waited = now - (over_at if now >= over_at else self.created_at)
        check_at = now + min(max(waited, timedelta(minutes=1)), timedelta(hours=6))
        return check_at if now >= over_at else min(check_at, over_at)

    def settle(self, report: PaymentReport, now: datetime, by: Origin) -> "PurchaseDecision":
        """This will bring the purchase to what the platform says of its payment.

        The same report again changes nothing; an older one never undoes a newer one, but payment it proves counts.
        One about another payment moves nothing; where that is paid too, a person must look.
        """
        same_payment = self.platform_reference in (None, report.platform_reference)
        if report.status is not PaymentStatus.PAID:
            return self._settle_unpaid(report, now, by) if same_payment and report.is_over else PurchaseDecision(self)
        if self.is_paid and same_payment:
            return self._follow_refunds(report, now, by)
        if mismatch := self._mismatch(report):
            reason = f"payment {report.platform_reference}: {mismatch}"
            return self.flag(reason, now, by, about=report.platform_reference)
        unanswered = self.review.keeping(lambda each: each.about not in (None, report.platform_reference))
        return self._complete(report, now, by, review=unanswered)

    # --- what a person decides ---------------------------------------------------------------------------------------

    def flag(self, reason: str, now: datetime, by: Origin, *, about: str | None = None) -> "PurchaseDecision":
        """This will ask for a person, once for each reason, and not again for one that was dismissed. `about` is the
        platform reference of the payment in question."""
        if not self.review.takes(reason):
            return PurchaseDecision(self)
        fact = PurchaseNeedsReview(**self._identity(), pack=self.offer.pack, reason=reason)
        review = self.review.adding(ReviewFinding(reason=reason, about=about))
        return self._changed("needs_review", now, by, fact, reason=reason, review=review)

    def accept(
        self, report: PaymentReport, now: datetime, by: Origin, *, reason: str | None = None
    ) -> "PurchaseDecision":
        """This will take a payment that does not match for the one that was offered: the credits are the merchant's.
        `reason` is the finding that is answered (default: the one about this payment, else the oldest).

        Raises ResolutionRefused where that is not open, or the platform does not report the payment paid, or the
        purchase is completed already: then the payment was a second one, to be given back and dismissed.
        """
        review, reference = self.review, report.platform_reference
        answered = review.finding(reason) if reason else review.finding_about(reference)
        if self.is_paid:
            raise ResolutionRefused("this purchase is paid already; give the other payment back, then dismiss it")
        if report.status is not PaymentStatus.PAID:
            raise ResolutionRefused(f"the platform says this payment is {report.status}; only a paid one is accepted")
        paid = report.price.amount_minor if report.price is not None else None
        left = review.keeping(lambda each: each != answered and each.about != reference)
        other_paid = None if report.price == self.offer.price else paid
        return self._complete(report, now, by, review=left, paid_minor=other_paid)

    def dismiss(self, now: datetime, by: Origin, *, reason: str | None = None) -> "PurchaseDecision":
        """This will close a finding (default: the oldest), which asks for nobody again. Raises ResolutionRefused where
        it is not open."""
        review = self.review.dismissing(self.review.finding(reason))
        return self._changed("dismissed", now, by, None, review=review)

    # --- how ---------------------------------------------------------------------------------------------------------

    def _settle_unpaid(self, report: PaymentReport, now: datetime, by: Origin) -> "PurchaseDecision":
        """Nothing unpaid overwrites payment (contract §5 rule 1); a platform that takes it back is for a person."""
        if self.is_open:
            return self._unpaid_end(report.status, None, now, by)
        taken_back = self.is_paid and self.observed_at is not None and report.observed_at > self.observed_at
        if not taken_back:
            return PurchaseDecision(self)
        reason = f"payment {report.platform_reference}: it was paid, and now the platform says {report.status}"
        return self.flag(reason, now, by, about=report.platform_reference)

    def _mismatch(self, report: PaymentReport) -> str | None:
        """Why the payment is not the one that was offered (contract §5 rule 2), or None where it is."""
        if self.platform_reference not in (None, report.platform_reference):
            return f"it is not the one this purchase was given, {self.platform_reference}"
        if report.platform_account_id != self.platform_account_id:
            return "it was made by another account"
        if report.price != self.offer.price:
            return f"it is of {report.price or 'no amount'}, the offer was {self.offer.price}"
        return None

    @property
    def _price_minor(self) -> int:
        """What refunds are counted against."""
        return self.offer.price.amount_minor if self.paid_minor is None else self.paid_minor

    def _complete(self, report: PaymentReport, now: datetime, by: Origin, **values: Any) -> "PurchaseDecision":
        late = self.status in UNPAID_ENDS
        fact = CreditsPurchased(
            **self._identity(),
            pack=self.offer.pack,
            credits=self.offer.credits,
            bonus_credits=self.offer.bonus_credits,
            price=Price.of(self.offer.price),
            test=report.test,
            late=late,
            completed_at=now,
        )
        completed = self._changed(
            "completed",
            now,
            by,
            fact,
            status=PurchaseStatus.COMPLETED,
            platform_reference=report.platform_reference,
            test=report.test,
            late=late,
            completed_at=now,
            ended_at=now,
            observed_at=report.observed_at,
            check_at=None,
            **values,
        )
        return completed.then(lambda paid: paid._follow_refunds(report, now, by))  # noqa: SLF001 - of this class

    def _follow_refunds(self, report: PaymentReport, now: datetime, by: Origin) -> "PurchaseDecision":
        if self.observed_at is not None and report.observed_at < self.observed_at:
            return PurchaseDecision(self)
        seen = self if self.observed_at == report.observed_at else replace(self, observed_at=report.observed_at)
        told = self.refunded_minor if report.refunded_minor is None else report.refunded_minor
        refunded = min(told, self._price_minor)
        dispute = report.dispute or self.dispute
        if (refunded, dispute) == (self.refunded_minor, self.dispute):
            return PurchaseDecision(seen)
        target = _credits_to_reverse(self.offer.total_credits, refunded, self._price_minor, dispute)
        why: Literal["refund", "dispute"] = "dispute" if dispute is not self.dispute else "refund"
        values: dict[str, Any] = {
            "status": _paid_status(self._price_minor, refunded, dispute),
            "refunded_minor": refunded,
            "dispute": dispute,
            "credits_reversed": target,
            "ended_at": now,
        }
        return seen._changed(why, now, by, self._credits_fact(target, why, refunded), **values)  # noqa: SLF001

    def _credits_fact(self, target: int, why: Literal["refund", "dispute"], refunded: int) -> Fact | None:
        delta = target - self.credits_reversed
        if delta == 0:
            return None
        kind = CreditsReversed if delta > 0 else CreditsRestored
        return kind(**self._identity(), credits=abs(delta), reason=why, refunded_minor=refunded)

    def _unpaid_end(
        self, end: PaymentStatus, reason: str | None, now: datetime, by: Origin, *, check_at: datetime | None = None
    ) -> "PurchaseDecision":
        status, kind = _UNPAID_END[end]
        fact = kind(**self._identity(), pack=self.offer.pack, reason=reason)
        return self._changed(status, now, by, fact, reason=reason, status=status, ended_at=now, check_at=check_at)

    def _identity(self) -> dict[str, Any]:
        return {"merchant_id": self.merchant_id, "platform": self.platform, "purchase_id": self.purchase_id}

    def _changed(
        self,
        what: str,
        now: datetime,
        by: Origin,
        fact: Fact | None,
        *,
        reason: str | None = None,
        **values: Any,
    ) -> "PurchaseDecision":
        after = replace(self, version=self.version + 1, **values)
        change = Change(
            merchant_id=self.merchant_id,
            subject="purchase",
            subject_id=self.purchase_id,
            number=after.version,
            what=what,
            status_before=self.status if self.version else None,
            status_after=after.status,
            at=now,
            by=by,
            reason=reason or by.reason,
            fact=fact,
        )
        return PurchaseDecision(after, (change,))


@dataclass(frozen=True, slots=True)
class PurchaseDecision:
    """A purchase as it is after a decision, and the changes that made it so (none: nothing to announce)."""

    purchase: Purchase
    changes: tuple[Change, ...] = ()

    def then(self, decide: "Callable[[Purchase], PurchaseDecision]") -> "PurchaseDecision":
        """This will decide further on what came of it."""
        further = decide(self.purchase)
        return PurchaseDecision(further.purchase, self.changes + further.changes)


def is_usable(status: str, expires_at: datetime, now: datetime) -> bool:
    """Whether a purchase of that status can still be paid in time."""
    return status in OPEN and now < expires_at


def create_purchase(
    purchase_id: UUID,
    merchant: Merchant,
    offer: Offer,
    *,
    return_url: str,
    lifetime: timedelta,
    test: bool,
    now: datetime,
    by: Origin,
) -> PurchaseDecision:
    """This will note what a merchant wants to buy, with everything the platform will be told frozen."""
    draft = Purchase(
        purchase_id=purchase_id,
        merchant_id=merchant.merchant_id,
        platform=merchant.platform,
        platform_account_id=merchant.platform_account_id,
        offer=offer,
        return_url=return_url,
        status=PurchaseStatus.CREATED,
        test=test,
        created_at=now,
        expires_at=now + lifetime,
        check_at=now + timedelta(minutes=1),
    )
    fact = PurchaseCreated(
        **draft._identity(),  # noqa: SLF001 - the same module's own value
        pack=offer.pack,
        credits=offer.credits,
        bonus_credits=offer.bonus_credits,
        price=Price.of(offer.price),
        expires_at=draft.expires_at,
    )
    return draft._changed("created", now, by, fact)  # noqa: SLF001


def _credits_to_reverse(total_credits: int, refunded_minor: int, paid_minor: int, dispute: DisputeStatus) -> int:
    """`ceil(total_credits × refunded / paid)` in integers (contract §5 rule 5); all of them while a dispute is open
    or when it is lost (rule 6)."""
    if dispute in (DisputeStatus.OPEN, DisputeStatus.LOST):
        return total_credits
    if refunded_minor == 0:
        return 0
    return -(-total_credits * refunded_minor // paid_minor)


def _paid_status(paid_minor: int, refunded_minor: int, dispute: DisputeStatus) -> PurchaseStatus:
    if dispute is DisputeStatus.OPEN:
        return PurchaseStatus.DISPUTED
    if dispute is DisputeStatus.LOST or (refunded_minor == paid_minor and paid_minor > 0):
        return PurchaseStatus.REFUNDED
    return PurchaseStatus.PARTIALLY_REFUNDED if refunded_minor else PurchaseStatus.COMPLETED
