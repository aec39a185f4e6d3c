"""The broker as consumers see it: every message at least once, in no order to rely on."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

from tests.faults.ports import FaultyPorts
from tests.faults.simulation.weather import Bell, History, Weather

from billing_core.messages import InboundMessage

ACK_WAIT_S = 30.0
_SLOWEST_S = 20.0


@dataclass(slots=True, kw_only=True, eq=False)
class _Stored:
    """A message of the stream, and how far the consumer is with it. Nobody else has it until `due_at`."""

    message: InboundMessage
    due_at: float
    deliveries: int = 0
    is_done: bool = False


@dataclass(slots=True)
class Durable:
    """A durable consumer's stream, shared by all workers: deliveries without limit until they are acknowledged."""

    name: str
    chance: Random
    history: History
    weather: Weather
    stored: list[_Stored] = field(default_factory=list)
    bell: Bell = field(default_factory=Bell)

    def publish(self, message: InboundMessage) -> None:
        """This will take a message, deliver it soon or late, and sometimes store it twice."""
        copies = 1 if self.weather.is_calm or self.chance.random() > 0.15 else 2
        for _ in range(copies):
            delay_s = 0.0 if self.weather.is_calm else self.chance.random() ** 2 * _SLOWEST_S
            self.stored.append(_Stored(message=message, due_at=self._now + delay_s))
        if copies > 1:
            self.history.reach("duplicate message")
        self.bell.ring()

    @property
    def waiting(self) -> Sequence[str]:
        """The ids of messages that are not done yet."""
        return [each.message.headers["Nats-Msg-Id"] for each in self.stored]

    def take(self, batch: int) -> Sequence[_Stored]:
        """Some of the messages that are due, in any order; nobody else gets them within `ACK_WAIT_S`."""
        due = [each for each in self.stored if each.due_at <= self._now]
        self.chance.shuffle(due)
        taken = due[: min(batch, self.chance.randint(1, 8))]
        for each in taken:
            each.due_at = self._now + ACK_WAIT_S
            each.deliveries += 1
        return taken

    async def wait(self) -> None:
        """This will wait until a message may be due."""
        soonest = min((each.due_at for each in self.stored), default=None)
        await self.bell.wait(None if soonest is None else max(soonest - self._now, 0.001))

    def settle(self, stored: _Stored, *, done: bool, delay_s: float = 0.0) -> None:
        """This will note how a delivery ended, whoever says so: acknowledgements are not fenced."""
        if done and not stored.is_done:
            stored.is_done = True
            self.stored.remove(stored)
        stored.due_at = self._now + delay_s
        self.bell.ring()

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()


class Delivery:
    """One delivery to one process. An answer that is lost on the way is forgotten, as `NatsConsumer` does."""

    def __init__(self, durable: Durable, ports: FaultyPorts, stored: _Stored) -> None:
        self._durable, self._ports, self._stored = durable, ports, stored
        self.message = replace(stored.message, attempt=stored.deliveries)

    async def ack(self) -> None:
        """See `billing_worker.consuming.Delivery`."""
        await self._answer("broker.ack", done=True)

    async def nak(self, delay_s: float) -> None:
        """See `billing_worker.consuming.Delivery`."""
        await self._answer("broker.nak", done=False, delay_s=delay_s)

    async def in_progress(self) -> None:
        """See `billing_worker.consuming.Delivery`."""
        await self._answer("broker.in_progress", done=False, delay_s=ACK_WAIT_S)

    async def _answer(self, label: str, *, done: bool, delay_s: float = 0.0) -> None:
        await self._ports.step(label, None, self._settle, done=done, delay_s=delay_s)

    async def _settle(self, *, done: bool, delay_s: float) -> None:
        self._durable.settle(self._stored, done=done, delay_s=delay_s)


class Consumer:
    """A process's end of a durable consumer: what `billing_worker.consuming.Consumption` fetches from."""

    def __init__(self, durable: Durable, ports: FaultyPorts, who: str) -> None:
        self._durable, self._ports, self._who = durable, ports, who

    async def fetch(self, batch: int, timeout_s: float) -> Sequence[Delivery]:
        """See `billing_worker.consuming.Fetcher`; it waits until there is something, for nobody counts the polls."""
        del timeout_s
        await self._durable.wait()
        taken = await self._ports.step("broker.fetch", None, self._take, batch) or ()
        for each in taken:
            self._durable.history.tell(self._who, f"gets {_name(each)}, delivery {each.deliveries}")
            if each.deliveries > 1:
                self._durable.history.reach("redelivery")
        return [Delivery(self._durable, self._ports, each) for each in taken]

    async def _take(self, batch: int) -> Sequence[_Stored]:
        return self._durable.take(batch)


def _name(stored: _Stored) -> str:
    return stored.message.headers["Nats-Msg-Id"]
