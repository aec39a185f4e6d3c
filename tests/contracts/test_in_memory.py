"""The ports in memory keep every promise the real ones keep."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest

from billing_core.ports.platforms import PlatformAccount
from billing_core.ports.publishing import OutboxEvent
from billing_core.testing import (
    InMemoryPublisher,
    InMemoryReplayCache,
    InMemoryStorage,
    InMemoryUsage,
    ScriptedPlatform,
)
from billing_core.testing.contracts import (
    EventPublisherContract,
    PaymentPlatformContract,
    ReplayCacheContract,
    SharedUsageContract,
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


class TestInMemoryUsage(SharedUsageContract):
    """What merchants used, in memory: one object for every process, and time that passes when told."""

    @pytest.fixture
    def hand(self) -> list[int]:
        """Where the clock stands, in microseconds."""
        return [0]

    @pytest.fixture
    def usage(self, hand: list[int]) -> InMemoryUsage:
        """Nobody owes anything."""
        return InMemoryUsage(lambda: hand[0])

    @pytest.fixture
    def another(self, usage: InMemoryUsage) -> InMemoryUsage:
        """The same."""
        return usage

    @pytest.fixture
    def wait(self, hand: list[int]) -> Callable[[int], Awaitable[None]]:
        """Moves the hand on."""

        async def move(by_us: int) -> None:
            hand[0] += by_us

        return move


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
