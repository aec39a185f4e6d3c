"""Give a merchant goodwill credits."""

from dataclasses import dataclass
from uuid import UUID

from billing_core.domain.events import Change, Origin
from billing_core.domain.grants import CAP_WINDOW, CreditGrant
from billing_core.domain.packs import PriceBook
from billing_core.errors import MerchantNotFound
from billing_core.ports.storage import OpenUnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantOutcome:
    """A grant, and the change that gave its credits (None: they were given before). `left` is how many credits its
    operator may give more within the day, where this grant was made now."""

    grant: CreditGrant
    change: Change | None
    left: int | None


class GrantCredits:
    """Gives credits for nothing, and never more than an operator may give within 24 hours."""

    def __init__(self, *, units: OpenUnitOfWork, price_book: PriceBook) -> None:
        self._units, self._price_book = units, price_book

    async def __call__(
        self, merchant_id: str, credits_: int, grant_id: UUID, by: Origin, *, dry_run: bool = False
    ) -> GrantOutcome:
        """This will give the merchant the credits, for the reason `by` names, once for the grant id however often it
        is asked. `dry_run` refuses the same and keeps nothing.

        Raises MerchantNotFound, GrantIdReused where the id gave something else, GrantCapExceeded.
        """
        async with self._units() as uow:
            merchant = (await uow.merchants.get_many([merchant_id])).get(merchant_id)
            if merchant is None:
                raise MerchantNotFound
            now = await uow.now()  # operators sit at many machines; the day is counted by one clock
            grant = CreditGrant(
                grant_id=grant_id,
                merchant_id=merchant_id,
                platform=merchant.platform,
                credits=credits_,
                reason=by.reason or "",
                actor=by.actor,
                granted_at=now,
            )
            if (before := await uow.grants.add(grant)) is not None:
                before.must_be_repeated_by(grant)
                return GrantOutcome(grant=before, change=None, left=None)
            granted = await uow.grants.lock_granted(grant.actor, now - CAP_WINDOW)
            cap = self._price_book.at(now).goodwill_credits_per_day
            grant.must_keep_within(cap, granted)
            change = grant.change(by)
            await uow.journal.record([change])
            await (uow.flush() if dry_run else uow.commit())
        return GrantOutcome(grant=grant, change=change, left=cap - granted)
