"""A store of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from credit_service.store import CreditStore

settings.register_profile("credits", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("credits")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """nats-py knows asyncio only."""
    return "asyncio"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CreditStore]:
    """An empty store in a file."""
    opened = CreditStore(tmp_path / "credits.db")
    yield opened
    opened.close()
