"""Purchases, live and archived, and the claim of each platform reference on its one."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    FromClause,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    delete,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import Insert, insert

from billing_adapters.postgres.rows import PURCHASE_COLUMNS, ids, purchase_of, purchase_values
from billing_adapters.postgres.statements import RowsWrite, Statement, among, given
from billing_adapters.postgres.tables import (
    archived_purchases,
    is_looked_after,
    is_open,
    merchants,
    payment_claims,
    purchases,
)
from billing_adapters.postgres.wire import Record, Transaction
from billing_core.domain.purchases import Purchase
from billing_core.errors import ReferenceAlreadyClaimed, StorageConflict
from billing_core.ports.platforms import PlatformAccount
from billing_core.ports.storage import Owner

_NAMES = [column.name for column in PURCHASE_COLUMNS]
# What was offered is a snapshot: nothing ever changes it.
_FIXED = {
    "merchant_id", "purchase_id", "platform", "platform_account_id", "pack", "catalog_version", "credits",
    "bonus_credits", "amount_minor", "currency", "return_url", "created_at",
}  # fmt: skip
_CHANGING = [name for name in _NAMES if name not in _FIXED]
_SAVED = [purchases.c[name] for name in ("merchant_id", "purchase_id", *_CHANGING)]
_saved_of = itemgetter(*[_NAMES.index(column.name) for column in _SAVED])
_WANTED = given([purchases.c.merchant_id, purchases.c.purchase_id], name="wanted")
_REFERENCES = given([payment_claims.c.platform, payment_claims.c.platform_reference], name="wanted")
_LIMIT = bindparam("limit", type_=purchases.c.version.type)


def columns_of(table: Table) -> Select[object]:
    """Every column of the live or the archived purchases, in the order of PURCHASE_COLUMNS."""
    return select(*[table.c[name] for name in _NAMES])


def the_one(merchant_id: ColumnElement[str]) -> CompoundSelect[object]:
    """A merchant's purchase, live or archived."""
    return union_all(
        *[
            columns_of(table).where(table.c.merchant_id == merchant_id, table.c.purchase_id == bindparam("purchase_id"))
            for table in (purchases, archived_purchases)
        ]
    )


_GET: Final = Statement(the_one(bindparam("merchant_id", type_=purchases.c.merchant_id.type)))
_OPEN_OF: Final = Statement(
    columns_of(purchases)
    .where(purchases.c.merchant_id == bindparam("merchant_id"), is_open(purchases))
    .order_by(purchases.c.purchase_id.desc())
)
_LOCK: Final = Statement(
    columns_of(purchases)
    .join(
        _WANTED,
        and_(purchases.c.merchant_id == _WANTED.c.merchant_id, purchases.c.purchase_id == _WANTED.c.purchase_id),
    )
    .order_by(purchases.c.merchant_id, purchases.c.purchase_id)
    .with_for_update(of=purchases)
)
_back = (
    delete(archived_purchases)
    .where(
        archived_purchases.c.merchant_id == _WANTED.c.merchant_id,
        archived_purchases.c.purchase_id == _WANTED.c.purchase_id,
    )
    .returning(*[archived_purchases.c[name] for name in _NAMES])
    .cte("back")
)
_BRING_BACK: Final = Statement(insert(purchases).from_select(_NAMES, select(*_back.c)))
_OWNERS: Final = Statement(
    select(
        payment_claims.c.platform,
        payment_claims.c.platform_reference,
        payment_claims.c.merchant_id,
        payment_claims.c.purchase_id,
        merchants.c.platform_account_id,
        merchants.c.platform_domain,
    )
    .join(merchants, merchants.c.merchant_id == payment_claims.c.merchant_id)
    .join(
        _REFERENCES,
        and_(
            payment_claims.c.platform == _REFERENCES.c.platform,
            payment_claims.c.platform_reference == _REFERENCES.c.platform_reference,
        ),
    )
)
_ADD: Final = RowsWrite(
    PURCHASE_COLUMNS,
    lambda given: insert(purchases).from_select(
        _NAMES, select(*given.c).order_by(given.c.merchant_id, given.c.purchase_id)
    ),
)


