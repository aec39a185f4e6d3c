"""Goodwill credits: what an operator gives a merchant, once for each grant id, and how much they may give in a day."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from billing_core.domain.events import Change, CreditsGranted, Origin
from billing_core.domain.packs import MAX_CREDITS
from billing_core.errors import GrantCapExceeded, GrantIdReused

CAP_WINDOW = timedelta(days=1)
LONGEST_REASON = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditGrant:
    """Credits given to a merchant for nothing: an event and a record of who gave them, never a balance."""

    grant_id: UUID
    merchant_id: str
    platform: str
    credits: int
    reason: str
    actor: str
    granted_at: datetime

    def __post_init__(self) -> None:
        if not 1 <= self.credits <= MAX_CREDITS:
            raise ValueError(f"a grant is of 1 to {MAX_CREDITS} credits")
        if not 1 <= len(self.reason) <= LONGEST_REASON or not self.actor:
            raise ValueError(f"a grant names who gives it, and why in 1 to {LONGEST_REASON} characters")

    def must_be_repeated_by(self, other: "CreditGrant") -> None:
        """This will check that the other one, under the same id, asks for the same. Raises GrantIdReused."""
        if (self.merchant_id, self.credits) != (other.merchant_id, other.credits):
            raise GrantIdReused(merchant_id=self.merchant_id, granted=self.credits)

    def must_keep_within(self, cap: int, granted: int) -> None:
        """This will check the grant against the most one operator may give within CAP_WINDOW; `granted` is what they
        gave within it, this grant included. Raises GrantCapExceeded."""
        if granted > cap:
            raise GrantCapExceeded(actor=self.actor, cap=cap, left=max(0, cap - granted + self.credits))

    def change(self, by: Origin) -> Change:
        """The one entry of the grant's history, and the event that gives the credits."""
        fact = CreditsGranted(
            merchant_id=self.merchant_id,
            platform=self.platform,
            grant_id=self.grant_id,
            credits=self.credits,
            reason=self.reason,
            actor=self.actor,
        )
        return Change(
            merchant_id=self.merchant_id,
            subject="grant",
            subject_id=self.grant_id,
            number=1,
            what="granted",
            status_before=None,
            status_after="granted",
            at=self.granted_at,
            by=by,
            reason=self.reason,
            fact=fact,
        )
