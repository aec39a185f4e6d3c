"""What is replaced when merchants are redacted: names and words, and no figure."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    FromClause,
    Table,
    Text,
    Update,
    and_,
    bindparam,
    delete,
    exists,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from billing_adapters.postgres.rows import (
    MERCHANT_COLUMNS,
    PARKED_COLUMNS,
    PRIVACY_COLUMNS,
    merchant_of,
    parked_values,
    privacy_values,
)
from billing_adapters.postgres.statements import RowsWrite, Statement, among, given
from billing_adapters.postgres.tables import (
    archived_purchases,
    credit_grants,
    history,
    idempotency_keys,
    merchants,
    outbox,
    parked_messages,
    privacy_records,
    purchases,
    sandbox_payments,
    trial_claims,
    trials,
)
from billing_adapters.postgres.wire import Transaction
from billing_core.domain.grants import CreditGrant
from billing_core.domain.idempotency import RequestKey
from billing_core.domain.merchants import Merchant
from billing_core.domain.purchases import Purchase
from billing_core.domain.trials import Trial
from billing_core.ports.privacy import PrivacyRecord, RecordedEntry, Renaming
from billing_core.ports.publishing import OutboxEvent
from billing_core.ports.records import HistoryEntry
from billing_core.ports.storage import ParkedMessage

_SANDBOX: Final = "sandbox"
_ACCOUNT = (trial_claims.c.platform, trial_claims.c.platform_account_id)
_WANTED = given(_ACCOUNT, name="wanted")


def _is_wanted(table: FromClause) -> Any:
    return and_(table.c.platform == _WANTED.c.platform, table.c.platform_account_id == _WANTED.c.platform_account_id)


_LOCK_CLAIMS: Final = Statement(
    select(trial_claims.c.trial_id)
    .join(_WANTED, _is_wanted(trial_claims))
    .order_by(*_ACCOUNT)
    .with_for_update(of=trial_claims)
)
# Reads every merchant: an index for what is asked once after a shop has gone would be paid for by every merchant that
# comes. `for no key update` lets rows that refer to the merchants be stored meanwhile.
_LOCK_MERCHANTS: Final = Statement(
    select(*MERCHANT_COLUMNS)
    .join(_WANTED, _is_wanted(merchants))
    .order_by(merchants.c.merchant_id)
    .with_for_update(of=merchants, key_share=True)
)

_BEFORE, _AFTER = Column("before", Text), Column("after", Text)
_GIVEN = given((trial_claims.c.platform, _BEFORE, _AFTER))
_other = trial_claims.alias("other")
_CLAIMED_TWICE: Final = Statement(
    delete(trial_claims)
    .where(trial_claims.c.platform == _GIVEN.c.platform, trial_claims.c.platform_account_id == _GIVEN.c.before)
    .where(exists().where(_other.c.platform == _GIVEN.c.platform, _other.c.platform_account_id == _GIVEN.c.after))
)
_RENAME: Final = RowsWrite(
    (trial_claims.c.platform, _BEFORE, _AFTER),
    lambda given: (
        update(trial_claims)
        .values(platform_account_id=given.c.after)
        .where(trial_claims.c.platform == given.c.platform, trial_claims.c.platform_account_id == given.c.before)
    ),
    name="renamed",
)
# The sandbox is another platform's stand-in, and its books are here: they must not tell what we do not.
_RENAME_IN_BOOKS: Final = RowsWrite(
    (_BEFORE, _AFTER),
    lambda given: (
        update(sandbox_payments)
        .values(platform_account_id=given.c.after)
        .where(sandbox_payments.c.platform_account_id == given.c.before)
    ),
    name="renamed",
)


def _words_of(table: Table, key: Sequence[str], words: Sequence[str]) -> RowsWrite:
    """Replaces the words of the rows of a key, and nothing else of them."""

    def written(given: FromClause) -> Update:
        return (
            update(table)
            .values({name: given.c[name] for name in words})
            .where(*[table.c[name] == given.c[name] for name in key])
        )

    return RowsWrite([table.c[name] for name in (*key, *words)], written)


def _by_function(name: str, table: Table, columns: Sequence[str]) -> Statement:
    """Has the owner's function of that name replace words, of rows given as an array for each column."""
    arguments = [bindparam(each, type_=ARRAY(table.c[each].type)) for each in columns]
    return Statement(select(getattr(func, name)(*arguments).cast(Text).label("done")))


