"""Start the worker, run its loops, stop them in order."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import uvloop

from billing_adapters.logs import configure_logs, get_logger
from billing_adapters.nats.connection import NatsConnection
from billing_adapters.nats.streams import ensure_consumers, ensure_streams, keep_streams
from billing_adapters.preflight import refuse_superuser
from billing_adapters.resources import Resources, open_resources
from billing_adapters.settings import Settings, load_settings
from billing_core.errors import BillingError, PublishingUnavailable
from billing_worker.container import WorkerContainer, build_container

TOPOLOGY_RETRY_S = 1.0


class Loop(Protocol):
    """What the worker does all the time."""

    async def run(self, stop: asyncio.Event) -> None:
        """This will go on until `stop` is set."""
        ...


def main(arguments: Sequence[str] = ()) -> int:
    """This will run a worker until SIGTERM or SIGINT. Returns 0, or 1 where it may not start or fell over."""
    try:
        settings = load_settings()
        configure_logs(settings.log_level, app="worker")
        uvloop.run(run(settings))
    except BillingError as refusal:
        print(f"{refusal.code}: {refusal}", file=sys.stderr)  # noqa: T201 - the person who started it reads this
        return 1
    return 0


async def run(settings: Settings) -> None:
    """This will open the resources, run every loop, and close in reverse once a signal comes."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    price_book = settings.load_price_book()
    await refuse_superuser(settings)
    async with open_resources(settings, app="worker") as resources:
        container = build_container(resources=resources, price_book=price_book)
        container.metrics().serve(settings.worker_metrics_port, settings.host)
        await _run_loops(container, resources, settings, stop)
        get_logger("worker").info("worker.stopped")


async def _run_loops(container: WorkerContainer, resources: Resources, settings: Settings, stop: asyncio.Event) -> None:
    loops = (container.merchants(), container.purchases(), container.relaying(), container.scheduling())
    async with asyncio.TaskGroup() as tasks:  # a loop that falls over takes the process down, to be started again
        tasks.create_task(_keep_topology(resources.nats, settings, stop))
        for loop in loops:
            tasks.create_task(_run_loop(loop, stop))


async def _run_loop(loop: Loop, stop: asyncio.Event) -> None:
    try:
        await loop.run(stop)
    finally:
        stop.set()  # a worker with one loop less is none: the others end too, even those that miss a cancellation


async def _keep_topology(nats: NatsConnection, settings: Settings, stop: asyncio.Event) -> None:
    """Streams and consumers are made as soon as NATS is there, and looked after from then on."""
    log = get_logger("worker")
    ready = False
    while not ready and not stop.is_set():
        try:
            await ensure_streams(nats, manage_all=settings.nats_manage_streams)
            await ensure_consumers(nats)
            ready = True
        except PublishingUnavailable as away:
            log.warning("worker.waits_for_nats", reason=str(away))
            with suppress(TimeoutError):  # nobody stopped us: try again
                await asyncio.wait_for(stop.wait(), TOPOLOGY_RETRY_S)
    if ready:
        log.info("worker.ready")
        if ready_file := os.environ.get("BILLING_READY_FILE"):
            await asyncio.to_thread(Path(ready_file).write_text, "ready\n")
    await keep_streams(nats, manage_all=settings.nats_manage_streams, stop=stop)
