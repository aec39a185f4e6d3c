"""The HTTP app over Billing in memory."""

from collections.abc import AsyncIterator

import pytest
from tests.apps.http.door import Door, open_door

from billing_core.testing import InMemoryBilling


@pytest.fixture
async def door(billing: InMemoryBilling) -> AsyncIterator[Door]:
    """A running app with one merchant."""
    async with open_door(billing) as opened:
        yield opened
