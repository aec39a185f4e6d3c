"""How the worker acknowledges: after the commit, and what was decided for each message."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from billing_core.errors import StorageUnavailable
from billing_core.messages import InboundMessage
from billing_core.use_cases.inbound import Done, Outcome, Parked, Retry
from billing_worker.consuming import Consumption
from billing_worker.metrics import WorkerMetrics


class RecordedDelivery:
    """A delivery that notes how it was acknowledged."""

    def __init__(self, log: list[str], name: str, attempt: int = 1) -> None:
        self.message = InboundMessage(subject="evt.test", body=name.encode(), headers={}, attempt=attempt)
        self._log, self._name = log, name

    async def ack(self) -> None:
        self._log.append(f"ack {self._name}")

    async def nak(self, delay_s: float) -> None:
        self._log.append(f"nak {self._name} {delay_s}")

    async def in_progress(self) -> None:
        self._log.append(f"in progress {self._name}")


class ScriptedFetcher:
    """Gives the batches it was told to, then stops the consumption."""

    def __init__(self, batches: list[list[RecordedDelivery]], stop: asyncio.Event) -> None:
        self._batches, self._stop = batches, stop

    async def fetch(self, batch: int, timeout_s: float) -> Sequence[RecordedDelivery]:
        if not self._batches:
            self._stop.set()
            return []
        return self._batches.pop(0)


Consume = Callable[[Sequence[InboundMessage]], Awaitable[Sequence[Outcome]]]


async def consumed(consume: Consume, *batches: list[RecordedDelivery]) -> WorkerMetrics:
    stop, metrics = asyncio.Event(), WorkerMetrics()
    fetcher = ScriptedFetcher(list(batches), stop)
    await Consumption(name="billing-test", consumer=fetcher, consume=consume, metrics=metrics).run(stop)
    return metrics


class TestConsumption:
    async def test_each_message_is_acknowledged_by_its_outcome(self) -> None:
        """Done and parked messages are acknowledged, others are put off by the decided delay."""
        log: list[str] = []

        async def consume(messages: Sequence[InboundMessage]) -> Sequence[Outcome]:
            log.append("committed")
            return [Done(), Retry(delay_s=7, reason="not yet"), Parked(reason="no JSON")]

        await consumed(consume, [RecordedDelivery(log, name) for name in ("a", "b", "c")])

        assert log == ["committed", "ack a", "nak b 7", "ack c"]

    async def test_an_outage_acknowledges_nothing(self) -> None:
        """Where the database is away while parking, every message of the batch comes again, later each time
        but never after long: the database may be back by then."""
        log: list[str] = []

        async def consume(messages: Sequence[InboundMessage]) -> Sequence[Outcome]:
            raise StorageUnavailable

        await consumed(consume, [RecordedDelivery(log, "a", attempt=1), RecordedDelivery(log, "b", attempt=9)])

        assert log == ["nak a 2", "nak b 8"]

    async def test_a_fault_of_the_code_stops_the_worker_with_nothing_acknowledged(self) -> None:
        """What nobody foresaw takes the process down rather than losing a message."""
        log: list[str] = []

        async def consume(messages: Sequence[InboundMessage]) -> Sequence[Outcome]:
            raise ZeroDivisionError

        with pytest.RaisesGroup(ZeroDivisionError):
            await consumed(consume, [RecordedDelivery(log, "a")])

        assert log == []

    async def test_while_one_batch_waits_another_is_handled(self) -> None:
        """A slow platform or commit holds up its own batch, and the next is thought about meanwhile."""
        log: list[str] = []
        second_is_done = asyncio.Event()

        async def consume(messages: Sequence[InboundMessage]) -> Sequence[Outcome]:
            if messages[0].body == b"first":
                await second_is_done.wait()
            else:
                second_is_done.set()
            return [Done()]

        await consumed(consume, [RecordedDelivery(log, "first")], [RecordedDelivery(log, "second")])

        assert log == ["ack second", "ack first"]

    async def test_outcomes_and_redeliveries_are_counted(self) -> None:
        """Every message is counted under its outcome, and again where it was delivered before."""

        async def consume(messages: Sequence[InboundMessage]) -> Sequence[Outcome]:
            return [Done() for _ in messages]

        metrics = await consumed(consume, [RecordedDelivery([], "a"), RecordedDelivery([], "b", attempt=2)])

        registry = metrics.registry
        labels = {"consumer": "billing-test"}
        assert registry.get_sample_value("billing_messages_total", {**labels, "outcome": "done"}) == 2
        assert registry.get_sample_value("billing_messages_redelivered_total", labels) == 1


async def test_what_has_not_happened_yet_is_counted_as_nought() -> None:
    """A series that begins at its first value hides it from increase(): many parked at once would wake nobody."""
    metrics = await consumed(_all_done)
    told = {
        kind: metrics.registry.get_sample_value("billing_messages_total", {"consumer": "billing-test", "outcome": kind})
        for kind in ("done", "retry", "parked")
    }
    redelivered = metrics.registry.get_sample_value("billing_messages_redelivered_total", {"consumer": "billing-test"})

    assert told == {"done": 0, "retry": 0, "parked": 0}
    assert redelivered == 0


async def _all_done(messages: Sequence[InboundMessage]) -> Sequence[Outcome]:
    return [Done() for _ in messages]
