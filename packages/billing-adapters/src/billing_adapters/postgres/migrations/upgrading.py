"""Bringing a database to a revision of the schema.

Safe to start from several processes at once: they take turns, and the later ones find nothing to do. Every step waits
only briefly for tables others use, so that an upgrade never makes a queue of readers behind it; it fails instead and
can be run again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from billing_adapters.postgres.database import asyncpg_url
from billing_adapters.postgres.patience import PATIENT
from billing_adapters.postgres.refusals import refusal_of, translated
from billing_adapters.postgres.roles import renew_rights
from billing_adapters.postgres.row_security import EVERY_MERCHANT, SETTING
from billing_core.errors import StorageConflict

TURN_TIMEOUT_S: Final = 60.0  # how long one upgrader waits for another
TURN_POLL_S: Final = 0.05
LOCK_TIMEOUT: Final = "2s"  # how long a step waits for a table
_TURN: Final = 1651076205  # the number of the advisory lock that upgraders hold


async def upgrade(url: str, revision: str = "head") -> None:
    """This will bring the database to the newest schema (or to `revision`), a transaction for each step. Raises
    StorageUnavailable, or StorageConflict where a table was in use for too long; finished steps stay done. What the
    roles of `billing db roles` may do is renewed, where there are any."""
    await _in_turn(url, lambda config: command.upgrade(config, revision))
    await renew_rights(url)


async def downgrade(url: str, revision: str) -> None:
    """This will take the schema back to `revision` (`base`: nothing at all, with all data). Raises StorageUnavailable
    or StorageConflict."""
    await _in_turn(url, lambda config: command.downgrade(config, revision))


async def current(url: str) -> str | None:
    """The revision of the database; None where it has no schema yet. Raises StorageUnavailable."""
    async with _connected(url) as connection:
        return await connection.run_sync(_revision_of)


def head() -> str:
    """The newest revision this program knows."""
    newest = _scripts().get_current_head()
    if newest is None:
        raise RuntimeError("the package holds no migration scripts")
    return newest


async def pending(url: str) -> Sequence[str]:
    """The revisions the database still lacks, oldest first. Raises StorageUnavailable."""
    scripts = _scripts()
    done = await current(url)
    lacking = [script.revision for script in scripts.iterate_revisions(head(), done or "base")]
    return [revision for revision in reversed(lacking) if revision != done]


async def _in_turn(url: str, act: Callable[[Config], None]) -> None:
    async with _connected(url) as connection:
        await _wait_for_turn(connection)
        await connection.execute(text(f"set lock_timeout = '{LOCK_TIMEOUT}'"))
        await connection.commit()
        await connection.run_sync(lambda under: act(_config(under)))


async def _wait_for_turn(connection: AsyncConnection) -> None:
    """Asked for again and again: whoever waits inside a statement is waited for by one who makes an index beside the
    others' work, and that would never end."""
    try:
        async with asyncio.timeout(TURN_TIMEOUT_S):
            while not await connection.scalar(text(f"select pg_try_advisory_lock({_TURN})")):
                await connection.commit()
                await asyncio.sleep(TURN_POLL_S)
    except TimeoutError as late:
        raise StorageConflict(f"another upgrade is still under way after {TURN_TIMEOUT_S:g} s; try again") from late
    await connection.commit()  # the advisory lock is the session's and stays until it ends


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[AsyncConnection]:
    async def connect() -> Any:
        settings = {"application_name": "billing-migrations", "timezone": "UTC", SETTING: EVERY_MERCHANT}
        return await asyncpg.connect(asyncpg_url(url), timeout=PATIENT.connect_s, server_settings=settings)

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, poolclass=NullPool, hide_parameters=True
    )
    try:
        with translated:
            async with engine.connect() as connection:
                yield connection
    except DBAPIError as error:
        # SQLAlchemy wraps its wrapper of asyncpg's own error.
        raise refusal_of(getattr(error.orig, "__cause__", None) or error) from error
    finally:
        await engine.dispose()


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _revision_of(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
