"""Fetch, handle, acknowledge: one durable consumer."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, assert_never

from billing_adapters.logs import get_logger
from billing_adapters.tracing import trace_id_of
from billing_core.errors import MalformedMessage, StorageUnavailable
from billing_core.messages import InboundMessage, open_envelope, untraced
from billing_core.use_cases.inbound import Done, Outcome, Parked, Retry, outage_backoff_s
from billing_worker.metrics import WorkerMetrics

# Of a backlog: what a batch costs beside its messages is shared by all of them. Seldom are there so many at once.
BATCH = 1000
# Batches that are handled at once: while one waits for the database or a platform, the other is thought about. They are
# to each other as those of two workers.
LANES = 2
FETCH_TIMEOUT_S = 1.0
# A third of the consumer's ack_wait: a batch that waits for a slow platform is not delivered to a second worker.
KEEP_ALIVE_S = 10.0

log = get_logger("consumer")

Consume = Callable[[Sequence[InboundMessage]], Awaitable[Sequence[Outcome]]]


class Delivery(Protocol):
    """A message with its acknowledgements."""

    @property
    def message(self) -> InboundMessage: ...
    async def ack(self) -> None: ...
    async def nak(self, delay_s: float) -> None: ...
    async def in_progress(self) -> None: ...


class Fetcher(Protocol):
    """Where deliveries come from."""

    async def fetch(self, batch: int, timeout_s: float) -> Sequence[Delivery]: ...


_KINDS: Final = tuple(each.__name__.lower() for each in (Done, Retry, Parked))


class Consumption:
    """Runs one consumer until it is told to stop; what it fetched it finishes."""

    def __init__(
        self,
        *,
        name: str,
        consumer: Fetcher,
        consume: Consume,
        metrics: WorkerMetrics,
    ) -> None:
        self._name, self._consumer, self._consume, self._metrics = name, consumer, consume, metrics
        self._fetching = asyncio.Lock()
        # From nought: of a series that begins with its first message, Prometheus' increase() does not see that message.
        for kind in _KINDS:
            metrics.messages.labels(name, kind)
        metrics.redelivered.labels(name)

    async def run(self, stop: asyncio.Event) -> None:
        """This will consume until `stop` is set."""
        async with asyncio.TaskGroup() as lanes:
            for _ in range(LANES):
                lanes.create_task(self._run_lane(stop))

    async def _run_lane(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            async with self._fetching:
                deliveries = await self._consumer.fetch(BATCH, FETCH_TIMEOUT_S)
            if deliveries:
                await self.handle(deliveries)

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        """This will handle one batch. Acknowledgements come after the commit, never before."""
        keep_alive = asyncio.create_task(_keep_alive(deliveries))
        try:
            with self._metrics.batch_seconds.labels(self._name).time():
                outcomes = await self._consume([each.message for each in deliveries])
        except StorageUnavailable as away:
            outcomes = [Retry(delay_s=outage_backoff_s(each.message.attempt), reason=str(away)) for each in deliveries]
        finally:
            keep_alive.cancel()
        for delivery, outcome in zip(deliveries, outcomes, strict=True):
            await _acknowledge(delivery, outcome)
            if not isinstance(outcome, Done):
                self._warn(delivery.message, outcome)
            elif outcome.note is not None:
                log.info("message.done", consumer=self._name, note=outcome.note)
        self._count(deliveries, outcomes)

    def _warn(self, message: InboundMessage, outcome: Retry | Parked) -> None:
        log.warning(f"message.{_kind(outcome)}", consumer=self._name, subject=message.subject, attempt=message.attempt,
                    reason=outcome.reason, exc_info=outcome.fault, **_ids(message))  # fmt: skip

    def _count(self, deliveries: Sequence[Delivery], outcomes: Sequence[Outcome]) -> None:
        for kind, many in Counter(map(_kind, outcomes)).items():
            self._metrics.messages.labels(self._name, kind).inc(many)
        if redelivered := sum(delivery.message.attempt > 1 for delivery in deliveries):
            self._metrics.redelivered.labels(self._name).inc(redelivered)


def _ids(message: InboundMessage) -> dict[str, str]:
    """By what a message is followed through logs and events; nothing where it cannot be read."""
    try:
        envelope = open_envelope(message)
    except MalformedMessage:
        return {}
    traceparent = envelope.traceparent or untraced(envelope.correlation_id)
    return {"correlation_id": envelope.correlation_id, "trace_id": trace_id_of(traceparent)}


def _kind(outcome: Outcome) -> str:
    return type(outcome).__name__.lower()


async def _acknowledge(delivery: Delivery, outcome: Outcome) -> None:
    match outcome:
        case Done() | Parked():
            await delivery.ack()
        case Retry():
            await delivery.nak(outcome.delay_s)
        case _:
            assert_never(outcome)


async def _keep_alive(deliveries: Sequence[Delivery]) -> None:
    while True:
        await asyncio.sleep(KEEP_ALIVE_S)
        for delivery in deliveries:
            await delivery.in_progress()
