"""Faults at the ports: one process of Billing, of which any step that leaves the process may go wrong.

Everything a `FaultyPorts` gives out is a thin proxy over the ports in memory. Before each awaited call of one, the hook
is asked, by the step's label, what befalls it. The storage, the platforms and the broker underneath live on when the
process dies: another `FaultyPorts` over the same ones is the process that comes after it.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from functools import cache, partial
from typing import Any, ParamSpec, Self, TypeVar, cast

from billing_core.errors import PlatformUnavailable, PublishingUnavailable, StorageUnavailable
from billing_core.ports.storage import UnitOfWork
from billing_core.testing import (
    InMemoryBilling,
    InMemoryPublisher,
    InMemoryReplayCache,
    InMemorySender,
    InMemoryStorage,
    ScriptedPlatform,
)
from billing_core.testing.clock import FixedClock
from billing_core.testing.memory.outbox import InMemoryLeadership
from billing_core.testing.memory.storage import InMemoryUnitOfWork

# Longer than a platform is waited for, and than a key stays locked to its first attempt.
SLOW_S = 30.0

P = ParamSpec("P")
Port = TypeVar("Port")
T = TypeVar("T")


class Crash(BaseException):
    """The process dies here: nothing after it in that process may run."""


class PortFault(StrEnum):
    """What may befall one step."""

    CRASH_BEFORE = "crash before"
    """The process dies; the step had no effect."""
    CRASH_AFTER = "crash after"
    """The process dies; the step had its effect."""
    REPLY_LOST = "reply lost"
    """The step had its effect, but the caller is told of trouble."""
    TIMEOUT = "timeout"
    """The step had no effect, and the caller is told of trouble."""
    SLOW = "slow"
    """The step has its effect at once, and its answer comes late."""
    CANCELLED = "cancelled"
    """The task is cancelled at this step, which has no effect."""


Hook = Callable[[str], Awaitable[PortFault | None]]
Trouble = Callable[[], Exception]


async def all_is_well(_label: str) -> PortFault | None:
    """A hook under which nothing goes wrong."""
    return None


async def slowly(_label: str) -> None:
    """This will let `SLOW_S` seconds of the loop's time pass."""
    await asyncio.sleep(SLOW_S)


class FaultyPorts:
    """The ports of one process.

    Labels are `units.open`, `now`, `commit`, `purchases.lock` and so on for a unit of work; `outbox.unpublished`,
    `leadership.lead`, `platform.look_up`, `publisher.publish`, `replays.get`, `sender.send` beside it. Trouble is told
    by each port's own error; the replay cache swallows it, as the real one does. A statement of a unit of work that
    fails breaks its transaction. `slow` is how an answer comes late, `task` whom a cancellation hits.
    """

    def __init__(
        self,
        hook: Hook = all_is_well,
        *,
        storage: InMemoryStorage,
        platforms: Mapping[str, ScriptedPlatform],
        publisher: InMemoryPublisher,
        replays: InMemoryReplayCache,
        sender: InMemorySender | None = None,
        slow: Callable[[str], Awaitable[None]] = slowly,
        task: Callable[[], "asyncio.Task[Any] | None"] = asyncio.current_task,
    ) -> None:
        self._hook, self._slow, self._task, self._storage = hook, slow, task, storage
        self.is_dead = False
        self.tables, self.clock, self.numbers = storage.tables, storage.clock, storage.numbers
        self.requests = self._port("requests", storage.requests, StorageUnavailable)
        self.outbox = self._port("outbox", storage.outbox, StorageUnavailable)
        self.housekeeping = self._port("housekeeping", storage.housekeeping, StorageUnavailable)
        self.runs = self._port("runs", storage.runs, StorageUnavailable)
        self.records = self._port("records", storage.records, StorageUnavailable)
        self.reports = self._port("reports", storage.reports, StorageUnavailable)
        self.data = self._port("data", storage.data, StorageUnavailable)
        self.platforms = {name: self._platform(name, each) for name, each in platforms.items()}
        self.publisher = self._port("publisher", publisher, lambda: PublishingUnavailable("no confirmation came"))
        self.sender = self._port("sender", sender or InMemorySender(), lambda: PublishingUnavailable("no confirmation"))
        self.replays = self._port("replays", replays, None)
        self.leadership = _Leadership(self, storage.leadership)

    def units(self, merchant_id: str | None = None) -> AbstractAsyncContextManager[UnitOfWork]:
        """See `OpenUnitOfWork`."""
        return cast("AbstractAsyncContextManager[UnitOfWork]", _Unit(self, self._storage.units(merchant_id)))

    async def step(
        self, label: str, trouble: Trouble | None, call: Callable[P, Awaitable[T]], *args: P.args, **more: P.kwargs
    ) -> T:
        """This will take one step, which is this call, unless and until something befalls it: `trouble` makes the error
        its port tells of trouble by; a port without one gives None instead. Raises Crash, also in whatever else a dead
        process tries.
        """
        self._must_live()
        fault = await self._hook(label)
        self._must_live()
        if fault is not None:
            return await self._befallen(fault, label, trouble, partial(call, *args, **more))
        try:
            answer = await call(*args, **more)
        except Exception:
            self._must_live()
            raise
        self._must_live()  # the process may have died while this waited, for a lock say
        return answer

    async def _befallen(
        self, fault: PortFault, label: str, trouble: Trouble | None, call: Callable[[], Awaitable[T]]
    ) -> T:
        match fault:
            case PortFault.CRASH_BEFORE:
                raise self._died(label)
            case PortFault.CANCELLED:
                await self._cancelled()
            case PortFault.TIMEOUT:
                return cast("T", _told(trouble))
        answer, refusal = None, None
        try:
            answer = await call()
        except Exception as told:  # noqa: BLE001 - raised again, once it is known whether it gets back to the caller
            refusal = told
        self._must_live()
        match fault:
            case PortFault.CRASH_AFTER:
                raise self._died(label)
            case PortFault.REPLY_LOST:
                return cast("T", _told(trouble))
            case PortFault.SLOW:
                await self._slow(label)
                self._must_live()
        if refusal is not None:
            raise refusal
        return cast("T", answer)

    def _port(self, label: str, port: Port, trouble: Trouble | None) -> Port:
        return cast("Port", _Port(self, label, port, trouble))

    def _platform(self, name: str, platform: ScriptedPlatform) -> ScriptedPlatform:
        return self._port("platform", platform, lambda: PlatformUnavailable(name, "no answer"))

    def _must_live(self) -> None:
        if self.is_dead:
            raise Crash("this process is dead")

    def _died(self, label: str) -> Crash:
        self.is_dead = True
        return Crash(f"died at {label}")

    async def _cancelled(self) -> None:
        task = self._task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)  # here the cancellation arrives


