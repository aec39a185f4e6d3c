"""The processes of Billing: HTTP servers and workers, which die and are started again.

They run the real use cases, the worker's own consuming and relaying, and the real schedule of jobs. In memory are only
the ports, and each step through one may be the last.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import cache
from typing import Any, cast

from tests.faults.ports import Crash, Process
from tests.faults.simulation.broker import Consumer, Durable
from tests.faults.simulation.surroundings import Surroundings

from billing_adapters.postgres.outbox import OutboxBell
from billing_core.errors import BillingError, PlatformFault
from billing_core.messages import InboundMessage
from billing_core.use_cases import handle_webhooks, register_merchants
from billing_core.use_cases.answers import Answered
from billing_core.use_cases.consume_messages import ConsumeMessages
from billing_core.use_cases.follow_refunds import FollowRefunds
from billing_core.use_cases.inbound import Done, Outcome, Parked, Retry
from billing_core.use_cases.jobs import JobOutcome, RunDueJobs, ScheduledJob
from billing_core.use_cases.schedule import scheduled_jobs
from billing_worker.consuming import Consumption
from billing_worker.metrics import WorkerMetrics
from billing_worker.relaying import Relaying

# The bell wakes a relay; a look without it comes this often, and seldom once nothing is lost any more.
_POLL_S, _POLL_IN_CALM_S = 40.0, 86_400.0
_GRACE_S = 10.0

Handler = Callable[[Sequence[InboundMessage]], Awaitable[Sequence[Outcome]]]


class Incarnation:
    """A process from its start to its death: its ports and use cases, and everything it is doing."""

    def __init__(self, around: Surroundings, who: str) -> None:
        self._around, self.who = around, who
        self.ports = around.ports(who)
        self.billing = Process(self.ports, catalog=around.price_book)
        self.died: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: list[asyncio.Task[Any]] = []

    def start(self, work: Coroutine[Any, Any, Any], *, for_life: bool) -> "asyncio.Task[Any]":
        """This will do something in this process; it dies when what it does `for_life` ends, or in a crash."""
        task = asyncio.get_running_loop().create_task(self._watch(work, for_life=for_life))
        task.add_done_callback(lambda done: work.close() if done.cancelled() else done.exception())
        self._tasks.append(task)
        return task

    async def end(self) -> None:
        """This will kill the process with everything it does."""
        self.ports.is_dead = True
        self.die()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def die(self) -> None:
        """This will let whoever looks after the process know that it is over."""
        if not self.died.done():
            self.died.set_result(None)

    async def _watch(self, work: Coroutine[Any, Any, Any], *, for_life: bool) -> Any:
        try:
            return await work
        except Crash:
            self.die()
            raise
        except Exception as fault:
            if for_life or not isinstance(fault, BillingError):
                self._around.history.breach(self.who, f"fell over: {fault!r}")
            raise
        finally:
            if for_life:
                self.die()


class Restarted:
    """A process that somebody starts again whenever it died."""

    def __init__(self, around: Surroundings, who: str) -> None:
        self._around, self.who = around, who
        self.now: Incarnation | None = None

    async def run(self) -> None:
        """This will keep the process alive for ever."""
        while True:
            self.now = Incarnation(self._around, self.who)
            self._begin(self.now)
            await self.now.died
            self._around.history.tell(self.who, "is dead")
            dead, self.now = self.now, None
            await dead.end()
            self._around.history.reach("restart")
            await asyncio.sleep(self._around.chance.random() * 5)

    def kill(self) -> None:
        """This will kill the process that runs now, in the middle of whatever it does."""
        if self.now is not None:
            self._around.history.tell(self.who, "is killed")
            self.now.ports.is_dead = True
            self.now.die()

    def _begin(self, process: Incarnation) -> None:
        raise NotImplementedError


class HttpServer(Restarted):
    """An HTTP process: requests that were under way when it died are never answered."""

    def _begin(self, process: Incarnation) -> None:
        """It only answers."""

    async def ask(self, request: Callable[[Process], Awaitable[Answered]], patience_s: float) -> Answered | None:
        """This will have the request answered; None where no answer came. The request may go on without its client.
        Raises what the use case raises."""
        process = self.now
        if process is None:
            return None

        async def answer() -> Answered:
            return await request(process.billing)

        task = process.start(answer(), for_life=False)
        try:
            return await asyncio.wait_for(asyncio.shield(task), patience_s)
        except (TimeoutError, Crash):
            return None
        except asyncio.CancelledError:
            if task.cancelled():  # the request was, not its client
                return None
            raise


class Worker(Restarted):
    """A worker process: two consumers, a relay and a scheduler, all of which end when one of them does."""

    stop: asyncio.Event

    def _begin(self, process: Incarnation) -> None:
        self.stop = asyncio.Event()
        metrics = _metrics()
        for durable, source, handle in (
            (self._around.merchants, register_merchants.SOURCE, process.billing.register_merchants),
            (self._around.webhooks, handle_webhooks.SOURCE, process.billing.handle_webhooks),
        ):
            consumption = self._consumption(process, durable, source, handle, metrics)
            process.start(consumption.run(self.stop), for_life=True)
        bell = cast("OutboxBell", _RelayBell(self._around))  # all the relay asks of it is to wait
        relaying = Relaying(relay=process.billing.relay_events, bell=bell, metrics=metrics)
        process.start(relaying.run(self.stop), for_life=True)
        process.start(self._schedule(process), for_life=True)

    async def stop_gracefully(self) -> None:
        """This will ask the process to finish what it does and end; after a grace it is killed."""
        process = self.now
        if process is None:
            return
        self._around.history.tell(self.who, "is asked to stop")
        self.stop.set()
        for bell in (self._around.recorded, self._around.merchants.bell, self._around.webhooks.bell):
            bell.ring()  # whoever waits looks up
        await asyncio.sleep(_GRACE_S)
        process.die()

    def _consumption(
        self, process: Incarnation, durable: Durable, source: str, handle: Handler, metrics: WorkerMetrics
    ) -> Consumption:
        consume = ConsumeMessages(
            source=source,
            handle=handle,
            units=process.ports.units,
            clock=process.ports.clock,
            new_id=process.billing.new_id,
        )

        async def consume_and_tell(messages: Sequence[InboundMessage]) -> Sequence[Outcome]:
            outcomes = await consume(messages)
            for message, outcome in zip(messages, outcomes, strict=True):
                self._tell(message, outcome)
            return outcomes

        consumer = Consumer(durable, process.ports, self.who)
        return Consumption(name=source, consumer=consumer, consume=consume_and_tell, metrics=metrics)

    def _tell(self, message: InboundMessage, outcome: Outcome) -> None:
        history = self._around.history
        history.tell(self.who, f"{message.headers['Nats-Msg-Id']} is {outcome}")
        if isinstance(outcome, Parked):
            history.reach("parked")
        if isinstance(outcome, Retry):
            history.reach("put off")
        fault = None if isinstance(outcome, Done) else outcome.fault
        if fault is not None and not isinstance(fault, PlatformFault):
            history.breach(self.who, f"an unforeseen fault: {fault!r}")

    async def _schedule(self, process: Incarnation) -> None:
        due = run_due_jobs(self._around, process)
        while not self.stop.is_set() and not self._around.weather.is_calm:
            await asyncio.sleep(30 + self._around.chance.random() * 180)
            try:
                note_jobs(self._around, self.who, await due())
            except BillingError as away:
                self._around.history.tell(self.who, f"scheduler waits: {away}")
        await self._around.end.wait(None)


def run_due_jobs(around: Surroundings, process: Incarnation) -> RunDueJobs:
    """The real schedule, on the ports of a process."""
    ports, jobs = process.ports, _jobs(around, process)
    return RunDueJobs(jobs=jobs, leadership=ports.leadership, runs=ports.runs, clock=ports.clock)


def note_jobs(around: Surroundings, who: str, outcomes: Sequence[JobOutcome], *, healed: bool = False) -> None:
    """This will tell how jobs went, and hold against them whatever only a fault of ours can explain: once everything
    is healed, any failure."""
    for each in outcomes:
        faults = each.report.faults if each.report else (each.error,)
        for fault in faults:
            around.history.tell(who, f"{each.name}: {fault!r}")
            if healed or not isinstance(fault, BillingError):
                around.history.breach(who, f"{each.name} failed: {fault!r}")
        if each.report and each.report.done:
            around.history.tell(who, f"{each.name} did {each.report.done}")
            around.history.reach(f"job {each.name}")
            if each.name == FollowRefunds.name:
                around.history.reach("refund without notice")


def _jobs(around: Surroundings, process: Incarnation) -> Sequence[ScheduledJob]:
    ports = process.ports
    return scheduled_jobs(
        units=ports.units,
        outbox=ports.outbox,
        publisher=ports.publisher,
        housekeeping=ports.housekeeping,
        replays=ports.replays,
        leadership=ports.leadership,
        runs=ports.runs,
        platforms=ports.platforms,
        refund_sources=[each for name, each in ports.platforms.items() if not around.platforms[name].tells_refunds],
        price_book=around.price_book,
        clock=ports.clock,
    )


class _RelayBell:
    """What wakes a relay: whatever anybody records, and the clock."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def wait(self, timeout_s: float) -> None:
        """See `OutboxBell.wait`."""
        del timeout_s
        calm = self._around.weather.is_calm
        await self._around.recorded.wait(_POLL_IN_CALM_S if calm else _POLL_S)


@cache
def _metrics() -> WorkerMetrics:
    return WorkerMetrics()