_TRIALS: Final = _words_of(trials, ("merchant_id", "trial_id"), ("platform_account_id",))
_PURCHASE = ("merchant_id", "purchase_id")
_ADDRESSES = ("platform_account_id", "return_url", "checkout_url")
_PURCHASES: Final = _words_of(purchases, _PURCHASE, _ADDRESSES)
_ARCHIVED: Final = _words_of(archived_purchases, _PURCHASE, _ADDRESSES)
# By functions of the owner's: what has happened and what was told of it nobody else may change.
_ENTRIES: Final = _by_function(
    "billing_redact_history", history, ("merchant_id", "subject_id", "number", "actor", "reason", "correlation_id")
)
_GRANTS: Final = _words_of(credit_grants, ("merchant_id", "grant_id"), ("reason",))
_EVENTS: Final = _by_function("billing_redact_events", outbox, ("merchant_id", "sequence", "body"))
_PARKED_NAMES: Final = [each.name for each in PARKED_COLUMNS]
_PARKED: Final = _words_of(parked_messages, ("parked_id",), [name for name in _PARKED_NAMES if name != "parked_id"])
_FORGET_KEYS: Final = Statement(
    delete(idempotency_keys)
    .where(
        among(
            select(idempotency_keys)
            .where(idempotency_keys.c.merchant_id == bindparam("merchant_id"))
            .order_by(idempotency_keys.c.route, idempotency_keys.c.key)
            .limit(bindparam("limit", type_=BigInteger()))
            .with_for_update()
        )
    )
    .returning(*idempotency_keys.primary_key.columns)
)
_RECORD: Final = RowsWrite(
    PRIVACY_COLUMNS,
    lambda given: insert(privacy_records).from_select([each.name for each in PRIVACY_COLUMNS], select(*given.c)),
)


class PostgresRedactions:
    """Replaces what one transaction redacts."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def lock_accounts(self, accounts: Sequence[tuple[str, str]]) -> Sequence[Merchant]:
        """The merchants of the accounts, by id, held; and before them the claims of the accounts' trials."""
        if not accounts:
            return []
        wanted = {"platform": [each[0] for each in accounts], "platform_account_id": [each[1] for each in accounts]}
        await self._transaction.rows(_LOCK_CLAIMS, **wanted)
        return [merchant_of(row) for row in await self._transaction.rows(_LOCK_MERCHANTS, **wanted)]

    async def rename_accounts(self, renamings: Sequence[Renaming]) -> None:
        """This will put claims of trials under the other name of their account. Where there is one under that name
        already, it is the one that stays."""
        if not renamings:
            return
        rows = [(each.platform, each.before, each.after) for each in renamings]
        platforms, before, after = (list(values) for values in zip(*rows, strict=True))
        await self._transaction.run(_CLAIMED_TWICE, platform=platforms, before=before, after=after)
        await self._transaction.store(_RENAME, rows)
        if books := [(each.before, each.after) for each in renamings if each.platform == _SANDBOX]:
            await self._transaction.store(_RENAME_IN_BOOKS, books)

    async def save_trials(self, changed: Sequence[Trial]) -> None:
        """This will store the trials' accounts."""
        await self._store(_TRIALS, ((each.merchant_id, each.trial_id, each.platform_account_id) for each in changed))

    async def save_purchases(self, changed: Sequence[Purchase]) -> None:
        """This will store the purchases' accounts and addresses, live or archived, which stay where they are."""
        rows = [
            (each.merchant_id, each.purchase_id, each.platform_account_id, each.return_url, each.checkout_url)
            for each in changed
        ]
        await self._store(_PURCHASES, rows)
        await self._store(_ARCHIVED, rows)

    async def save_entries(self, merchant_id: str, entries: Sequence[RecordedEntry]) -> None:
        """This will store the actors, reasons and correlation ids of the merchant's entries."""
        rows = [(merchant_id, each.subject_id, each.entry.number, *_words(each.entry)) for each in entries]
        await self._have_done(_ENTRIES, rows)

    async def save_grants(self, grants: Sequence[CreditGrant]) -> None:
        """This will store the grants' reasons."""
        await self._store(_GRANTS, ((each.merchant_id, each.grant_id, each.reason) for each in grants))

    async def save_events(self, events: Sequence[OutboxEvent]) -> None:
        """This will store the events' bodies."""
        await self._have_done(_EVENTS, [(each.merchant_id, each.sequence, each.body) for each in events])

    async def save_parked(self, messages: Sequence[ParkedMessage]) -> None:
        """This will store the messages whole; those that wait no more, as such."""
        await self._store(_PARKED, map(parked_values, messages))

    async def forget_keys(self, merchant_id: str, limit: int) -> Sequence[RequestKey]:
        """This will forget up to `limit` of the merchant's idempotency keys, and say which."""
        rows = await self._transaction.rows(_FORGET_KEYS, merchant_id=merchant_id, limit=limit)
        return [RequestKey(merchant_id=row["merchant_id"], route=row["route"], key=row["key"]) for row in rows]

    async def record(self, records: Sequence[PrivacyRecord]) -> None:
        """This will append to the record of what was asked and redacted."""
        await self._store(_RECORD, map(privacy_values, records))

    async def _have_done(self, statement: Statement, rows: Sequence[Sequence[object]]) -> None:
        if rows:
            columns = zip(statement.names, zip(*rows, strict=True), strict=True)
            await self._transaction.row(statement, **{name: list(values) for name, values in columns})

    async def _store(self, write: RowsWrite, rows: Iterable[Sequence[object]]) -> None:
        if given_rows := list(rows):
            await self._transaction.store(write, given_rows)


def _words(entry: HistoryEntry) -> tuple[str, str | None, str]:
    return entry.actor, entry.reason, entry.correlation_id
