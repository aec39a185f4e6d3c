"""The database: connections that survive outages, and let no foreign exception out.

How long it waits is its `Patience`: callers of HTTP hear within 2 s that the database is away; jobs wait longer.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import asyncpg
from sqlalchemy import ColumnElement, literal_column, select

from billing_adapters.logs import get_logger
from billing_adapters.postgres.bell import BellRope
from billing_adapters.postgres.patience import PROMPT, Patience
from billing_adapters.postgres.pool import Pool, PoolFigures
from billing_adapters.postgres.refusals import is_broken, translated
from billing_adapters.postgres.row_security import EVERY_MERCHANT, NO_MERCHANT, SETTING, narrowing
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.wire import OneStatement, Record, Transaction, Wire
from billing_core.errors import StorageUnavailable

PING_TIMEOUT_S: Final = 1.0
MOST_CLOCK_OFFSET_S: Final = 1.0
# Connections beside the pool, for those that hold one long while doing something else: leaders of jobs.
ASIDE_CONNECTIONS: Final = 16

_SERVER_SETTINGS: Final = {
    "timezone": "UTC",
    "idle_in_transaction_session_timeout": "10s",
    # A host that vanishes without a word loses its locks after 25 s, not after two hours.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

# Whether our role may do anything, or sees every merchant's rows whatever is set.
IS_UNBOUND: Final[ColumnElement[bool]] = literal_column(
    "(select rolsuper or rolbypassrls from pg_catalog.pg_roles where rolname = current_user)"
)
_UNBOUND: Final = Statement(select(IS_UNBOUND.label("unbound")))

# The machine's clock as it is, also where somebody set it back.
Now = Callable[[], datetime]
# Told each query when it is over, as asyncpg's `LoggedQuery`.
Queried = Callable[[Any], None]
_now: Final[Now] = partial(datetime.now, UTC)


class Database:
    """The connections of one process to one database. Made by `open_database`."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int,
        application_name: str,
        patience: Patience,
        every_merchant: bool,
        now: Now = _now,
        queried: Queried | None = None,
    ) -> None:
        self._url, self.patience, self._now, self._queried = asyncpg_url(url), patience, now, queried
        # How far our clock was ahead of the server's when it was last pinged, in seconds; negative: behind.
        self.clock_ahead_s = 0.0
        self._settings = {
            **_SERVER_SETTINGS,
            **patience.server_settings,
            SETTING: EVERY_MERCHANT if every_merchant else NO_MERCHANT,
            "application_name": application_name[:63],
        }
        self._pool, self._aside = self._make_pool(pool_size), self._make_pool(ASIDE_CONNECTIONS)
        self._listeners: set[Any] = set()
        self._rope = BellRope(self._command)
        self._closed = False

    def is_crowded(self) -> bool:
        """Whether whoever wants a connection now would probably wait in vain."""
        return self._pool.is_crowded

    def pool_figures(self) -> PoolFigures:
        """How the pool stands; those aside are for leaders and not counted."""
        return self._pool.figures

    async def ping(self) -> None:
        """This will ask the server for a sign of life, and warn where its clock is not ours: nobody else would tell.
        Raises StorageUnavailable within a second."""
        with translated:
            async with asyncio.timeout(PING_TIMEOUT_S), self._pool.lent(_as_it_is) as connection:
                told = await connection.fetchval("select clock_timestamp()")
                self._compare_clocks(told)

    def _compare_clocks(self, told: datetime) -> None:
        self.clock_ahead_s = (self._now() - told).total_seconds()
        if abs(self.clock_ahead_s) > MOST_CLOCK_OFFSET_S:
            get_logger("postgres").warning("clock.apart", ahead_of_database_s=round(self.clock_ahead_s, 1))

    # --- single statements, each a transaction of its own ------------------------------------------------------------

    async def rows(self, statement: Statement, **values: object) -> list[Record]:
        """This will run one statement and return every row."""
        async with self.wire() as wire:
            return await wire.rows(statement, **values)

    async def row(self, statement: Statement, **values: object) -> Record | None:
        """This will run one statement and return the first row, or None."""
        async with self.wire() as wire:
            return await wire.row(statement, **values)

    async def run(self, statement: Statement, **values: object) -> int:
        """This will run one statement and say how many rows it touched."""
        async with self.wire() as wire:
            return await wire.run(statement, **values)

    def wire(self, timeout_s: float | None = None) -> AbstractAsyncContextManager[Wire]:
        """This will lend a connection; every statement is a transaction of its own and gets `timeout_s` seconds
        (default: the database's patience)."""
        return self._pool.lent(partial(Wire, timeout_s=self.patience.statement_s if timeout_s is None else timeout_s))

    def one_statement(self, merchant_id: str) -> AbstractAsyncContextManager[OneStatement]:
        """This will lend a connection for a transaction of one statement about one merchant, which its commit sends."""
        one = partial(OneStatement, timeout_s=self.patience.statement_s, ring=self._rope.pull, merchant_id=merchant_id)
        return self._pool.lent(one)

    # --- transactions ------------------------------------------------------------------------------------------------

    def transaction(self, merchant_id: str | None = None) -> AbstractAsyncContextManager[Transaction]:
        """A new transaction (READ COMMITTED) on a connection of the pool; with a merchant id, of that merchant's rows
        alone. Raises ValueError for what is no merchant id."""
        return self._transaction(self._pool, None if merchant_id is None else narrowing(merchant_id))

    def transaction_aside(self) -> AbstractAsyncContextManager[Transaction]:
        """A new transaction on a connection beside the pool, for one that stays open while others work."""
        return self._transaction(self._aside)

    @asynccontextmanager
    async def _transaction(self, pool: Pool, first: str | None = None) -> AsyncIterator[Transaction]:
        async with pool.lent(_as_it_is) as connection:
            transaction = Transaction(connection, self.patience.statement_s, ring=self._rope.pull)
            await transaction.begin(self.patience.begin_s, first)
            try:
                yield transaction
            except BaseException as error:
                if not is_broken(error):
                    await _undo(transaction, connection)
                raise
            await _undo(transaction, connection)

    # --- listening ---------------------------------------------------------------------------------------------------

    async def listen(
        self, channel: str, *, heard: Callable[[], None], ended: Callable[[], None], timeout_s: float
    ) -> None:
        """This will call `heard` at every notification of the channel, on a connection of its own, until that
        connection ends; then `ended`. Raises StorageUnavailable where there is none within `timeout_s`."""
        with translated:
            async with asyncio.timeout(timeout_s):
                connection = await asyncpg.connect(self._url, **self._connect_options())
        if self._closed:
            connection.terminate()
            raise StorageUnavailable
        self._listeners.add(connection)

        def gone(_: object) -> None:
            self._listeners.discard(connection)
            ended()

        connection.add_termination_listener(gone)
        try:
            with translated:
                async with asyncio.timeout(timeout_s):
                    await connection.add_listener(channel, lambda *_: heard())
        except BaseException:
            connection.terminate()
            raise

    # --- opening and closing -----------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed = True
        await self._rope.let_go()
        for listener in tuple(self._listeners):
            listener.terminate()
        await self._aside.close()
        await self._pool.close()

    async def _command(self, text: str) -> None:
        async with self.wire() as wire:
            await wire.command(text)

    def _make_pool(self, size: int) -> Pool:
        connect = asyncpg.connect if self._queried is None else partial(_connect_observed, self._queried)
        options = self._connect_options()
        return Pool(self._url, size=size, patience=self.patience, connect_options=options, connect=connect)

    def _connect_options(self) -> dict[str, Any]:
        return {
            "timeout": self.patience.connect_s,
            "command_timeout": self.patience.statement_s,
            "server_settings": self._settings,
        }


