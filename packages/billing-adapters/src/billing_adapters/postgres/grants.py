"""Goodwill credits operators gave."""

from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, Integer, Text, bindparam, cast, func, literal_column, select
from sqlalchemy.dialects.postgresql import insert

from billing_adapters.postgres.rows import GRANT_COLUMNS, grant_of, grant_values
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.tables import credit_grants
from billing_adapters.postgres.wire import Transaction
from billing_core.domain.grants import CreditGrant

_NAMES = [column.name for column in GRANT_COLUMNS]

_ADD: Final = Statement(
    insert(credit_grants)
    .values({column.name: bindparam(column.name, type_=column.type) for column in GRANT_COLUMNS})
    .on_conflict_do_nothing(index_elements=[credit_grants.c.grant_id])
)
_GET: Final = Statement(select(*GRANT_COLUMNS).where(credit_grants.c.grant_id == bindparam("grant_id")))
# Our number among the advisory locks of the database; the second number is the operator's. It is a statement of its
# own: the one that counts must not see the grants as they were before it had waited.
_SPACE: Final = literal_column("1651076206", Integer())
_HOLD: Final = Statement(
    select(
        cast(func.pg_advisory_xact_lock(_SPACE, func.hashtext(bindparam("actor", type_=Text()))), Text).label("held")
    )
)
_GRANTED: Final = Statement(
    select(func.coalesce(func.sum(credit_grants.c.credits), literal_column("0")).cast(BigInteger).label("granted"))
    .where(credit_grants.c.actor == bindparam("actor"))
    .where(credit_grants.c.granted_at > bindparam("since"))
)


class PostgresGrants:
    """Grants inside one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, grant: CreditGrant) -> CreditGrant | None:
        """This will store the grant, or return the one that has its id; one under way is waited for."""
        values = dict(zip(_NAMES, grant_values(grant), strict=True))
        if await self._transaction.run(_ADD, **values):
            return None
        row = await self._transaction.row(_GET, grant_id=grant.grant_id)
        if row is None:
            raise AssertionError("a grant is never removed")
        return grant_of(row)

    async def lock_granted(self, actor: str, since: datetime) -> int:
        """The credits the actor granted later than the moment; whoever asks about the same actor waits."""
        await self._transaction.row(_HOLD, actor=actor)
        row = await self._transaction.row(_GRANTED, actor=actor, since=since)
        return int(row["granted"]) if row else 0
