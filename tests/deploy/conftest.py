"""What operators are given: read from the files as they are, and held against the service as it runs."""

import base64
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from tests.deploy.manifests import EXAMPLE, UPGRADE, Rendered, render, required_kubectl
from tests.deploy.page import commands
from tests.deploy.stacks import make_secrets
from tests.e2e.conftest import Service, start_service, wait_until

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "billing-alerts.yml"
DEADLINE_S = 60.0
# What Prometheus and its client for Python tell by themselves.
NOT_OURS = {"up"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrapes:
    """What the two processes tell, as text."""

    http: str
    worker: str
    fresh_http: str  # before anybody asked for anything
    fresh_worker: str

    def names(self) -> set[str]:
        """Every name a query may select: of histograms the three they are told under."""
        suffixes = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count", "")}
        types = [line.split()[2:4] for line in (self.http + self.worker).splitlines() if line.startswith("# TYPE")]
        return {name + suffix for name, kind in types for suffix in suffixes.get(kind, ("",))}


@pytest.fixture(scope="session")
def scrapes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scrapes]:
    """Of the real processes, after somebody bought something and nothing was as it should be once."""
    port = _free_port()
    folder = tmp_path_factory.mktemp("scraped")
    settings = {"BILLING_METRICS_AUTH": "off", "BILLING_WORKER_METRICS_PORT": str(port)}
    running = contextmanager(partial(start_service, folder, durable=False))

    def measured() -> str | None:
        text = httpx2.get(f"http://127.0.0.1:{port}/metrics").text
        told = 'billing_messages_pending{consumer="billing-purchase-updated"} 0.0' in text
        return text if told and "billing_events_published_total 0.0" not in text else None

    def begun() -> str | None:
        try:
            text = httpx2.get(f"http://127.0.0.1:{port}/metrics").text
        except httpx2.TransportError:
            return None  # it does not listen yet
        return text if "billing_messages_total{" in text else None

    with running(**settings) as service:
        fresh_http = service.client.get("/metrics").text
        fresh_worker = wait_until(begun, within_s=DEADLINE_S, what="the worker tells of its consumers")
        _use(service)
        worker = wait_until(measured, within_s=DEADLINE_S, what="the worker measures")
        http = service.client.get("/metrics").text
        yield Scrapes(http=http, worker=worker, fresh_http=fresh_http, fresh_worker=fresh_worker)


@pytest.fixture(scope="session")
def rules() -> Sequence[dict[str, Any]]:
    """Every alert of the file."""
    groups = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture(scope="session")
def promtool() -> str:
    """Prometheus' own judge."""
    found = shutil.which("promtool")
    if found is None:
        if os.environ.get("BILLING_REQUIRE_PROMTOOL"):
            pytest.fail("promtool is required here, and not installed")
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    return found


@pytest.fixture(scope="session")
def kubectl() -> str:
    """Kubernetes' own command line, which renders without a cluster."""
    return required_kubectl()


@pytest.fixture(scope="session")
def rendered(kubectl: str) -> Rendered:
    """Everything that the example applies, in its two steps."""
    return Rendered([*render(kubectl, UPGRADE).manifests, *render(kubectl, EXAMPLE).manifests])


@pytest.fixture(scope="session")
def made_secrets(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What the operator of a cluster makes, by the command of docs/deployment.md, and what Stripe gave them."""
    (command,) = [each for each in commands("deploy/compose/make-secrets") if each.variables]
    folder = tmp_path_factory.mktemp("cluster-secrets")
    of_stripe = {"stripe-secret-key": "sk_test_sample", "stripe-webhook-secret": "whsec_sample"}
    return {**make_secrets(folder / command.words[1], command.variables), **of_stripe}


@pytest.fixture(scope="session")
def secret_texts(
    kubectl: str, made_secrets: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Mapping[str, str]]:
    """The texts of each Secret by key, as kubectl makes them by the commands of docs/deployment.md."""
    folder = tmp_path_factory.mktemp("kubectl")
    (folder / "secrets").mkdir()
    for name, text in made_secrets.items():
        (folder / "secrets" / name).write_text(text, "utf-8")
    made = {}
    for command in commands("kubectl"):
        if command.words[1] == "create":
            words = [kubectl, *command.words[1:], "--dry-run=client", "--output=json"]
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
            secret = json.loads(done.stdout)
            texts = {key: base64.b64decode(each).decode() for key, each in secret["data"].items()}
            made[secret["metadata"]["name"]] = texts
    return made


@pytest.fixture(scope="session")
def secret_keys(secret_texts: Mapping[str, Mapping[str, str]]) -> Mapping[str, Sequence[str]]:
    """The keys of each Secret."""
    return {name: list(texts) for name, texts in secret_texts.items()}


def judge(*command: str, given: str | None = None) -> None:
    """This will run promtool, which must be content."""
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _use(service: Service) -> None:
    body = {"pack": "large", "return_url": "https://shop.example/billing"}
    assert service.post("/api/billing/purchases", body).status_code == 201
    assert service.client.get("/api/billing").status_code == 401


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
