"""The whole service as processes of its own: servers, a platform, HTTP and workers, with breakable lines between."""

import asyncio
import json
import secrets
import signal
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx2
from tests.faults.chaos import credit_service
from tests.faults.chaos.nursery import PYTHON, App, Nursery
from tests.faults.chaos.proxy import FaultProxy
from tests.faults.defects import processes

from billing_adapters.embedded import EmbeddedServers, Layout, ServerUrls
from billing_adapters.embedded.layout import ONE_OF_EACH
from billing_adapters.nats.connection import NatsConnection, open_nats
from billing_adapters.nats.streams import CONSUMERS, ensure_streams
from billing_adapters.postgres import migrations
from billing_cli.local_service import clean_environment, free_port
from billing_cli.tokens import Signer

ROOT = Path(__file__).parents[3]
READY_WITHIN_S = 90.0
LOOK_EVERY_S = 0.1
# Much shorter than in production, so that pauses outlast it: a message then has two holders.
ACK_WAIT_S = 4.0
ISSUER, AUDIENCE = "chaos", "billing"
PACKAGES = {"http": "billing_http", "worker": "billing_worker", "credits": credit_service.PACKAGE}


class System:
    """Everything that runs, from `async with` to the end of the block and no longer."""

    def __init__(
        self,
        folder: Path,
        *,
        http: int,
        workers: int,
        credit_services: int = 0,
        defect: str | None = None,
        layout: Layout = ONE_OF_EACH,
    ) -> None:
        """This will take a folder for data and logs, how many processes of each app and of the example's Credit Service
        there are, a defect to build into all of them, and how many processes the servers are. (A server that is several
        is reached without a proxy between: it is its processes that are taken away.)"""
        self.folder, self.has_credit_service = folder, credit_services > 0
        self._counts = {"http": http, "worker": workers, "credits": credit_services}
        self._defect = defect
        self._closing = AsyncExitStack()
        self.servers = EmbeddedServers(folder / "servers", durable=True, layout=layout)
        self._layout = layout
        self.proxies: dict[str, FaultProxy] = {}
        self.apps: dict[str, App] = {}
        self.doors: list[str] = []
        self.stuck: list[str] = []  # apps that did not stop when they were told to
        self.environment: dict[str, str] = {}
        self._secrets = {
            "BILLING_JWT_SECRET": f"canary-{secrets.token_hex(24)}",
            "BILLING_STRIPE_SECRET_KEY": f"sk_test_canary{secrets.token_hex(16)}",
            "BILLING_STRIPE_WEBHOOK_SECRET": f"whsec_canary{secrets.token_hex(16)}",
        }
        self.platform_url = ""
        self._platform: asyncio.subprocess.Process | None = None
        self._nats: NatsConnection | None = None

    async def __aenter__(self) -> Self:
        """This will start everything and return once all of it is ready; where that fails nothing is left running."""
        try:
            await self._start()
        except BaseException:
            await self._closing.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """This will stop everything in order."""
        await self._closing.aclose()

    @property
    def urls(self) -> ServerUrls:
        """Where the servers are, without a proxy between."""
        return self.servers.urls

    @property
    def nats(self) -> NatsConnection:
        """The harness's own connection: that of the merchants' and the webhooks' service. Raises RuntimeError before
        the start."""
        if self._nats is None:
            raise RuntimeError("the system is not started")
        return self._nats

    @property
    def platform_pid(self) -> int:
        """The platform's process. Raises RuntimeError before the start."""
        if self._platform is None:
            raise RuntimeError("the system is not started")
        return self._platform.pid

    @property
    def _replicas(self) -> int:
        return 3 if self._layout.nats_nodes >= 3 else 1

    @property
    def signer(self) -> Signer:
        """Who signs the clients' tokens."""
        return Signer(secret=self._secrets["BILLING_JWT_SECRET"], issuer=ISSUER, audience=AUDIENCE)

    @property
    def canaries(self) -> tuple[str, ...]:
        """Every secret any process knows; none may stand in a log."""
        passwords = (urlsplit(str(url)) for url in (self.urls.postgres, self.urls.redis, self.urls.nats))
        return (*self._secrets.values(), *(str(each.password or each.username) for each in passwords))

    @property
    def logs(self) -> tuple[str, ...]:
        """What the processes of the apps wrote, whole."""
        return tuple(path.read_text("utf-8", errors="replace") for path in sorted(self.folder.glob("*.log")))

    async def wait_ready(self) -> None:
        """This will return once every HTTP process is ready and every worker has begun. Raises TimeoutError."""
        async with asyncio.timeout(READY_WITHIN_S), httpx2.AsyncClient(timeout=2) as client:
            while not await self._is_ready(client):  # noqa: ASYNC110 - other processes cannot tell us
                await asyncio.sleep(LOOK_EVERY_S)

    async def billing(self, *arguments: str) -> tuple[int, str]:
        """This will run a `billing` command as an operator does and return its exit code and what it printed."""
        command = [*PYTHON, "tests.faults.defects.processes", *arguments]
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**self.environment, processes.APP: "billing_cli"},
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            told, _ = await process.communicate()
        finally:
            if process.returncode is None:  # nobody waits for it any more
                process.kill()
            exit_code = await process.wait()
        return exit_code, told.decode()

    # --- start -------------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._closing.push_async_callback(asyncio.to_thread, self.servers.stop)
        await asyncio.to_thread(self.servers.start)
        await _recover_quickly(str(self.urls.postgres_admin))
        await migrations.upgrade(str(self.urls.postgres))
        await self._start_platform()
        await self._start_proxies()
        self._nats = await self._closing.enter_async_context(open_nats(str(self.urls.nats), name="chaos"))
        await self._make_streams()
        self.environment = self._environment()
        self._start_apps()
        await self.wait_ready()

    async def _start_platform(self) -> None:
        key = self._secrets["BILLING_STRIPE_SECRET_KEY"]
        command = [sys.executable, "-m", "tests.faults.chaos.stripe_server", key]
        self._platform = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._closing.push_async_callback(_end, self._platform)
        assert self._platform.stdout is not None
        self.platform_url = json.loads(await self._platform.stdout.readline())["stripe"]

    async def _start_proxies(self) -> None:
        behind = {
            "postgres": self.urls.postgres,
            "redis": self.urls.redis,
            "nats": self.urls.nats,
            "platform": self.platform_url,
        }
        for name, url in behind.items():
            if len(self._layout.members(name)) > 1:
                continue
            proxy = self.proxies[name] = FaultProxy(urlsplit(str(url)).port or 0)
            await proxy.start()
            self._closing.push_async_callback(proxy.stop)

    async def _make_streams(self) -> None:
        """The other services' streams are theirs to make; the consumers are made by an operator with a short
        patience, which Billing leaves as it is."""
        await ensure_streams(self.nats, manage_all=True, replicas=self._replicas)
        for plan in CONSUMERS:
            config = plan.config()
            config.ack_wait = ACK_WAIT_S
            await self.nats.jetstream.add_consumer(plan.stream, config)

    def _environment(self) -> dict[str, str]:
        broken = {processes.DEFECT: self._defect} if self._defect else {}
        return {
            **clean_environment(),
            "PYTHONPATH": str(ROOT),
            "BILLING_DATABASE_URL": self._through("postgres", self.urls.postgres, query="sslmode=disable"),
            "BILLING_REDIS_URL": self._through("redis", self.urls.redis),
            "BILLING_NATS_URL": self._through("nats", self.urls.nats),
            "BILLING_NATS_REPLICAS": str(self._replicas),
            "BILLING_PLATFORMS": "stripe,sandbox",
            "BILLING_STRIPE_BASE_URL": self._through("platform", self.platform_url),
            "BILLING_STRIPE_REQUESTS_PER_SECOND": "100",
            "BILLING_PLATFORM_TIMEOUT_S": "1",
            "BILLING_JWT_ISSUER": ISSUER,
            "BILLING_JWT_AUDIENCE": AUDIENCE,
            **self._secrets,
            **broken,
        }

    def _through(self, name: str, url: str | None, *, query: str = "") -> str:
        if name not in self.proxies:
            return str(url)
        parts = urlsplit(str(url))
        login, at, _ = parts.netloc.rpartition("@")
        place = f"{login}{at}127.0.0.1:{self.proxies[name].port}"
        return urlunsplit(parts._replace(netloc=place, query=query))

    def _start_apps(self) -> None:
        nurseries = {}
        around = {kind: self.environment for kind, count in self._counts.items() if count}
        if self.has_credit_service:
            around["credits"] = credit_service.environment(self.environment, self.folder)
        for kind, environment in around.items():
            nurseries[kind] = Nursery(PACKAGES[kind], environment=environment)
            self._closing.callback(nurseries[kind].close)
        self._closing.push_async_callback(self._stop_apps)
        for kind, count in self._counts.items():
            for number in range(1, count + 1):
                own = {"BILLING_PORT": str(self._open_door())} if kind == "http" else {}
                environment = {**around[kind], **own}
                app = App(f"{kind}-{number}", nurseries[kind], environment, folder=self.folder)
                self.apps[app.name] = app
                app.start()

    async def _is_ready(self, client: httpx2.AsyncClient) -> bool:
        workers = (app for name, app in self.apps.items() if name.startswith("worker"))
        return all(app.ready_file.exists() for app in workers) and all([await _opens(client, d) for d in self.doors])

    def _open_door(self) -> int:
        port = free_port()
        self.doors.append(f"http://127.0.0.1:{port}")
        return port

    async def _stop_apps(self) -> None:
        for app in self.apps.values():
            app.signal(signal.SIGTERM)
        for app in self.apps.values():
            if not await asyncio.to_thread(app.wait_until_gone):
                self.stuck.append(app.name)  # its nursery ends it


async def _recover_quickly(url: str) -> None:
    """This will have a killed Postgres sync its file system at once instead of file by file, which takes seconds."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("alter system set recovery_init_sync_method = 'syncfs'")
    finally:
        await connection.close()


async def _opens(client: httpx2.AsyncClient, door: str) -> bool:
    try:
        return (await client.get(f"{door}/health/ready")).status_code == 200
    except httpx2.TransportError:
        return False


async def _end(process: asyncio.subprocess.Process) -> None:
    process.kill()  # its books were read; nothing else is worth keeping
    await process.communicate()
