"""Following a subject for people: `billing events tail`.

Messages are read from where they are stored. A consumer would have to be made for it, and whoever may make one may also
take another service's messages, or have the stream's messages sent wherever they like.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from billing_adapters.nats.api import ask
from billing_adapters.nats.connection import NATS_FAILURES, NatsConnection
from billing_adapters.nats.plan import SUBJECTS, covers
from billing_core.errors import PublishingUnavailable
from billing_core.messages import InboundMessage

# Asked for at once where there is more than one message to read.
TOGETHER: Final = 64
LOOK_AGAIN_AFTER_S: Final = 0.25
WAIT_S: Final = 2.0
_NO_MESSAGE: Final = 10037


async def tail(
    connection: NatsConnection, subject: str, *, since_s: float | None, follow: bool
) -> AsyncIterator[InboundMessage]:
    """This will yield the messages of `subject` (wildcards allowed) in order: those of the last `since_s` seconds,
    or with None only new ones. It ends with the last one there is, unless it shall `follow`: then it goes on, over
    outages of NATS too. Nothing is made or changed in NATS.

    Raises PublishingUnavailable when NATS is away or denies reading at first, or no stream of ours has the subject.
    """
    reading = _Reading(connection, subject, since_s)
    begun = False
    while True:
        try:
            found = await reading.more()
        except (PublishingUnavailable, *NATS_FAILURES) as failure:
            if not (follow and begun):
                raise _told(failure, subject) from failure
            connection.warn("reading events interrupted", failure)
            await asyncio.sleep(1)  # whatever it was, it is not asked again in a hot loop
            await connection.wait_connected(WAIT_S)
            continue
        begun = True
        for each in found:
            yield InboundMessage(
                subject=each.subject or "", body=each.data or b"", headers=each.headers or {}, attempt=1
            )
        if not found:
            if not follow:
                return
            await asyncio.sleep(LOOK_AGAIN_AFTER_S)


class _Reading:
    """Where to read on: after the last message seen, or from a time."""

    def __init__(self, connection: NatsConnection, subject: str, since_s: float | None) -> None:
        self._connection, self._subject = connection, subject
        # New ones only, too, start at a time: so those that come while NATS is away are not missed.
        self._from = datetime.now(UTC) - timedelta(seconds=since_s or 0)
        self._stream = next((name for name, all_ in SUBJECTS.items() if covers(all_, subject)), None)
        self._next: int | None = None

    async def more(self) -> Sequence[RawStreamMsg]:
        """The next messages, of those that are there; none where there is none yet."""
        if self._next is None and (first := await self._first()) is not None:
            self._next = first
        if self._next is None or (one := await self._get(self._next)) is None:
            return ()
        at = one.seq or 0
        asked = await asyncio.gather(*(self._get(at + ahead) for ahead in range(1, TOGETHER)))
        # Each is the first of its kind at its place or after it, so together they are all there are, without a gap.
        found = {each.seq: each for each in asked if each is not None}
        messages = [one, *(found[sequence] for sequence in sorted(found))]  # type: ignore[type-var]  # all have one
        self._next = (messages[-1].seq or 0) + 1
        return messages

    async def _first(self) -> int | None:
        wanted: dict[str, Any] = {"start_time": self._from.isoformat(), "next_by_subj": self._subject}
        try:
            found = await ask(self._connection, f"STREAM.MSG.GET.{self._of()}", wanted)
        except NotFoundError as missing:
            if missing.err_code != _NO_MESSAGE:
                raise
            return None
        return int(found["message"]["seq"])

    async def _get(self, sequence: int) -> RawStreamMsg | None:
        try:
            return await self._connection.jetstream.get_msg(self._of(), sequence, self._subject, next=True)
        except NotFoundError as missing:
            if missing.err_code != _NO_MESSAGE:
                raise
            return None

    def _of(self) -> str:
        if self._stream is None:
            raise PublishingUnavailable(f"Billing knows no stream with {self._subject}")
        return self._stream


def _told(failure: Exception, subject: str) -> PublishingUnavailable:
    if isinstance(failure, PublishingUnavailable):
        return failure
    if isinstance(failure, NotFoundError):
        return PublishingUnavailable(f"no stream has the subject {subject}; see `billing doctor`")
    return PublishingUnavailable(f"NATS cannot be read right now: {failure}")
