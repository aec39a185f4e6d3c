"""What compose.yaml says, run: its servers' commands and configurations, its one-shot steps, its processes, each with
its variables and secrets and no others, until its health checks say yes and a merchant is served."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.deploy import composed
from tests.deploy.composed import STACKS, Document
from tests.deploy.merchants import MERCHANT, Merchant
from tests.deploy.stacks import COMPOSED, make_secrets, programs, running_servers, wait_until
from tests.deploy.workloads import Machine, Workload

PROCESSES = ("billing-http", "billing-worker")
# What a platform gives its customers, and no script can make.
OF_STRIPE = {"stripe-secret-key": "sk_test_sample", "stripe-webhook-secret": "whsec_sample"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One way to start compose.yaml, running."""

    document: Document
    machine: Machine
    merchant: Merchant

    @property
    def is_for_development(self) -> bool:
        """Whether it sells on the sandbox."""
        sold_on: str = self.document["services"]["billing-http"]["environment"]["BILLING_PLATFORMS"]
        return sold_on == "sandbox"

    def is_healthy(self, name: str) -> bool:
        """What the health check of a process of ours says, word for word but for the port."""
        service = composed.workload(self.document, name)
        _, *command = self.document["services"][name]["healthcheck"]["test"]
        for number, port in self.machine.ports.items():
            command = [word.replace(f"'127.0.0.1', {number}", f"'127.0.0.1', {port}") for word in command]
        return self.machine.run(Workload(f"{name}-asked", command, {}, service.files)).returncode == 0

    def cli(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """This will run a command as `docker compose run --rm billing-cli` does."""
        return self.machine.run(composed.workload(self.document, "billing-cli").instead(command))


@pytest.fixture(scope="module", params=STACKS)
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The servers, then each step once, then the processes."""
    document, folder = composed.load(*STACKS[request.param]), tmp_path_factory.mktemp(request.param)
    secrets = {**make_secrets(folder / "secrets"), **OF_STRIPE}
    with ExitStack() as running:
        machine = running.enter_context(running_servers(folder, secrets))
        for name in composed.once(document):
            done = machine.run(composed.workload(document, name))
            assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        for name in PROCESSES:
            running.enter_context(machine.started(composed.workload(document, name)))
        merchant = Merchant(
            f"http://127.0.0.1:{machine.port(8000)}",
            platform="sandbox" if request.param == "development" else "stripe",
            secret=secrets["jwt-secret"],
            environment=composed.workload(document, "billing-http").environment,
        )
        running.enter_context(merchant.http)
        found = Stack(document=document, machine=machine, merchant=merchant)
        for name in PROCESSES:
            wait_until(partial(found.is_healthy, name), f"{name} is healthy; see {machine.log(name)}")
        yield found


def test_a_merchant_is_served(stack: Stack) -> None:
    """It is announced, starts its trial, and where the sandbox sells, buys and is given its credits."""
    stack.merchant.arrives(stack.machine)

    stack.merchant.starts_its_trial()

    if stack.is_for_development:
        stack.merchant.buys()


def test_the_page_to_try_it_is_there_in_development_alone(stack: Stack) -> None:
    """With what it needs of NATS, as which it announces a merchant; in production neither it nor the documents."""
    http, development = stack.merchant.http, stack.is_for_development

    announced = http.post("/development/merchants", data={"merchant": "m-2", "platform": "sandbox"})

    assert [http.get(path).status_code for path in ("/", "/docs")] == ([200, 200] if development else [404, 404])
    assert announced.status_code == (303 if development else 404)


def test_the_operators_container_works(stack: Stack) -> None:
    """The doctor, as its own command says, finds nothing to mend; a token that it signs lets Prometheus in."""
    doctor = stack.cli(*stack.document["services"]["billing-cli"]["command"])
    signed = stack.cli("billing", "token", "--scope", "metrics:read", "--merchant", MERCHANT, "--platform", "stripe")
    headers = {"Authorization": f"Bearer {signed.stdout.strip()}"}
    metrics = httpx2.get(f"{stack.merchant.http.base_url}/metrics", headers=headers)

    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert metrics.status_code == 200
    assert httpx2.get(f"{stack.merchant.http.base_url}/metrics").status_code == 401


def test_the_steps_can_be_repeated_beside_running_processes(stack: Stack) -> None:
    """As every `docker compose up` does."""
    for name in composed.once(stack.document):
        done = stack.machine.run(composed.workload(stack.document, name))
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"


def test_the_servers_health_checks_say_yes(stack: Stack) -> None:
    """PostgreSQL's program and NATS' address, as they stand in the file. (Redis is asked at its start.)"""
    services: Mapping[str, composed.Service] = stack.document["services"]
    kind, *ready = services["postgres"]["healthcheck"]["test"]
    postgres = stack.machine.places[COMPOSED["POSTGRES"]].rpartition(":")[2]
    url = services["nats"]["healthcheck"]["test"][-1]

    asked = subprocess.run([str(programs() / ready[0]), *ready[1:], "-p", postgres], capture_output=True, check=False)
    answer = httpx2.get(stack.machine.here(url))

    assert (kind, asked.returncode) == ("CMD", 0)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_health_checks_can_say_no(stack: Stack) -> None:
    """Of a port where nobody is."""
    nobody = Machine(stack.machine.folder / "nobody", {}, {}, {8000: 9, 9100: 9})
    nobody.folder.mkdir(exist_ok=True)

    for name in PROCESSES:
        command: Sequence[str] = stack.document["services"][name]["healthcheck"]["test"][1:]
        unasked = [word.replace("8000", "9").replace("9100", "9") for word in command]
        assert nobody.run(Workload(name, unasked, {}, {})).returncode == 1


def test_each_process_has_its_own_login(stack: Stack) -> None:
    """The HTTP app's can change no history, whatever its process is made to do."""
    for name, role in (("http", "billing_http_login"), ("worker", "billing_worker_login")):
        url = urlsplit(stack.machine.here(stack.machine.secrets[f"database-url-{name}"]).strip())
        assert url.username == role
        refused = _psql(url.geturl(), "delete from history where merchant_id = ''")
        assert "permission denied for table history" in refused


def _psql(url: str, statement: str) -> str:
    command = [str(programs() / "psql"), "--no-psqlrc", "-d", url, "-c", statement]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def test_secrets_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    """Nobody but the owner gets into the folder; the containers' users read what is mounted from it,
    what was put there by hand too."""
    first = make_secrets(tmp_path / "secrets")
    (tmp_path / "secrets" / "stripe-secret-key").touch(mode=0o600)
    second = make_secrets(tmp_path / "secrets")
    other = make_secrets(tmp_path / "other")

    assert {**first, "stripe-secret-key": ""} == second
    assert {name for name, text in first.items() if text == other[name]} == set()
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "secrets").iterdir()} == {0o444}