def _claim(claimed: FromClause) -> Insert:
    return insert(payment_claims).from_select(
        [column.name for column in payment_claims.c],
        select(*claimed.c).order_by(claimed.c.platform, claimed.c.platform_reference),
    )


def _claim_again(claimed: FromClause) -> Insert:
    """One's own claim counts as another of the rows, somebody else's does not."""
    claim = _claim(claimed)
    return claim.on_conflict_do_update(
        index_elements=[payment_claims.c.platform, payment_claims.c.platform_reference],
        set_={"purchase_id": claim.excluded.purchase_id},
        where=and_(
            payment_claims.c.merchant_id == claim.excluded.merchant_id,
            payment_claims.c.purchase_id == claim.excluded.purchase_id,
        ),
    )


def _save(given: FromClause) -> Update:
    return (
        update(purchases)
        .values({name: given.c[name] for name in _CHANGING})
        .where(purchases.c.merchant_id == given.c.merchant_id, purchases.c.purchase_id == given.c.purchase_id)
    )


def _save_if_unchanged(given: FromClause) -> Update:
    return _save(given).where(
        purchases.c.version == bindparam("since_version"),
        # These two may change without another version.
        purchases.c.check_at.is_not_distinct_from(bindparam("since_check_at")),
        purchases.c.observed_at.is_not_distinct_from(bindparam("since_observed_at")),
    )


_CLAIM_NEW: Final = RowsWrite(payment_claims.c.values(), _claim, name="claimed")
_CLAIM: Final = RowsWrite(payment_claims.c.values(), _claim_again, name="claimed")
_SAVE: Final = RowsWrite(_SAVED, _save)
_REPLACE: Final = RowsWrite(_SAVED, _save_if_unchanged)
_DUE_FOR_CHECK: Final = Statement(
    columns_of(purchases)
    .where(is_looked_after(purchases), purchases.c.check_at <= bindparam("now"))
    .order_by(purchases.c.check_at, purchases.c.purchase_id)
    .limit(_LIMIT)
)
_AFTER = bindparam("after", type_=purchases.c.purchase_id.type)
_PAST_DEADLINE: Final = Statement(
    columns_of(purchases)
    .where(is_open(purchases), purchases.c.expires_at <= bindparam("now"))
    .where(or_(_AFTER.is_(None), purchases.c.purchase_id > _AFTER))
    .order_by(purchases.c.purchase_id)
    .limit(_LIMIT)
)
_old = (
    select(purchases)
    .where(purchases.c.ended_at < bindparam("ended_before"), purchases.c.review_reason.is_(None))
    .order_by(purchases.c.ended_at)
    .limit(_LIMIT)
    .with_for_update(skip_locked=True)
)
_gone = delete(purchases).where(among(_old)).returning(*[purchases.c[name] for name in _NAMES]).cte("gone")
_ARCHIVE: Final = Statement(insert(archived_purchases).from_select(_NAMES, select(*_gone.c)))


