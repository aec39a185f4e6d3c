"""Goodwill credits in memory."""

from datetime import datetime

from billing_core.domain.grants import CreditGrant
from billing_core.testing.memory.transaction import Transaction


class InMemoryGrants:
    """The grants as one transaction sees them."""

    def __init__(self, transaction: Transaction) -> None:
        self._tx = transaction

    async def add(self, grant: CreditGrant) -> CreditGrant | None:
        """See `Grants.add`."""
        await self._tx.hold(("grant", grant.grant_id))
        if (before := self._tx.view.grants.get(grant.grant_id)) is not None:
            return before
        self._tx.view.grants.put(grant.grant_id, grant)
        return None

    async def lock_granted(self, actor: str, since: datetime) -> int:
        """See `Grants.lock_granted`."""
        await self._tx.hold(("operator", actor))
        grants = self._tx.view.grants.rows()
        return sum(each.credits for each in grants if each.actor == actor and each.granted_at > since)
