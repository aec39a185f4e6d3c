"""The whole service on this machine: embedded servers for what is not configured, migrations, HTTP and a worker."""

import asyncio
import http.client
import importlib
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from billing_adapters.embedded import EmbeddedServers, EmbeddedServersError
from billing_cli.errors import DataFolderInUse, PortInUse, ServiceFailed
from billing_cli.folder_lock import FolderLock
from billing_cli.processes import AppProcess, Backoff

LOOPBACK = "127.0.0.1"
READY_TIMEOUT_S = 120.0
POLL_S = 0.02
PROBE_TIMEOUT_S = 2.0
SERVERS_CHECK_EVERY_S = 0.5
# Below the ports that systems give to outgoing connections, so that a free one stays free until the app listens.
PORTS = range(15_000, 32_000)
PORT_TRIES = 100
URL_VARIABLES = {"postgres": "BILLING_DATABASE_URL", "redis": "BILLING_REDIS_URL", "nats": "BILLING_NATS_URL"}

_REQUESTS_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceUrls:
    """Where everything is, passwords included."""

    http: str
    postgres: str
    redis: str
    nats: str


class LocalService:
    """Everything one needs to try Billing, from `with` to the end of the block and no longer."""

    def __init__(
        self,
        *,
        data: Path,
        configured: Mapping[str, str],
        environment: Mapping[str, str],
        run_in: Path,
        port: int,
        host: str = LOOPBACK,
        tell: Tell,
    ) -> None:
        """This will take the folder for data and logs, the URLs that are configured (of `postgres`, `redis`, `nats`;
        the others are embedded), the environment and the folder of the apps, the port (0: a free one), and who is
        told when something that died is started again."""
        self.data = data
        self._configured, self._environment, self._run_in = configured, environment, run_in
        self._host, self._port, self._tell = host, port, tell
        self._closing = ExitStack()
        self._servers: EmbeddedServers | None = None
        self._apps: tuple[AppProcess, ...] = ()
        self._backoffs: dict[str, Backoff] = {}
        self._start_again_at_s: dict[str, float] = {}
        self._servers_checked_s = 0.0
        self._ready_file = data / "worker.ready"
        self.environment: Mapping[str, str] = {}
        self._urls: ServiceUrls | None = None
        self._admin_url: str | None = None
        self._databases: Mapping[str, str] = {}

    @property
    def urls(self) -> ServiceUrls:
        """Where everything is. Raises ServiceFailed before the start."""
        if self._urls is None:
            raise ServiceFailed("the service is not started")
        return self._urls

    def __enter__(self) -> Self:
        """This will start everything and return when the service answers.

        Raises DataFolderInUse, PortInUse, ServiceFailed or EmbeddedServersError, with nothing left running.
        """
        try:
            self._start()
        except BaseException:  # an interrupt too must leave nothing running
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """This will stop everything in order."""
        self.close()

    def close(self) -> None:
        """This will stop HTTP and worker, then the servers."""
        # A second Ctrl-C must not interrupt the orderly end, which is bounded and a few tenths of a second long.
        before = {number: signal.signal(number, signal.SIG_IGN) for number in _REQUESTS_TO_END}
        try:
            self._closing.close()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def look_after(self) -> None:
        """This will start again what died since the last look, saying so; call it a few times a second."""
        now_s = time.monotonic()
        if self._servers is not None and now_s - self._servers_checked_s >= SERVERS_CHECK_EVERY_S:
            self._servers_checked_s = now_s
            for name, code in self._servers.exited().items():
                self._revive(name, f"{name} {_ended(code)}", self._restart_server, now_s)
        for app in self._apps:
            if app.exit_code is not None:
                what = f"{app.name} (process {app.pid}) {_ended(app.exit_code)}, see {app.log}"
                self._revive(app.name, what, self._restart_app, now_s)

    # --- start -------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.data.joinpath("log").mkdir(exist_ok=True, mode=0o700)
        self._claim_folder()
        port = self._port or free_port()
        _refuse_taken(self._host, port)
        stores = self._start_servers()
        reachable = LOOPBACK if self._host in ("0.0.0.0", "::", "") else self._host  # noqa: S104 - compared, not bound
        self._urls = ServiceUrls(http=f"http://{reachable}:{port}", **stores)
        self.environment = self._environment_of_apps(port)
        migrations = importlib.import_module("billing_adapters.postgres.migrations")
        asyncio.run(migrations.upgrade(stores["postgres"]))
        if self._admin_url is not None:
            self._databases = asyncio.run(_a_role_each(self._admin_url))
        self._start_apps()

    def _claim_folder(self) -> None:
        lock = FolderLock(self.data / "up.lock")
        if (holder := lock.take()) is not None:
            raise DataFolderInUse(
                f"{self.data} is in use by process {holder}. Stop that one, or choose another folder with --data."
            )
        self._closing.callback(lock.release)

    def _start_servers(self) -> dict[str, str]:
        urls = dict(self._configured)
        if which := frozenset(URL_VARIABLES) - urls.keys():
            self._servers = EmbeddedServers(self.data, durable=True, which=which)
            self._closing.callback(self._servers.stop)
            started = self._servers.start()
            urls |= {name: getattr(started, name) for name in which}
            self._admin_url = started.postgres_admin
        return urls

    def _environment_of_apps(self, port: int) -> dict[str, str]:
        ours = {variable: getattr(self.urls, name) for name, variable in URL_VARIABLES.items()}
        ours |= {"BILLING_HOST": self._host, "BILLING_PORT": str(port), "PYTHONUNBUFFERED": "1"}
        files = {f"{variable}_FILE" for variable in ours}  # a file would win over the variable
        kept = {name: value for name, value in self._environment.items() if name not in files}
        return {"BILLING_PUBLIC_URL": self.urls.http, **kept, **ours}

    def _start_apps(self) -> None:
        self._ready_file.unlink(missing_ok=True)
        of_worker = {**self.environment, "BILLING_READY_FILE": str(self._ready_file)}
        self._apps = (
            self._app("HTTP", "billing_http", self.environment),
            self._app("worker", "billing_worker", of_worker),
        )
        self._closing.callback(self._stop_apps)
        for app in self._apps:
            app.start()
        self._wait_until(self._http_is_ready, "HTTP does not answer")
        self._wait_until(self._ready_file.exists, "the worker is not ready")

    def _app(self, name: str, module: str, environment: Mapping[str, str]) -> AppProcess:
        log = self.data / "log" / f"{name.lower()}.log"
        if module in self._databases:
            environment = {**environment, URL_VARIABLES["postgres"]: self._databases[module]}
        return AppProcess(name, module, environment=environment, folder=self._run_in, log=log)

    def _stop_apps(self) -> None:
        for app in self._apps:
            app.ask_to_stop()
        for app in self._apps:
            app.wait_until_stopped()

    def _wait_until(self, ready: Callable[[], bool], complaint: str) -> None:
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        while not ready():
            for app in self._apps:
                if app.exit_code is not None:
                    raise ServiceFailed(f"{app.name} {_ended(app.exit_code)} while starting: {app.last_words()}")
            if time.monotonic() > deadline_s:
                raise ServiceFailed(f"{complaint} after {READY_TIMEOUT_S:.0f} s; see {self.data / 'log'}")
            time.sleep(POLL_S)

    def _http_is_ready(self) -> bool:
        connection = http.client.HTTPConnection(self.urls.http.removeprefix("http://"), timeout=PROBE_TIMEOUT_S)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):  # not yet
            return False
        finally:
            connection.close()

    # --- look after --------------------------------------------------------------------------------------------------

    def _revive(self, name: str, what: str, restart: Callable[[str], None], now_s: float) -> None:
        if name not in self._start_again_at_s:
            self._start_again_at_s[name] = self._backoffs.setdefault(name, Backoff()).died(now_s)
            wait_s = self._start_again_at_s[name] - now_s
            self._tell(f"{what}; starting it again in {wait_s:.1f} s")
        elif now_s >= self._start_again_at_s[name]:
            del self._start_again_at_s[name]
            restart(name)

    def _restart_server(self, name: str) -> None:
        if self._servers is None:
            return
        try:
            self._servers.start_server(name)
        except EmbeddedServersError as trouble:  # it stays on the list of the dead and is tried again, later
            self._tell(f"{name} did not start: {trouble}")
        else:
            self._tell(f"{name} runs again")

    def _restart_app(self, name: str) -> None:
        app = next(app for app in self._apps if app.name == name)
        app.wait_until_stopped()
        app.start()
        self._tell(f"{name} runs again as process {app.pid}")


