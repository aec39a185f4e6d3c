"""The broker and the replay cache, in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from billing_core.domain.idempotency import RequestKey
from billing_core.errors import PublishingUnavailable
from billing_core.ports.idempotency import RememberedAnswer
from billing_core.ports.publishing import OutboxEvent


class InMemoryPublisher:
    """A broker that drops repeats of an event id. `published` is what it has, in order."""

    def __init__(self) -> None:
        self.published: list[OutboxEvent] = []
        self._fail_after: int | None = None

    def fail_after(self, events: int) -> None:
        """This will make the next `publish` take that many events and then fail."""
        self._fail_after = events

    async def publish(self, events: Sequence[OutboxEvent]) -> None:
        """See `EventPublisher.publish`."""
        taken, self._fail_after = self._fail_after, None
        known = {event.event_id for event in self.published}
        for event in events[:taken]:
            if event.event_id not in known:
                known.add(event.event_id)
                self.published.append(event)
        if taken is not None:
            raise PublishingUnavailable("the broker did not confirm the events")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMessage:
    """A message as it was sent."""

    subject: str
    body: bytes
    headers: Mapping[str, str]


class InMemorySender:
    """Keeps what it is given in `sent`."""

    def __init__(self) -> None:
        self.sent: list[SentMessage] = []
        self.is_down = False

    async def send(self, subject: str, body: bytes, headers: Mapping[str, str]) -> None:
        """See `MessageSender.send`."""
        if self.is_down:
            raise PublishingUnavailable("the broker is down")
        self.sent.append(SentMessage(subject=subject, body=body, headers=dict(headers)))


class InMemoryReplayCache:
    """Remembers answers until told to forget; while `is_down` it knows nothing and keeps nothing."""

    def __init__(self) -> None:
        self._remembered: dict[RequestKey, RememberedAnswer] = {}
        self.is_down = False

    async def get(self, key: RequestKey) -> RememberedAnswer | None:
        """See `ReplayCache.get`."""
        return None if self.is_down else self._remembered.get(key)

    async def put(self, key: RequestKey, remembered: RememberedAnswer) -> None:
        """See `ReplayCache.put`."""
        if not self.is_down:
            self._remembered[key] = remembered

    async def forget(self, keys: Sequence[RequestKey]) -> None:
        """See `ReplayCache.forget`."""
        for key in () if self.is_down else keys:
            self._remembered.pop(key, None)

    def lose_everything(self) -> None:
        """This will lose everything, as a cache may."""
        self._remembered.clear()
