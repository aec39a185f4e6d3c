"""The main job on real processes, each with its own key and no permission it does not need, over TLS; and what they say
where one is taken away."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import httpx2
import pytest
import redis
from tests.adapters.redis.test_users import PLACEHOLDER, SHIPPED
from tests.e2e.conftest import wait_until
from tests.nats_deployment import EVERYBODY_ELSE, NatsDeployment, deployed_nats, make_streams

from billing_adapters.embedded import EmbeddedServers
from billing_adapters.nats.connection import open_nats
from billing_adapters.nats.permissions import ADMIN, CLI, DOOR, WORKER, NatsUser
from billing_adapters.postgres import migrations
from billing_cli.checkout_form import read_checkout
from billing_cli.local_service import free_port

WITHIN_S: Final = 60.0
MERCHANT: Final = "m-1"


@dataclass
class Deployment:
    """Running processes with keys of their own."""

    folder: Path
    nats: NatsDeployment
    environment: dict[str, str]
    http: httpx2.Client
    worker_metrics: str

    def billing(self, *arguments: str, user: NatsUser = CLI) -> "subprocess.CompletedProcess[str]":
        """This will run the command line as that user."""
        command = [sys.executable, "-m", "billing_cli", *arguments]
        environment = {**self.environment, **self.nats.environment(user)}
        return subprocess.run(
            command, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=WITHIN_S, check=False
        )

    def announce(self, merchant_id: str) -> None:
        """This will announce a merchant, as the service does whose stream that is."""
        self.send("evt.merchant.created", {"merchant_id": merchant_id, "platform": "sandbox"})

    def send(self, subject: str, data: Any) -> None:
        """This will send a message as another service."""

        async def work() -> None:
            access = self.nats.access(EVERYBODY_ELSE)
            async with open_nats(self.nats.url, name="another service", access=access) as connection:
                headers = {"Nats-Msg-Id": uuid.uuid4().hex}
                await connection.jetstream.publish(subject, json.dumps(data).encode(), headers=headers)

        asyncio.run(work())

    def get(self, path: str) -> httpx2.Response:
        """This will ask as the merchant."""
        return self.http.get(path)

    def post(self, path: str, body: Any) -> Any:
        """This will post as the merchant, and give the document answered."""
        answer = self.http.post(path, json=body, headers={"Idempotency-Key": uuid.uuid4().hex})
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def buy(self, pack: str) -> Any:
        """This will buy a pack and pay at the checkout."""
        purchase = self.post("/api/billing/purchases", {"pack": pack, "return_url": "https://shop.example/back"})
        page = self.http.get(purchase["checkout_url"])
        form = read_checkout(page.text, press="pay")
        paid = self.http.post(urljoin(str(page.url), form.action), data=dict(form.fields))
        assert paid.status_code in (200, 303), paid.text
        return purchase

    def events(self) -> list[str]:
        """The types of the merchant's events, as an operator sees them on NATS."""
        shown = self.billing("events", "tail", "--merchant", MERCHANT, "--since", "1h", "--no-follow", "--json")
        assert shown.returncode == 0, shown.stderr
        return [json.loads(line)["type"].removeprefix("evt.billing.") for line in shown.stdout.splitlines()]

    def denied(self) -> tuple[int, int]:
        """How often processes told that something was denied, and NATS that it denied something."""
        told = [each for process in ("billing_http", "billing_worker") for each in self.log(process)]
        ours = [each for each in told if str(each.get("code", "")).endswith("_DENIED")]
        return len(ours), self.nats.log().count("Violation")

    def log(self, process: str) -> list[dict[str, Any]]:
        """What the process has logged."""
        lines = (self.folder / f"{process}.log").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Everything runs, as `docs/nats.md` says to set it up."""
    folder = tmp_path_factory.mktemp("least-privilege")
    with ExitStack() as stack:
        servers = stack.enter_context(
            EmbeddedServers(folder / "servers", durable=False, which=frozenset({"postgres", "redis"}))
        )
        nats = stack.enter_context(deployed_nats(folder / "nats"))
        port, metrics_port = free_port(), free_port()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BILLING_")},
            "BILLING_DATABASE_URL": f"{servers.urls.postgres}?sslmode=disable",
            "BILLING_REDIS_URL": _limited(str(servers.urls.redis)),
            "BILLING_PORT": str(port),
            "BILLING_WORKER_METRICS_PORT": str(metrics_port),
            "BILLING_METRICS_AUTH": "off",
        }
        client = stack.enter_context(httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=15))
        running = Deployment(folder, nats, environment, client, f"http://127.0.0.1:{metrics_port}/metrics")
        asyncio.run(migrations.upgrade(environment["BILLING_DATABASE_URL"]))
        asyncio.run(make_streams(nats))
        made = running.billing("nats", "upgrade", user=ADMIN)
        assert made.returncode == 0, made.stderr
        for module, user in (("billing_http", DOOR), ("billing_worker", WORKER)):
            stack.enter_context(_process(running, module, user))
        wait_until(lambda: _answers(client), within_s=WITHIN_S, what="HTTP answers")
        running.announce(MERCHANT)
        token = running.billing("token", "--merchant", MERCHANT, "--platform", "sandbox").stdout.strip()
        client.headers.update({"Authorization": f"Bearer {token}", "X-Platform": "sandbox"})
        yield running


def test_the_main_job_works(deployment: Deployment) -> None:
    """A merchant arrives, starts the trial, buys, pays, and the credits are announced; what cannot be understood is
    parked, sent again and dropped; events are published again; the doctor is content. Nothing is denied to anybody."""
    before = deployment.denied()
    _wait_for(deployment, lambda: deployment.get("/api/billing").status_code == 200, "the merchant is registered")
    deployment.post("/api/billing/trials", {})
    purchase = deployment.buy("large")
    path = f"/api/billing/purchases/{purchase['id']}"
    _wait_for(deployment, lambda: deployment.get(path).json()["status"] == "completed", "the purchase completes")
    _wait_for(deployment, lambda: "credits.purchased" in deployment.events(), "the credits are announced")
    deployment.send("evt.merchant.created", {"no": "merchant"})
    parked = _wait_for(deployment, lambda: _parked(deployment), "the message is parked")
    replayed = deployment.billing("parked", "replay", parked)
    again = _wait_for(deployment, lambda: _parked(deployment), "it is parked again")
    dropped = deployment.billing("parked", "drop", again, "--reason", "a test", "--yes")
    republished = deployment.billing("events", "republish", "--merchant", MERCHANT, "--json")
    doctor = deployment.billing("doctor", "--json")

    assert {"trial.started", "purchase.created", "credits.purchased"} <= set(deployment.events())
    assert [each.returncode for each in (replayed, dropped, republished, doctor)] == [0] * 4, doctor.stdout
    assert again != parked
    assert deployment.denied() == before


def test_a_relay_that_may_not_publish_says_so_and_goes_on_once_it_may(deployment: Deployment) -> None:
    """In its log with the line to add, in its metrics, and to the doctor; not as an outage. No process is restarted."""
    _wait_for(deployment, lambda: deployment.get("/api/billing").status_code == 200, "the merchant is registered")
    deployment.nats.permit(without='"evt.billing.>"', user=WORKER)
    before = deployment.events()

    deployment.buy("small")
    told = _wait_for(
        deployment,
        lambda: [each for each in deployment.log("billing_worker") if each["event"] == "relay.waits"],
        "the relay says that it waits",
    )
    metrics = httpx2.get(deployment.worker_metrics).text
    doctor = deployment.billing("doctor", "--as", "worker", user=WORKER)
    during = deployment.events()
    deployment.nats.permit()
    _wait_for(deployment, lambda: len(deployment.events()) > len(before), "the events go out")

    assert {each["code"] for each in told} == {"BROKER_DENIED"}
    assert '"evt.billing.>" (publish our events) to publish.allow of the user billing-worker' in told[0]["reason"]
    assert 'billing_nats_denied_total{operation="publish",permission="evt.billing.>"}' in metrics
    assert 'billing_relay_failures_total{code="BROKER_DENIED"}' in metrics
    assert (doctor.returncode, "evt.billing.>" in doctor.stdout) == (1, True)
    assert during == before


def test_a_notice_that_may_not_be_passed_on_is_counted(deployment: Deployment) -> None:
    """The payer's decision stands in the books; the log and the metrics of HTTP say what is missing."""
    _wait_for(deployment, lambda: deployment.get("/api/billing").status_code == 200, "the merchant is registered")
    deployment.nats.permit(without="evt.webhook.app.purchase_updated", user=DOOR)

    deployment.buy("medium")
    deployment.nats.permit()
    metrics = deployment.get("/metrics").text
    (told,) = [each for each in deployment.log("billing_http") if each["event"] == "sandbox_notice_unsent"]

    assert "of the user billing-http-door" in told["error"]
    permission = 'operation="publish",permission="evt.webhook.app.purchase_updated"'
    assert f"billing_nats_denied_total{{{permission}}}" in metrics


