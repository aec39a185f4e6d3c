"""The real processes on real servers, with a canary for every secret, and everything that anybody is told by them."""

import asyncio
import base64
import hashlib
import hmac
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import psutil
from nats.aio.client import Client
from tests.apps.http.door import signed, some_claims
from tests.e2e.canary.canaries import Canaries
from tests.e2e.canary.commands import asked, read
from tests.e2e.canary.mirror import Mirror
from tests.e2e.conftest import ROOT, wait_until
from tests.faults.defects import processes

from billing_adapters.clock import SystemClock
from billing_adapters.embedded import EmbeddedServers
from billing_cli.local_service import clean_environment, free_port

PATIENCE_S = 60.0
APP = [sys.executable, "-m", "tests.faults.defects.processes"]
ACCOUNTS = {"sandbox": "account-1", "shopify": "gid://shopify/Shop/1", "stripe": "account-1"}
SCOPES = "billing:read billing:write metrics:read"


@dataclass
class World:
    """Everything a canary could be told by. `settings` are the secrets, `environment` the whole of the processes'."""

    canaries: Canaries
    servers: EmbeddedServers
    mirror: Mirror
    folder: Path
    settings: Mapping[str, str]
    environment: dict[str, str]
    told: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    def request(self, method: str, path: str, *, platform: str = "sandbox", **more: Any) -> httpx2.Response:
        """This will ask the HTTP process, as the platform's merchant unless headers say otherwise."""
        headers = {
            "Authorization": f"Bearer {self.token(platform)}",
            "X-Platform": platform,
            "Idempotency-Key": base64.b32encode(os.urandom(10)).decode(),
            **more.pop("headers", {}),
        }
        answer = httpx2.request(method, f"{self.url}{path}", headers=headers, timeout=PATIENCE_S, **more)
        self.told.append((f"the answer to {method} {path.partition('?')[0]}", f"{answer.headers}\n{answer.text}"))
        return answer

    def buy(self, platform: str, pack: str = "large", **more: Any) -> httpx2.Response:
        """This will ask for a purchase whose return URL has a canary in it."""
        back = f"https://shop.example/back?session={self.canaries.new('return URL')}"
        return self.request(
            "POST", "/api/billing/purchases", platform=platform, json={"pack": pack, "return_url": back} | more
        )

    def token(self, platform: str, **claims: Any) -> str:
        """A token of the platform's merchant; its payload and its signature are canaries."""
        good = {"iss": "billing-development", "scope": SCOPES, "platform": platform}
        asked = some_claims(SystemClock(), f"merchant-{platform}") | good | claims
        token = signed(asked, secret=self.settings["BILLING_JWT_SECRET"])
        for name, part in zip(("payload", "signature"), token.split(".")[1:], strict=True):
            self.canaries.known(f"{name} of a token", part)
        return token

    def webhook(self, platform: str, body: bytes, secret: str) -> httpx2.Response:
        """This will deliver a webhook signed with the secret."""
        if platform == "shopify":
            digest = base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()
            topic = {"X-Shopify-Topic": "app_purchases_one_time/update", "X-Shopify-Webhook-Id": os.urandom(8).hex()}
            headers = topic | {"X-Shopify-Hmac-Sha256": digest}
        else:
            stamp = int(time.time())
            digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
            headers = {"Stripe-Signature": f"t={stamp},v1={digest}"}
        self.canaries.known("signature of a webhook", digest)
        return self.request(
            "POST", f"/webhooks/{platform}", content=body, headers={"Content-Type": "application/json", **headers}
        )

    def publish(self, subject: str, body: bytes) -> None:
        """This will have another service say something."""

        async def publish() -> None:
            client = Client()
            await client.connect(self.settings["BILLING_NATS_URL"])
            await client.jetstream().publish(subject, body)
            await client.close()

        asyncio.run(publish())

    def sql(self, statement: str) -> Any:
        """This will run a statement as the tables' owner, and give the first value."""

        async def run() -> Any:
            connection = await asyncpg.connect(self.settings["BILLING_DATABASE_URL"])
            try:
                return await connection.fetchval(statement)
            finally:
                await connection.close()

        return asyncio.run(run())

    def billing(self, *commands: str) -> dict[str, tuple[int, str]]:
        """This will run `billing` commands one after the other, and give each one's exit code and what it printed."""
        return dict(zip(commands, self.run([("billing_cli", each.split(), {}) for each in commands]), strict=True))

    def run(self, wanted: Sequence[tuple[str, Sequence[str], Mapping[str, str]]]) -> list[tuple[int, str]]:
        """This will run apps to their end, each with its arguments and a change of the environment; a variable that is
        changed to nothing is left out."""
        environments = [{**self.environment, **changes} for _, _, changes in wanted]
        named = [{name: value for name, value in each.items() if value} for each in environments]
        ended = subprocess.run(
            APP,
            env={**self.environment, processes.APP: "tests.e2e.canary.commands"},
            cwd=self.folder,
            input=asked([(app, arguments, each) for (app, arguments, _), each in zip(wanted, named, strict=True)]),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S * 3,
            check=False,
        )
        printed = read(ended.stdout)
        assert len(printed) == len(wanted), ended.stdout
        for (app, arguments, _), (_, text) in zip(wanted, printed, strict=True):
            self.told.append((f"{app} {' '.join(arguments)}", text))
        return printed

    @contextmanager
    def running(self, app: str, name: str, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
        """An app as a process that writes its log into the folder; see `run` for its environment."""
        given = {**self.environment, **environment, processes.APP: app}
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                APP,
                env={name: value for name, value in given.items() if value},
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE_S)

    def log(self, name: str) -> str:
        """What the app of that name has written so far."""
        return (self.folder / f"{name}.log").read_text("utf-8", errors="replace")

    def everything(self) -> Iterator[tuple[str, str]]:
        """All that was told so far: logs, answers, commands, metrics, titles of processes, and statements that run."""
        self.request("GET", "/metrics")
        yield from self.told
        for path in (*self.folder.glob("*.log"), *self.servers.data.glob("log/*")):
            yield f"the log {path.name}", path.read_text("utf-8", errors="replace")
        for process in psutil.Process().children(recursive=True):
            yield f"the title of {process.pid}", " ".join(_command_line(process))
        yield "pg_stat_activity", str(self.sql("select json_agg(a) from pg_stat_activity a"))
        metrics = httpx2.get(f"http://127.0.0.1:{self.environment['BILLING_WORKER_METRICS_PORT']}/metrics")
        yield "the worker's metrics", metrics.text