async def _a_role_each(admin_url: str) -> Mapping[str, str]:
    """The database's URL of each app, whose role may do what that app does and no more."""
    roles = importlib.import_module("billing_adapters.postgres.roles")
    await roles.create_roles(admin_url)
    return {
        "billing_http": await roles.let_in(admin_url, roles.API),
        "billing_worker": await roles.let_in(admin_url, roles.WORKER),
    }


def free_port() -> int:
    """A port of this machine nobody listens on. Raises PortInUse where none is found."""
    for port in secrets.SystemRandom().sample(PORTS, PORT_TRIES):
        with suppress(PortInUse):
            _refuse_taken(LOOPBACK, port)
            return port
    raise PortInUse(f"no free port on {LOOPBACK} after {PORT_TRIES} tries")


def clean_environment() -> dict[str, str]:
    """The environment of this process without its settings of Billing."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BILLING_")}


def _refuse_taken(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the app itself does
        try:
            trial.bind((host, port))
        except OSError as taken:
            raise PortInUse(
                f"Port {port} of {host} cannot be used ({taken.strerror}). "
                "Choose another with --port; --port 0 takes a free one."
            ) from taken


def _ended(code: int | None) -> str:
    if code is not None and code < 0:
        with suppress(ValueError):  # a signal without a name of its own
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
