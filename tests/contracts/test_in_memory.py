"""The ports in memory keep every promise the real ones keep."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest

from billing_core.ports.platforms import PlatformAccount
from billing_core.ports.publishing import OutboxEvent
from billing_core.testing import InMemoryPublisher, InMemoryReplayCache, InMemoryStorage, ScriptedPlatform
from billing_core.testing.contracts import (
    EventPublisherContract,
    PaymentPlatformContract,
    ReplayCacheContract,
    StorageContract,
)


class TestInMemoryStorage(StorageContract):
    """The storage the whole core is tested on."""

    patience_s = 0  # nothing in memory takes time: what does not wait has got through by the next turn of the loop

    @pytest.fixture
    def storage(self) -> InMemoryStorage:
        """An empty storage."""
        return InMemoryStorage()


class TestInMemoryReplayCache(ReplayCacheContract):
    """The replay cache the whole core is tested on."""

    @pytest.fixture
    def replay_cache(self) -> InMemoryReplayCache:
        """An empty cache."""
        return InMemoryReplayCache()


class TestInMemoryPublisher(EventPublisherContract):
    """The broker the whole core is tested on."""

    @pytest.fixture
    def publisher(self) -> InMemoryPublisher:
        """A broker without messages."""
        return InMemoryPublisher()

    @pytest.fixture
    def published(self, publisher: InMemoryPublisher) -> Callable[[], Awaitable[Sequence[OutboxEvent]]]:
        """What the broker has."""

        async def read() -> Sequence[OutboxEvent]:
            return publisher.published

        return read


class ScriptedUnderTest:
    """The scripted platform, as the contract drives it."""

    def __init__(self) -> None:
        self.platform = ScriptedPlatform()
        self.account = PlatformAccount(platform_account_id="account-1", platform_domain=None)

    async def pay(self, reference: str) -> None:
        """See `PlatformUnderTest.pay`."""
        self.platform.pay(reference)

    async def decline(self, reference: str) -> None:
        """See `PlatformUnderTest.decline`."""
        self.platform.decline(reference)

    async def expire(self, reference: str) -> None:
        """See `PlatformUnderTest.expire`."""
        self.platform.expire(reference)

    def notice(self, reference: str) -> Mapping[str, Any]:
        """See `PlatformUnderTest.notice`."""
        return self.platform.notice(reference)


class TestScriptedPlatform(PaymentPlatformContract):
    """The platform the whole core is tested on."""

    @pytest.fixture
    def platform_under_test(self) -> ScriptedUnderTest:
        """A platform without payments."""
        return ScriptedUnderTest()