def environment_of(settings: Mapping[str, str], platforms: str) -> dict[str, str]:
    """The environment of every process."""
    return {
        **clean_environment(),
        "PYTHONPATH": str(ROOT),
        "BILLING_LOG_LEVEL": "debug",
        "BILLING_PLATFORMS": "sandbox,shopify,stripe",
        "BILLING_WEBHOOK_DOOR": "on",
        "BILLING_DOCS": "on",
        "BILLING_NATS_MANAGE_STREAMS": "on",
        "BILLING_PORT": str(free_port()),
        "BILLING_WORKER_METRICS_PORT": str(free_port()),
        "BILLING_PLATFORM_TIMEOUT_S": "3",
        "BILLING_SHOPIFY_BASE_URL": platforms,
        "BILLING_SHOPIFY_PARTNER_BASE_URL": platforms,
        "BILLING_SHOPIFY_PARTNER_ORGANIZATION_ID": "1",
        "BILLING_STRIPE_BASE_URL": platforms,
        **settings,
    }


@contextmanager
def alive(world: World) -> Iterator[World]:
    """The world with both of its apps up, and a merchant of each platform."""
    world.url = f"http://127.0.0.1:{world.environment['BILLING_PORT']}"
    ready = world.folder / "ready"
    with (
        world.running("billing_http", "http"),
        world.running("billing_worker", "worker", BILLING_READY_FILE=str(ready)),
    ):
        wait_until(lambda: _is_up(world.url), within_s=PATIENCE_S, what="HTTP answers")
        wait_until(ready.exists, within_s=PATIENCE_S, what="the worker is ready")
        yield world


def _is_up(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health/ready").status_code == 200
    except httpx2.TransportError:
        return False


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it has ended meanwhile
        return []
