"""One run: a world made from a seed, a storm over it, peace, and the oracle's judgement."""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from random import Random
from typing import Any

import structlog
from tests.faults.oracle import BookEntry, Evidence, violations
from tests.faults.simulation.clients import Client
from tests.faults.simulation.leaving import RETURNED, goes_and_comes_back
from tests.faults.simulation.loop import Stuck, simulate
from tests.faults.simulation.payers import Platforms
from tests.faults.simulation.processes import HttpServer, Incarnation, Restarted, Worker, note_jobs, run_due_jobs
from tests.faults.simulation.surroundings import SHOPS, Surroundings

from billing_core.domain.events import FACTS, Fact
from billing_core.domain.payments import DisputeStatus, PaymentStatus
from billing_core.messages import Event, decode_event
from billing_core.ports.publishing import OutboxEvent
from billing_core.testing.scripted_platform import Payment

# How long after the storm everything is looked at: when what was put off comes again, when refunds are read, and when
# trials are over.
_LOOKS = (timedelta(minutes=8), timedelta(minutes=70), timedelta(hours=27))
_ARCHIVED = timedelta(days=91)
_STORM_S = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a seed: the rules it broke (none), what it reached, how many faults it had, and its history."""

    seed: int
    broken: Sequence[str]
    reached: Counter[str]
    faults: int
    seconds: float
    lines: Sequence[str]


def run_seed(seed: int, *, fault_rate: float = 0.02, told: bool = False, steps_too: bool = False) -> Outcome:
    """This will run the world of a seed and judge it. With `told` its history is kept, with `steps_too` each step of
    each process in it."""
    with structlog.testing.capture_logs() as logs, _garbage_kept():
        outcome = _run_world(seed, fault_rate=fault_rate, told=told, steps_too=steps_too)
    assert all("sk_" not in str(each) for each in logs)
    return outcome


def _run_world(seed: int, **options: Any) -> Outcome:
    world = _World(seed, **options)
    try:
        return simulate(world.run(), seed=seed)
    except Stuck as stuck:
        return world.outcome([str(stuck)])


class _World:
    def __init__(self, seed: int, *, fault_rate: float, told: bool, steps_too: bool) -> None:
        self._seed, self._fault_rate, self._told, self._steps_too = seed, fault_rate, told, steps_too
        # Who leaves is decided apart, so that the worlds are those they were before anybody could.
        self._chance, self._leaving = Random(~seed), Random(seed)

    async def run(self) -> Outcome:
        self._around = around = Surroundings(
            self._chance, fault_rate=self._fault_rate, told=self._told, steps_too=self._steps_too
        )
        self._servers = [HttpServer(around, f"http-{number}") for number in (1, 2)]
        self._workers = [Worker(around, f"worker-{number}") for number in (1, 2)]
        self._platforms = Platforms(around)
        processes = [asyncio.create_task(each.run()) for each in (*self._servers, *self._workers)]
        try:
            await self._live()
        finally:
            await _end_all(processes)
        return self.outcome(violations(self._evidence()))

    def outcome(self, broken: Sequence[str]) -> Outcome:
        """What came of it so far: these rules are broken, and those of which the history tells."""
        history = self._around.history
        return Outcome(
            seed=self._seed,
            broken=[*history.broken, *broken],
            reached=history.reached,
            faults=self._around.weather.faults,
            seconds=history.now,
            lines=history.lines,
        )

    # --- what happens ----------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        self._platforms.announce_merchants()
        rush = self._chance.random() < 0.3
        clients = [asyncio.create_task(each.live(self._chance.randint(1, 2), rush=rush)) for each in self._clients()]
        await self._storm()
        self._around.weather.calm()
        await asyncio.gather(*clients)
        await self._platforms.close()
        last = Incarnation(self._around, "healed")
        for pause in _LOOKS:
            await self._look_after(last, pause)
        if self._chance.random() < 0.1:
            await self._change_what_is_archived(last)
        if self._leaving.random() < 0.2:
            await goes_and_comes_back(self._around, self._platforms, last)
            await self._look_after(last, _LOOKS[-1])
        await last.end()
        self._note_what_is_left()

    def _clients(self) -> Sequence[Client]:
        around, on_checkout = self._around, self._platforms.checkout
        return [Client(around, self._servers, merchant, on_checkout) for merchant in around.shops.values()]

    async def _storm(self) -> None:
        """Besides the faults at single steps: processes that are killed, stopped, paused, and whole outages."""
        loop, chance, weather = asyncio.get_running_loop(), self._chance, self._around.weather
        while loop.time() < _STORM_S:
            await asyncio.sleep(chance.random() * 60)
            process: Restarted = chance.choice([*self._servers, *self._workers])
            luck = chance.random()
            if luck < 0.25:
                weather.outage(chance.choice(("storage", "platform", "publisher", "replays")), 5 + chance.random() * 40)
            elif luck < 0.45:
                weather.pause(process.who, 1 + chance.random() * 50)
            elif luck < 0.6:
                process.kill()
                weather.faults += 1
            elif luck < 0.7:
                await chance.choice(self._workers).stop_gracefully()
            elif luck < 0.8:
                self._platforms.poison()
            elif luck < 0.9:
                self._around.replays.lose_everything()

    async def _look_after(self, process: Incarnation, pause: timedelta) -> None:
        await asyncio.sleep(pause.total_seconds())
        note_jobs(self._around, process.who, await run_due_jobs(self._around, process)(), healed=True)
        await asyncio.sleep(60)  # what the jobs recorded is relayed

    async def _change_what_is_archived(self, process: Incarnation) -> None:
        """Three months later the money of purchases that were archived goes back all the same."""
        await self._look_after(process, _ARCHIVED)
        for reference in self._platforms.paid:
            self._around.history.reach("change after the archive")
            self._platforms.notify(reference, sure=True)
            await self._platforms.change_after_payment(reference)
        for pause in _LOOKS[:2]:
            await self._look_after(process, pause)

    # --- what is left ----------------------------------------------------------------------------------------------

    def _note_what_is_left(self) -> None:
        for durable in (self._around.merchants, self._around.webhooks):
            for message_id in durable.waiting:
                self._around.history.breach(durable.name, f"{message_id} is still not done")
        tables = self._around.storage.tables
        parked = {each.message_id for each in tables.parked.values()}
        for poison in self._around.poisons:
            if poison & parked:
                self._around.history.reach("parked poison")
            else:
                self._around.history.breach("webhooks", f"{max(poison)} was dropped")
        purchases = [*tables.purchases.values(), *tables.archive.values()]
        self._around.history.reached["late payment"] += sum(each.late for each in purchases)
        self._around.history.reached["review"] += sum(each.needs_review for each in purchases)
        self._around.history.reached["paid"] += sum(each.is_paid for each in purchases)
        self._around.history.reached["archived"] += len(tables.archive)

    def _evidence(self) -> Evidence:
        tables = self._around.storage.tables
        return Evidence(
            purchases=[*tables.purchases.values(), *tables.archive.values()],
            trials=list(tables.trials.values()),
            shops={merchant_id: "/".join(shop) for merchant_id, shop in (SHOPS | RETURNED).items()},
            published=_decoded(self._around.publisher.published),
            books={reference: self._entry(reference, each) for reference, each in self._payments.items()},
            told=self._around.told,
            parked=list(tables.parked.values()),
            poisoned=frozenset().union(*self._around.poisons),
            unpublished=sum(row.published_at is None for row in tables.outbox.values()),
        )

    def _entry(self, reference: str, payment: Payment) -> BookEntry:
        tells = self._around.platforms[payment.purchase.platform].tells_refunds
        return BookEntry(
            reference=reference,
            paid=payment.status is PaymentStatus.PAID,
            price=payment.price,
            refunded_minor=payment.refunded_minor,
            dispute=payment.dispute if tells else DisputeStatus.NONE,
        )

    @property
    def _payments(self) -> dict[str, Payment]:
        return {key: each for platform in self._around.platforms.values() for key, each in platform.payments.items()}


def _decoded(events: Sequence[OutboxEvent]) -> Sequence[Event[Fact]]:
    _event_models()
    return [decode_event(event.body) for event in events]


@cache
def _event_models() -> Sequence[type[Event[Fact]]]:
    """Every event's model, kept: pydantic forgets those that nobody holds, and making one takes milliseconds."""
    return [Event[fact] for fact in FACTS]  # type: ignore[valid-type]


@contextmanager
def _garbage_kept() -> Iterator[None]:
    """A world is small and soon over: what it leaves is collected once, at its end, which saves a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.collect(0)
        if was_on:
            gc.enable()


async def _end_all(processes: Sequence["asyncio.Task[None]"]) -> None:
    """Kill everything that still runs, so that nothing outlives its world."""
    mine = asyncio.current_task()
    others = [each for each in asyncio.all_tasks() if each is not mine]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, *processes, return_exceptions=True)