class Process(InMemoryBilling):
    """One process of Billing on its ports: every use case, wired as the apps wire them. When it died, another one over
    the same storage, platforms and broker is the process restarted."""

    def __init__(self, ports: FaultyPorts, **options: Any) -> None:
        self.ports = ports
        clock = cast("FixedClock", ports.clock)
        storage = cast("InMemoryStorage", ports)  # it has whatever a storage has
        super().__init__(platforms=ports.platforms.values(), clock=clock, storage=storage, **options)

    def _wire_requests(self, *args: Any) -> None:
        self.replays, self.publisher, self.sender = self.ports.replays, self.ports.publisher, self.ports.sender
        super()._wire_requests(*args)


class _Port:
    """A port whose awaited calls are steps; all else is the port's own."""

    def __init__(self, ports: FaultyPorts, label: str, port: Any, trouble: Trouble | None) -> None:
        self._ports, self._label, self._port, self._trouble = ports, label, port, trouble

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._port, name)
        if not _is_awaited(getattr(type(self._port), name, None)):
            return value
        taken = partial(self._ports.step, f"{self._label}.{name}", self._trouble, value)
        self.__dict__[name] = taken  # found without us from now on
        return taken


class _Unit:
    """One transaction: a statement that fails breaks it, as a connection that was lost does."""

    def __init__(self, ports: FaultyPorts, opening: AbstractAsyncContextManager[InMemoryUnitOfWork]) -> None:
        self._ports, self._opening, self._broken = ports, opening, False
        self._raw: InMemoryUnitOfWork | None = None

    async def __aenter__(self) -> Self:
        self._raw = await self._ports.step("units.open", StorageUnavailable, self._opening.__aenter__)
        return self

    async def __aexit__(self, *how: Any) -> None:
        await self._opening.__aexit__(*how)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._raw, name)
        if _is_awaited(getattr(type(self._raw), name, None)):
            return partial(self.step, name, value)
        part = self.__dict__[name] = _UnitPart(self, name, value)
        return part

    async def step(self, label: str, call: Callable[..., Awaitable[Any]], *args: Any, **more: Any) -> Any:
        """This will take one step of the transaction."""
        if self._broken:
            raise StorageUnavailable("the connection of this transaction was lost")
        try:
            return await self._ports.step(label, StorageUnavailable, call, *args, **more)
        except StorageUnavailable:
            self._broken = True
            raise


class _UnitPart:
    """The merchants, the purchases, … of one transaction."""

    def __init__(self, unit: _Unit, label: str, part: Any) -> None:
        self._unit, self._label, self._part = unit, label, part

    def __getattr__(self, name: str) -> Any:
        return partial(self._unit.step, f"{self._label}.{name}", getattr(self._part, name))


class _Leadership:
    """See `Leadership`."""

    def __init__(self, ports: FaultyPorts, leadership: InMemoryLeadership) -> None:
        self._ports, self._leadership = ports, leadership

    def lead(self, task: str) -> "_Lead":
        """See `Leadership.lead`."""
        return _Lead(self._ports, self._leadership.lead(task))


class _Lead:
    """One attempt to lead. Who dies of it, or is told of trouble, leads no longer."""

    def __init__(self, ports: FaultyPorts, lead: AbstractAsyncContextManager[bool]) -> None:
        self._ports, self._lead = ports, lead

    async def __aenter__(self) -> bool:
        try:
            return await self._ports.step("leadership.lead", StorageUnavailable, self._lead.__aenter__)
        except BaseException as fault:
            await self.__aexit__(type(fault), fault, fault.__traceback__)
            raise

    async def __aexit__(self, *how: Any) -> None:
        await self._lead.__aexit__(*how)


@cache
def _is_awaited(member: Any) -> bool:
    return inspect.iscoroutinefunction(member)


def _told(trouble: Trouble | None) -> Any:
    """What the caller is told of trouble: an error, or nothing at all."""
    if trouble is None:
        return None
    raise trouble()