def open_database(
    url: str,
    *,
    pool_size: int,
    application_name: str,
    patience: Patience = PROMPT,
    every_merchant: bool = False,
    now: Now = _now,
    queried: Queried | None = None,
) -> AbstractAsyncContextManager[Database]:
    """This will hold a pool of at most `pool_size` connections while the block runs; the first is made when it is
    needed. The URL is `postgresql://…`; `now` is the clock that is compared with the server's; `queried` is told each
    query when it is over. Rows of merchants are seen where a statement or transaction names their merchant, and all of
    them with `every_merchant`."""
    return Database(
        url,
        pool_size=pool_size,
        application_name=application_name,
        patience=patience,
        every_merchant=every_merchant,
        now=now,
        queried=queried,
    )


async def role_is_unbound(database: Database) -> bool:
    """Whether the role we log in as may do anything (superuser) or is bound by no row-level security (BYPASSRLS),
    which no production role should. Raises StorageUnavailable."""
    row = await database.row(_UNBOUND)
    if row is None:
        raise StorageUnavailable
    return bool(row["unbound"])


def asyncpg_url(url: str) -> str:
    """The URL as asyncpg wants it, without the driver's name SQLAlchemy's URLs carry."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}{separator}{rest}"


async def _connect_observed(queried: Queried, url: str, **options: Any) -> Any:
    connection = await asyncpg.connect(url, **options)
    connection.add_query_logger(queried)
    return connection


def _as_it_is(connection: Any) -> Any:
    return connection


async def _undo(transaction: Transaction, connection: Any) -> None:
    try:
        await transaction.roll_back()
    except StorageUnavailable:
        connection.terminate()  # nobody can answer; the server undoes what it has when it finds us gone
