"""Measure how things stand, in one worker of all: scrapes ask no database, and many workers not more than one."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from billing_adapters.logs import get_logger
from billing_adapters.nats.advisories import count_given_up
from billing_adapters.nats.connection import NatsConnection
from billing_adapters.nats.consumer import pending
from billing_adapters.nats.streams import CONSUMERS
from billing_adapters.postgres.figures import PostgresFigures
from billing_core.errors import PublishingUnavailable, StorageUnavailable
from billing_core.ports.storage import Leadership
from billing_core.use_cases.jobs import ScheduledJob
from billing_worker.metrics import StandingMetrics

EVERY_S: Final = 10.0
# How many times the one that measures does so before another may take over.
ROUNDS: Final = 6
TASK: Final = "measure"

log = get_logger("measure")


class Measuring:
    """Measures until it is told to stop, while it is the one that leads."""

    def __init__(
        self,
        *,
        figures: PostgresFigures,
        nats: NatsConnection,
        jobs: Sequence[ScheduledJob],
        leadership: Leadership,
        metrics: StandingMetrics,
        every_s: float = EVERY_S,
    ) -> None:
        self._figures, self._nats, self._jobs = figures, nats, jobs
        self._leadership, self._metrics, self._every_s = leadership, metrics, every_s
        self._began_s = time.monotonic()

    async def run(self, stop: asyncio.Event) -> None:
        """This will measure every few seconds until `stop` is set."""
        while not stop.is_set():
            try:
                async with self._leadership.lead(TASK) as leading:
                    if leading:
                        await self._lead(stop)
            except (StorageUnavailable, PublishingUnavailable) as away:
                log.warning("measure.waits", code=away.code, reason=str(away))
            self._metrics.fall_silent()
            await self._pause(stop)

    async def _lead(self, stop: asyncio.Event) -> None:
        for _ in range(ROUNDS):
            await self._measure()
            await self._pause(stop)
            if stop.is_set():
                return

    async def _measure(self) -> None:
        figures = await self._figures.read()
        self._metrics.tell(figures, self._jobs, running_for_s=time.monotonic() - self._began_s)
        if self._nats.is_connected:
            waiting = {plan.durable: await pending(self._nats, plan) for plan in CONSUMERS}
            given_up = await count_given_up(self._nats) or 0
            self._metrics.tell_of_nats({name: n for name, n in waiting.items() if n is not None}, given_up)
            if given_up:
                self._nats.warn("NATS gave messages up; see `billing doctor`", f"{given_up} message(s)")

    async def _pause(self, stop: asyncio.Event) -> None:
        with suppress(TimeoutError):  # nobody stopped us: go on
            await asyncio.wait_for(stop.wait(), self._every_s)
