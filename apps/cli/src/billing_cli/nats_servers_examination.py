"""What `billing doctor` looks at in the servers of NATS, of which there may be several: who keeps the streams, and
whether each tells its disk before it acknowledges."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from billing_adapters.nats.connection import NatsConnection
from billing_adapters.nats.replicas import keepers_of_streams
from billing_adapters.outbound import Destinations, open_client
from billing_adapters.settings import Settings
from billing_cli.configuration import mask_url
from billing_cli.findings import Finding, grave, ok, warn
from billing_core.errors import PublishingUnavailable

MONITOR_PORT: Final = 8222  # where NATS' monitoring listens by custom
MONITOR_TIMEOUT_S: Final = 2.0
SYNC: Final = "jetstream sync"
REPLICAS: Final = "replicas"


async def examine_replicas(nats: NatsConnection) -> Sequence[Finding]:
    """This will tell of each stream whether a server less would lose it, or would stop it. Never raises for what it
    looks for: that is a finding."""
    try:
        keepers = await keepers_of_streams(nats)
    except PublishingUnavailable as away:
        return [warn(REPLICAS, f"not known: {away}", "See `streams`.")]
    found = [
        warn(REPLICAS, f"{each.stream} misses {', '.join(each.away)}", "Start that server, or wait until it follows.")
        for each in keepers
        if each.away
    ]
    if alone := [each.stream for each in keepers if each.is_clustered and each.many == 1]:
        remedy = "Set BILLING_NATS_REPLICAS=3, and run `billing nats upgrade` or start a worker."
        found.append(warn(REPLICAS, f"one server of the cluster keeps {', '.join(alone)} alone", remedy))
    return found or [ok(REPLICAS, "every server that keeps a stream follows")]


async def examine_sync(settings: Settings) -> Finding:
    """Whether the disk is told before a message is acknowledged: each server's own setting, shown by its monitoring."""
    urls = _monitors(settings)
    answers = await asyncio.gather(*(_is_synced(url) for url in urls))
    if careless := [mask_url(url) for url, synced in zip(urls, answers, strict=True) if synced is False]:
        remedy = "Set `sync_interval: always` in the jetstream block: a power cut loses up to two minutes otherwise."
        where = f" ({', '.join(careless)})" if len(urls) > 1 else ""
        detail = f"messages are acknowledged before they are on disk{where}"
        return grave(SYNC, detail, remedy, production=settings.env == "production")
    if unseen := [
        f"{mask_url(url)}/varz cannot be read ({type(answer).__name__})"
        for url, answer in zip(urls, answers, strict=True)
        if isinstance(answer, Exception)
    ]:
        remedy = "Set BILLING_NATS_MONITOR_URL, or see yourself that the server has `sync_interval: always`."
        return warn(SYNC, f"not known: {', '.join(unseen)}", remedy)
    return ok(SYNC, "every message is on disk before it is acknowledged")


def _monitors(settings: Settings) -> Sequence[str]:
    told = (settings.nats_monitor_url or "").split(",")
    # By custom, in the order of the servers; several on one machine would be asked once.
    hosts = dict.fromkeys(urlsplit(each.strip()).hostname for each in settings.nats_url.get_secret_value().split(","))
    custom = [f"http://{host}:{MONITOR_PORT}" for host in hosts]
    return [each.strip() for each in told if each.strip()] or custom


async def _is_synced(url: str) -> bool | Exception:
    try:
        varz = await _varz(url)
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as unseen:
        return unseen
    return varz.get("jetstream", {}).get("config", {}).get("sync_always") is True


async def _varz(url: str) -> dict[str, Any]:
    async with open_client(Destinations.of(url), timeout_s=MONITOR_TIMEOUT_S) as client:
        answer = await client.get(f"{url.rstrip('/')}/varz")
    answer.raise_for_status()
    varz = answer.json()
    if not isinstance(varz, dict) or "server_id" not in varz:
        raise ValueError("this is not NATS' monitoring")
    return varz