class PostgresPurchases:
    """Purchases inside one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def get(self, merchant_id: str, purchase_id: UUID) -> Purchase | None:
        """The merchant's purchase, archived or not; not held."""
        row = await self._transaction.row(_GET, merchant_id=merchant_id, purchase_id=purchase_id)
        return None if row is None else purchase_of(row)

    async def open_of(self, merchant_id: str) -> Sequence[Purchase]:
        """The merchant's open purchases, newest first; not held."""
        return _purchases(await self._transaction.rows(_OPEN_OF, merchant_id=merchant_id))

    async def lock(self, purchase_ids: Sequence[tuple[str, UUID]]) -> Mapping[UUID, Purchase]:
        """Those of the (merchant id, purchase id) that exist, held; archived ones are brought back first."""
        wanted = set(purchase_ids)
        held = await self._lock(wanted)
        if missing := wanted - {(each.merchant_id, each.purchase_id) for each in held.values()}:
            # Archived, or being archived as we asked: the next statement sees what was committed meanwhile, and
            # whoever brings the same one back first leaves it where the third statement finds it.
            merchant_ids, subject_ids = ids(sorted(missing))
            await self._transaction.run(_BRING_BACK, merchant_id=merchant_ids, purchase_id=subject_ids)
            held |= await self._lock(missing)
        return held

    async def owners(self, references: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Owner]:
        """Whose each claimed (platform, reference) is, by platform reference or short reference; not held."""
        platforms, platform_references = [each[0] for each in references], [each[1] for each in references]
        rows = await self._transaction.rows(_OWNERS, platform=platforms, platform_reference=platform_references)
        return {(row["platform"], row["platform_reference"]): _owner(row) for row in rows}

    async def claim(self, claiming: Sequence[Purchase]) -> None:
        """This will claim each purchase's platform reference for it, for ever; again for the same one is no change.
        Raises ReferenceAlreadyClaimed where it is another purchase's, ValueError where it has none."""
        if any(each.platform_reference is None for each in claiming):
            raise ValueError("a purchase without a platform reference has nothing to claim")
        claims = {(each.platform, each.platform_reference, each.merchant_id, each.purchase_id) for each in claiming}
        if len({claim[:2] for claim in claims}) != len(claims):
            raise ReferenceAlreadyClaimed("two purchases claim one platform reference")
        if claims:
            await self._transaction.store(_CLAIM, list(claims), rows=len(claims), otherwise=ReferenceAlreadyClaimed)

    async def add(self, new: Sequence[Purchase]) -> None:
        """This will store new purchases, and claim each one's short reference for it, for ever."""
        if new:
            claims = [(each.platform, each.short_reference, each.merchant_id, each.purchase_id) for each in new]
            await self._transaction.store(_ADD, [purchase_values(each) for each in new])
            await self._transaction.store(_CLAIM_NEW, claims)

    async def save(self, changed: Sequence[Purchase]) -> None:
        """This will store changed purchases that are held."""
        if changed:
            rows = [_saved_of(purchase_values(each)) for each in changed]
            await self._transaction.store(_SAVE, rows, rows=len(changed), otherwise=_not_held)

    async def replace(self, before: Purchase, after: Purchase) -> None:
        """This will store a changed purchase. The commit raises StorageConflict where it is not as it was before."""
        await self._transaction.store(
            _REPLACE,
            [_saved_of(purchase_values(after))],
            rows=1,
            since_version=before.version,
            since_check_at=before.check_at,
            since_observed_at=before.observed_at,
        )

    async def due_for_check(self, now: datetime, limit: int) -> Sequence[Purchase]:
        """Up to `limit` purchases whose check time has come, longest due first; not held."""
        return _purchases(await self._transaction.rows(_DUE_FOR_CHECK, now=now, limit=limit))

    async def past_deadline(self, now: datetime, limit: int, after: UUID | None = None) -> Sequence[Purchase]:
        """Up to `limit` open purchases with `expires_at <= now`, by id, those after `after`; not held."""
        return _purchases(await self._transaction.rows(_PAST_DEADLINE, now=now, limit=limit, after=after))

    async def archive(self, ended_before: datetime, limit: int) -> int:
        """This will move up to `limit` purchases that ended before the moment and need no review out of the hot
        table, and say how many; those others hold stay for the next time."""
        return await self._transaction.run(_ARCHIVE, ended_before=ended_before, limit=limit)

    async def _lock(self, wanted: Iterable[tuple[str, UUID]]) -> dict[UUID, Purchase]:
        merchant_ids, subject_ids = ids(sorted(wanted))
        rows = await self._transaction.rows(_LOCK, merchant_id=merchant_ids, purchase_id=subject_ids)
        return {row["purchase_id"]: purchase_of(row) for row in rows}


def _purchases(rows: Sequence[Record]) -> list[Purchase]:
    return [purchase_of(row) for row in rows]


def _owner(row: Record) -> Owner:
    account = PlatformAccount(platform_account_id=row["platform_account_id"], platform_domain=row["platform_domain"])
    return Owner(merchant_id=row["merchant_id"], purchase_id=row["purchase_id"], account=account)


def _not_held() -> StorageConflict:
    return StorageConflict("a purchase to be changed is not there: it was not held")
