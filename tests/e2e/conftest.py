"""The whole service as processes, on servers a test may stop and start."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
BILLING = [sys.executable, "-m", "billing_cli"]


def wait_until(fact: Callable[[], Any], *, within_s: float, what: str) -> Any:
    """This will poll until the fact holds and return it. Fails the test, naming `what`, when it never does."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := fact():
            return found
        time.sleep(0.05)
    pytest.fail(f"not within {within_s} s: {what}")


@dataclass
class Service:
    """A running `billing up` and how to talk to it."""

    process: "subprocess.Popen[str]"
    ready: dict[str, str]
    servers: Any
    environment: dict[str, str]
    client: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx2.Client(base_url=self.ready["http"], timeout=15)

    def headers(self, **more: str) -> dict[str, str]:
        """The headers every request needs."""
        return {"Authorization": f"Bearer {self.ready['token']}", "X-Platform": "sandbox", **more}

    def get(self, path: str) -> httpx2.Response:
        """This will ask as the ready-made merchant, again where the machine has a slow moment (503)."""
        return self._patiently("GET", path, headers=self.headers())

    def post(self, path: str, body: Any, key: str | None = None) -> httpx2.Response:
        """This will post as the ready-made merchant, under a key of its own unless one is given."""
        headers = self.headers(**{"Idempotency-Key": key or str(uuid.uuid4())})
        return self._patiently("POST", path, json=body, headers=headers)

    def _patiently(self, method: str, path: str, **more: Any) -> httpx2.Response:
        answer = self.client.request(method, path, **more)
        for _ in range(5):
            if answer.status_code != 503:
                break
            time.sleep(int(answer.headers["Retry-After"]))
            answer = self.client.request(method, path, **more)
        return answer

    def billing(self, *arguments: str) -> list[Any]:
        """This will run a `billing … --json` command on the same servers and read each line it prints."""
        command = [*BILLING, *arguments, "--json"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


def start_service(data: Path, *, durable: bool = False, **settings: str) -> Iterator[Service]:
    """This will run the service on servers of its own, under more settings where given, and stop both."""
    from billing_adapters.embedded import EmbeddedServers

    with EmbeddedServers(data / "servers", durable=durable) as servers:
        urls = servers.urls
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BILLING_")},
            "BILLING_DATABASE_URL": str(urls.postgres),
            "BILLING_REDIS_URL": str(urls.redis),
            "BILLING_NATS_URL": str(urls.nats),
            **settings,
        }
        command = [*BILLING, "up", "--json", "--port", "0", "--data", str(data / "up")]
        with (data / "up.log").open("w") as log:
            process = subprocess.Popen(
                command, env=environment, cwd=data, stdout=subprocess.PIPE, stderr=log, text=True
            )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, (data / "up.log").read_text()
            running = Service(process, json.loads(line), servers, environment)
            with running.client:
                yield running
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            if process.stdout is not None:
                process.stdout.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service on servers of this module's own."""
    yield from start_service(tmp_path_factory.mktemp("service"))


@pytest.fixture(scope="module")
def chromium() -> str:
    """Where the browser is; without one its tests are skipped, or fail where they must run."""
    from tests.e2e.browsing import MISSING, find_chromium

    if found := find_chromium():
        return found
    if os.environ.get("BILLING_REQUIRE_CHROMIUM") == "1":
        pytest.fail(MISSING)
    pytest.skip(MISSING)


@pytest.fixture(scope="module")
def browser(chromium: str) -> "Iterator[Browser]":
    """A headless browser."""
    from tests.e2e.browsing import a_browser

    with a_browser(chromium) as running:
        yield running


@pytest.fixture
def page(browser: "Browser") -> "Iterator[Page]":
    """A tab whose page says nothing on its console."""
    from tests.e2e.browsing import a_tab

    with a_tab(browser) as tab:
        yield tab
