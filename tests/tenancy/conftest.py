"""Two merchants in one database, and the roles of a deployment."""

from collections.abc import AsyncIterator, Mapping

import asyncpg
import pytest
from tests.tenancy.neighbours import Neighbours, move_in

from billing_adapters.embedded import EmbeddedServers
from billing_adapters.postgres import roles
from billing_adapters.postgres.database import Database


@pytest.fixture
async def role_urls(servers: EmbeddedServers, database_url: str) -> Mapping[str, str]:
    """The database's URL as each role of a deployment."""
    admin = str(servers.urls.postgres_admin).rpartition("/")[0] + "/" + database_url.rpartition("/")[2]
    await roles.create_roles(admin)
    return {"admin": admin, "owner": database_url} | {role: await roles.let_in(admin, role) for role in roles.ROLES}


@pytest.fixture
async def neighbours(database: Database) -> Neighbours:
    """Mine and theirs, each with a row in every table that holds a merchant."""
    return await move_in(database)


@pytest.fixture
async def admin(role_urls: Mapping[str, str]) -> AsyncIterator["asyncpg.Connection"]:
    """A superuser, whom no wall stops: who looks at what is really there."""
    connection = await asyncpg.connect(role_urls["admin"])
    yield connection
    await connection.close()
