"""Start the worker, run its loops, stop them in order."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import uvloop

from billing_adapters.garbage import collect_garbage_seldom
from billing_adapters.logs import configure_logs, get_logger
from billing_adapters.nats.connection import NatsConnection
from billing_adapters.nats.keeping import keep_streams
from billing_adapters.nats.streams import ensure_consumers, ensure_streams
from billing_adapters.preflight import refuse_another_redaction_key, refuse_unbound_role
from billing_adapters.prometheus.watching import watching
from billing_adapters.resources import open_resources
from billing_adapters.settings import InvalidConfiguration, Settings, load_settings
from billing_core.errors import BillingError, PublishingUnavailable
from billing_worker.container import build_container
from billing_worker.metrics import WorkerMetrics
from billing_worker.observatory import Observatory
from billing_worker.running import run_loops

TOPOLOGY_RETRY_S = 1.0


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
    await refuse_unbound_role(settings)
    await refuse_another_redaction_key(settings)
    metrics = WorkerMetrics()
    with _observatory(metrics, settings):
        async with (
            open_resources(settings, app="worker", every_merchant=True, traced=True) as resources,
            watching(resources, metrics.process),
        ):
            container = build_container(
                resources=resources,
                price_book=price_book,
                metrics=metrics,
                pseudonyms=settings.pseudonyms,
                relay_lanes=settings.relay_lanes,
            )
            resources.nats.tell_denials(metrics.process.count_denial)
            topology = _Topology(resources.nats, manage_all=settings.nats_manage_streams)
            collect_garbage_seldom()
            if await run_loops((topology, *container.loops()), stop):
                get_logger("worker").info("worker.stopped")


def _observatory(metrics: WorkerMetrics, settings: Settings) -> Observatory:
    host, port = settings.host, settings.worker_metrics_port
    try:
        return Observatory(metrics, host=host, port=port)
    except OSError as wrong:
        told = f"BILLING_WORKER_METRICS_PORT: cannot listen on {host} port {port}: {wrong.strerror}"
        raise InvalidConfiguration(told) from wrong


class _Topology:
    """The loop that looks after streams and consumers."""

    def __init__(self, nats: NatsConnection, *, manage_all: bool) -> None:
        self._nats, self._manage_all = nats, manage_all

    async def run(self, stop: asyncio.Event) -> None:
        await _keep_topology(self._nats, stop, manage_all=self._manage_all)


async def _keep_topology(nats: NatsConnection, stop: asyncio.Event, *, manage_all: bool) -> None:
    """Streams and consumers are made as soon as NATS is there, and looked after from then on."""
    log = get_logger("worker")
    ready = False
    while not ready and not stop.is_set():
        try:
            await ensure_streams(nats, manage_all=manage_all)
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
    await keep_streams(nats, manage_all=manage_all, stop=stop)
