"""Fetch, handle, acknowledge: one durable consumer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, assert_never

from billing_adapters.logs import get_logger
from billing_core.errors import StorageUnavailable
from billing_core.messages import InboundMessage
from billing_core.use_cases.inbound import Done, Outcome, Parked, Retry, outage_delay_s
from billing_worker.metrics import WorkerMetrics

BATCH = 256
FETCH_TIMEOUT_S = 1.0
# A third of the consumer's ack_wait: a batch that waits for a slow platform is not delivered to a second worker.
KEEP_ALIVE_S = 10.0

log = get_logger("consumer")


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


class Consumption:
    """Runs one consumer until it is told to stop; what it fetched it finishes."""

    def __init__(
        self,
        *,
        name: str,
        consumer: Fetcher,
        consume: Callable[[Sequence[InboundMessage]], Awaitable[Sequence[Outcome]]],
        metrics: WorkerMetrics,
    ) -> None:
        self._name, self._consumer, self._consume, self._metrics = name, consumer, consume, metrics

    async def run(self, stop: asyncio.Event) -> None:
        """This will consume until `stop` is set."""
        while not stop.is_set():
            if deliveries := await self._consumer.fetch(BATCH, FETCH_TIMEOUT_S):
                await self.handle(deliveries)

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        """This will handle one batch. Acknowledgements come after the commit, never before."""
        keep_alive = asyncio.create_task(_keep_alive(deliveries))
        try:
            with self._metrics.batch_seconds.labels(self._name).time():
                outcomes = await self._consume([each.message for each in deliveries])
        except StorageUnavailable as away:
            outcomes = [Retry(delay_s=outage_delay_s(each.message.attempt), reason=str(away)) for each in deliveries]
        finally:
            keep_alive.cancel()
        for delivery, outcome in zip(deliveries, outcomes, strict=True):
            self._tell(delivery.message, outcome)
            await _acknowledge(delivery, outcome)

    def _tell(self, message: InboundMessage, outcome: Outcome) -> None:
        kind = type(outcome).__name__.lower()
        self._metrics.messages.labels(self._name, kind).inc()
        if message.attempt > 1:
            self._metrics.redelivered.labels(self._name).inc()
        if not isinstance(outcome, Done):
            log.warning(f"message.{kind}", consumer=self._name, subject=message.subject, attempt=message.attempt,
                        reason=outcome.reason, exc_info=outcome.fault)  # fmt: skip


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
