"""Everything that is held about one merchant, page by page, without locks."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    FromClause,
    Select,
    Table,
    Text,
    bindparam,
    column,
    func,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.purchases import columns_of
from billing_adapters.postgres.records import MERCHANT
from billing_adapters.postgres.rows import (
    GRANT_COLUMNS,
    HISTORY_COLUMNS,
    KEY_COLUMNS,
    OUTBOX_COLUMNS,
    PARKED_COLUMNS,
    PRIVACY_COLUMNS,
    TRIAL_COLUMNS,
    grant_of,
    history_entry_of,
    key_record_of,
    merchant_of,
    outbox_event_of,
    parked_message_of,
    privacy_record_of,
    purchase_of,
    trial_of,
)
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.tables import (
    archived_purchases,
    credit_grants,
    history,
    idempotency_keys,
    outbox,
    parked_messages,
    privacy_records,
    purchases,
    trial_claims,
    trials,
)
from billing_core.domain.grants import CreditGrant
from billing_core.domain.idempotency import KeyRecord, RequestKey
from billing_core.domain.merchants import Merchant
from billing_core.domain.trials import Trial
from billing_core.ports.privacy import KeptEvent, PrivacyRecord, RecordedEntry
from billing_core.ports.reports import StoredPurchase
from billing_core.ports.storage import ParkedMessage, TrialClaim

_LIMIT = bindparam("limit", type_=BigInteger())
_FIRST: Final = UUID(int=0)  # nothing has this id, and all come after it


def _ours(table: FromClause) -> ColumnElement[bool]:
    owner: ColumnElement[bool] = table.c.merchant_id == bindparam("merchant_id", type_=table.c.merchant_id.type)
    return owner


def _after(key: ColumnElement[Any]) -> ColumnElement[bool]:
    return key > bindparam("after", type_=key.type)


def _page_of_purchases() -> Statement:
    def page(table: Table, *, archived: bool) -> Select[Any]:
        # Limited by itself, so that each table is read from where the page before ended, and no further than the page.
        limited = (
            columns_of(table)
            .add_columns(literal_column(str(archived).lower(), Boolean()).label("archived"))
            .where(_ours(table), _after(table.c.purchase_id))
            .order_by(table.c.purchase_id)
            .limit(_LIMIT)
        )
        return select(limited.subquery())

    both = union_all(page(purchases, archived=False), page(archived_purchases, archived=True)).subquery("both")
    return Statement(select(both).order_by(both.c.purchase_id).limit(_LIMIT))


def _page_of_parked() -> Statement:
    """A word stands in a body in its bytes as text, whose backslashes are doubled; so are those of `escaped`."""
    words = (
        func.unnest(bindparam("words", type_=ARRAY(Text)), bindparam("escaped", type_=ARRAY(Text)))
        .table_valued(column("word", Text), column("escaped", Text), name="wanted")
        .render_derived()
    )
    space: ColumnElement[str] = literal_column("' '", Text())
    escape: ColumnElement[str] = literal_column("'escape'", Text())
    nowhere: ColumnElement[int] = literal_column("0", BigInteger())
    texts = func.concat_ws(
        space,
        parked_messages.c.message_id,
        parked_messages.c.reason,
        parked_messages.c.drop_reason,
        parked_messages.c.headers.cast(Text),
    )
    body = func.encode(parked_messages.c.body, escape)
    found = (
        select(literal_column("1"))
        .select_from(words)
        .where(
            or_(
                func.strpos(func.lower(texts), words.c.word) > nowhere,
                func.strpos(func.lower(body), words.c.escaped) > nowhere,
            )
        )
        .correlate(parked_messages)
        .exists()
    )
    return Statement(
        select(*PARKED_COLUMNS)
        .where(_after(parked_messages.c.parked_id), found)
        .order_by(parked_messages.c.parked_id)
        .limit(_LIMIT)
    )


_CLAIM: Final = Statement(
    select(trial_claims.c.merchant_id, trial_claims.c.trial_id)
    .where(trial_claims.c.platform == bindparam("platform"))
    .where(trial_claims.c.platform_account_id == bindparam("platform_account_id"))
)
_TRIALS: Final = Statement(select(*TRIAL_COLUMNS).where(_ours(trials)).order_by(trials.c.started_at, trials.c.trial_id))
_PURCHASES: Final = _page_of_purchases()
_HISTORY: Final = Statement(
    select(*HISTORY_COLUMNS)
    .where(_ours(history))
    .where(
        tuple_(history.c.subject_id, history.c.number)
        > tuple_(
            bindparam("after", type_=history.c.subject_id.type), bindparam("after_number", type_=history.c.number.type)
        )
    )
    .order_by(history.c.subject_id, history.c.number)
    .limit(_LIMIT)
)
_GRANTS: Final = Statement(
    select(*GRANT_COLUMNS)
    .where(_ours(credit_grants), _after(credit_grants.c.grant_id))
    .order_by(credit_grants.c.grant_id)
    .limit(_LIMIT)
)
_EVENTS: Final = Statement(
    select(*OUTBOX_COLUMNS, outbox.c.published_at)
    .where(_ours(outbox), _after(outbox.c.sequence))
    .order_by(outbox.c.sequence)
    .limit(_LIMIT)
)
_KEYS: Final = Statement(
    select(*KEY_COLUMNS)
    .where(_ours(idempotency_keys))
    .where(
        tuple_(idempotency_keys.c.route, idempotency_keys.c.key)
        > tuple_(bindparam("after_route", type_=Text()), bindparam("after_key", type_=Text()))
    )
    .order_by(idempotency_keys.c.route, idempotency_keys.c.key)
    .limit(_LIMIT)
)
_PARKED: Final = _page_of_parked()
_RECORDS: Final = Statement(
    select(*PRIVACY_COLUMNS).where(_ours(privacy_records)).order_by(privacy_records.c.at, privacy_records.c.record_id)
)
# Two steps into an index, however many there are: where there is one key alone, it is the least and the greatest.
_REDACTION_KEYS: Final = Statement(
    select(func.min(privacy_records.c.key_id).label("least"), func.max(privacy_records.c.key_id).label("greatest"))
)


class PostgresMerchantData:
    """Tells what is held about a merchant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def merchant(self, merchant_id: str) -> Merchant | None:
        """The merchant's record."""
        row = await self._database.row(MERCHANT, merchant_id=merchant_id)
        return None if row is None else merchant_of(row)

    async def trial_claim(self, platform: str, platform_account_id: str) -> TrialClaim | None:
        """Which trial the platform account had as its one."""
        row = await self._database.row(_CLAIM, platform=platform, platform_account_id=platform_account_id)
        return None if row is None else TrialClaim(**row)

    async def trials(self, merchant_id: str) -> Sequence[Trial]:
        """All of its trials, oldest first, refused ones included."""
        return [trial_of(row) for row in await self._database.rows(_TRIALS, merchant_id=merchant_id)]

    async def purchases(self, merchant_id: str, after: UUID | None, limit: int) -> Sequence[StoredPurchase]:
        """Its purchases, live and archived; a statement sees one moment, so one that is moved comes once."""
        rows = await self._database.rows(_PURCHASES, merchant_id=merchant_id, after=after or _FIRST, limit=limit)
        return [StoredPurchase(purchase=purchase_of(row), archived=row["archived"]) for row in rows]

    async def history(self, merchant_id: str, after: tuple[UUID, int] | None, limit: int) -> Sequence[RecordedEntry]:
        """Its history, by subject and number."""
        subject_id, number = after or (_FIRST, 0)
        rows = await self._database.rows(
            _HISTORY, merchant_id=merchant_id, after=subject_id, after_number=number, limit=limit
        )
        return [
            RecordedEntry(subject=row["subject"], subject_id=row["subject_id"], entry=history_entry_of(row))
            for row in rows
        ]

    async def grants(self, merchant_id: str, after: UUID | None, limit: int) -> Sequence[CreditGrant]:
        """Goodwill credits it was given."""
        rows = await self._database.rows(_GRANTS, merchant_id=merchant_id, after=after or _FIRST, limit=limit)
        return [grant_of(row) for row in rows]

    async def events(self, merchant_id: str, after: int, limit: int) -> Sequence[KeptEvent]:
        """Its events that are still kept, those after the sequence number."""
        rows = await self._database.rows(_EVENTS, merchant_id=merchant_id, after=after, limit=limit)
        return [KeptEvent(event=outbox_event_of(row), published_at=row["published_at"]) for row in rows]

    async def keys(self, merchant_id: str, after: RequestKey | None, limit: int) -> Sequence[KeyRecord]:
        """Its idempotency keys and their answers, by route and key."""
        route, key = ("", "") if after is None else (after.route, after.key)
        rows = await self._database.rows(_KEYS, merchant_id=merchant_id, after_route=route, after_key=key, limit=limit)
        return [key_record_of(row) for row in rows]

    async def parked(self, words: Sequence[str], after: UUID | None, limit: int) -> Sequence[ParkedMessage]:
        """Parked messages in whose body, headers or texts at least one of the words stands somehow."""
        escaped = [word.replace("\\", "\\\\") for word in words]
        rows = await self._database.rows(
            _PARKED, words=list(words), escaped=escaped, after=after or _FIRST, limit=limit
        )
        return [parked_message_of(row) for row in rows]

    async def privacy_records(self, merchant_id: str) -> Sequence[PrivacyRecord]:
        """What was recorded about its data, oldest first."""
        return [privacy_record_of(row) for row in await self._database.rows(_RECORDS, merchant_id=merchant_id)]

    async def redaction_keys(self) -> frozenset[str]:
        """The ids of the keys that anything was ever redacted with; of more than two, two."""
        row = await self._database.row(_REDACTION_KEYS)
        return frozenset(() if row is None else {row["least"], row["greatest"]} - {None})