def test_no_key_is_in_any_log(deployment: Deployment) -> None:
    """Neither the processes nor NATS tell one."""
    logs = [path.read_text("utf-8", "replace") for path in deployment.folder.glob("*.log")]
    told = "".join([*logs, deployment.nats.log()])

    assert len(told) > 1000
    assert [name for name, key in deployment.nats.keys.items() if key.seed in told] == []


def _wait_for(deployment: Deployment, fact: Callable[[], Any], what: str) -> Any:
    return wait_until(fact, within_s=WITHIN_S, what=f"{what}; see {deployment.folder}")


@contextmanager
def _process(deployment: Deployment, module: str, user: NatsUser) -> Iterator[None]:
    environment = {**deployment.environment, **deployment.nats.environment(user)}
    with (deployment.folder / f"{module}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module], env=environment, cwd=deployment.folder, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(WITHIN_S)


def _limited(url: str) -> str:
    """The URL with the shipped user in it, which the server is told of."""
    password = "sample-password"
    (line,) = [each for each in SHIPPED.read_text("utf-8").splitlines() if each.startswith("user billing ")]
    rules = line.replace(PLACEHOLDER, hashlib.sha256(password.encode()).hexdigest()).split()[2:]
    with redis.Redis.from_url(url) as administrator:
        administrator.execute_command("ACL", "SETUSER", "billing", *rules)
    return f"redis://billing:{password}@{urlsplit(url).netloc.rpartition('@')[2]}/0"


def _parked(deployment: Deployment) -> str | None:
    listed = json.loads(deployment.billing("parked", "list", "--json").stdout)["data"]
    waiting = [each["id"] for each in listed if each["replayed_at"] is None]
    return waiting[0] if waiting else None


def _answers(client: httpx2.Client) -> bool:
    try:
        return bool(client.get("/health/ready").json()["status"] == "ok")
    except httpx2.TransportError:  # not yet
        time.sleep(0.05)
        return False
