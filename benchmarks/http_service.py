"""The HTTP services that compete: ours through its entry point, the floor and the first build, one process each."""

import asyncio
import http.client
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from benchmarks.load import LOOPBACK, Job, drive, write_requests
from benchmarks.merchants import add_merchants
from benchmarks.stage import Stage
from billing_cli.local_service import free_port
from billing_cli.processes import AppProcess
from billing_cli.tokens import Signer

READY_WITHIN_S = 30.0
WARM_UP_MERCHANTS, QUICK_WARM_UP_MERCHANTS = 100, 20
LOOK_EVERY_S = 0.02
ISSUER, AUDIENCE, PLATFORM = "bench", "billing", "sandbox"
POOL_SIZE = 10
RETURN_URL = "https://shop.example/billing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service that is ready. `prepared` has the files of requests that are prepared once."""

    stage: Stage
    port: int
    signer: Signer
    prepared: dict[str, Path] = field(default_factory=dict)

    def get(self, target: str, merchant_id: str, user: str = "user") -> bytes:
        """A request as the merchant's client sends it; each user has a token of its own."""
        return self._request("GET", target, merchant_id, user).encode() + b"\r\n"

    def purchase(self, merchant_id: str, pack: str, key: str) -> bytes:
        """A request to buy a pack."""
        body = f'{{"pack":"{pack}","return_url":"{RETURN_URL}"}}'
        head = (
            f"{self._request('POST', '/api/billing/purchases', merchant_id)}Idempotency-Key: {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return (head + body).encode()

    def _request(self, method: str, target: str, merchant_id: str, user: str = "user") -> str:
        token = self.signer.sign(
            merchant_id=merchant_id, platform=PLATFORM, subject=f"{user}-of-{merchant_id}", ttl=timedelta(hours=12)
        )
        return (
            f"{method} {target} HTTP/1.1\r\nHost: {LOOPBACK}:{self.port}\r\nAuthorization: Bearer {token}\r\n"
            f"X-Platform: {PLATFORM}\r\nAccept: application/json\r\n"
        )


@asynccontextmanager
async def ours(stage: Stage) -> AsyncIterator[Service]:
    """Billing, as `python -m billing_http` runs."""
    async with serving(stage, "billing_http") as service:
        yield service


@asynccontextmanager
async def floor(stage: Stage) -> AsyncIterator[Service]:
    """The same rows and documents, with nothing between the socket and hand-written SQL."""
    async with serving(stage, "benchmarks.floors.http") as service:
        yield service


@asynccontextmanager
async def first_build(stage: Stage) -> AsyncIterator[Service]:
    """The same rows and documents, as a team would write them first."""
    async with serving(stage, "benchmarks.baselines.http") as service:
        yield service


@asynccontextmanager
async def started(stage: Stage, module: str) -> AsyncIterator[Service]:
    """`module`, as soon as it says that it is ready."""
    port, secret = free_port(), secrets.token_hex(32)
    environment = {
        # The sandbox is refused in production; otherwise this is how a deployment is configured.
        "BILLING_PLATFORMS": PLATFORM,
        "BILLING_PORT": str(port),
        "BILLING_DATABASE_URL": str(stage.urls.postgres),
        "BILLING_DATABASE_POOL_SIZE": str(POOL_SIZE),
        "BILLING_REDIS_URL": str(stage.urls.redis),
        "BILLING_NATS_URL": str(stage.urls.nats),
        "BILLING_JWT_SECRET": secret,
        "BILLING_JWT_ISSUER": ISSUER,
        "BILLING_JWT_AUDIENCE": AUDIENCE,
        "BILLING_RETURN_URL_HOSTS": "shop.example",
    }
    async with stage.running(module, environment) as process:
        await _ready(process, port)
        yield Service(stage=stage, port=port, signer=Signer(secret=secret, issuer=ISSUER, audience=AUDIENCE))


@asynccontextmanager
async def serving(stage: Stage, module: str) -> AsyncIterator[Service]:
    """`module`, warmed up."""
    async with started(stage, module) as service:
        await _warm_up(service)
        yield service


async def _ready(process: AppProcess, port: int) -> None:
    deadline_s = time.monotonic() + READY_WITHIN_S
    while not await asyncio.to_thread(_answers, port):
        if process.exit_code is not None or time.monotonic() > deadline_s:
            raise RuntimeError(f"{process.name} is not ready: {process.last_words()}")
        await asyncio.sleep(LOOK_EVERY_S)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):  # not yet
        return False
    finally:
        connection.close()


async def _warm_up(service: Service) -> None:
    """This will have the service open its connections and prepare its statements with no more callers than it has
    connections, before everybody comes at once: a service that starts cold under load sends callers away."""
    many = QUICK_WARM_UP_MERCHANTS if service.stage.quick else WARM_UP_MERCHANTS
    merchants = await add_merchants(service.stage, many)
    for status, requests in (
        (200, [service.get("/api/billing", each) for each in merchants]),
        (201, [service.purchase(each, "small", "first") for each in merchants]),
    ):
        path = write_requests(service.stage.folder / f"first-{status}", requests)
        await drive(
            Job(
                port=service.port,
                requests=str(path),
                seconds=READY_WITHIN_S,
                status=status,
                once=True,
                connections=POOL_SIZE,
            )
        )
