"""The servers of compose.yaml as it starts them, here: the same commands, configurations, users and logins."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.deploy import composed
from tests.deploy.composed import ROOT
from tests.deploy.workloads import Machine

from billing_adapters.embedded import EmbeddedServers
from billing_adapters.embedded.binaries import find_programs
from billing_cli.local_service import free_port

READY_WITHIN_S = 60.0
MAKE_SECRETS = ROOT / "deploy" / "compose" / "make-secrets"
# Where the servers are, to compose.yaml.
COMPOSED = {"POSTGRES": "postgres:5432", "REDIS": "redis:6379", "NATS": "nats:4222"}


def make_secrets(directory: Path, places: Mapping[str, str] = COMPOSED) -> Mapping[str, str]:
    """This will make the secrets as an operator does, for servers at these places, and give their texts by name."""
    environment = {"PATH": os.environ["PATH"], **places}
    subprocess.run([MAKE_SECRETS, directory], env=environment, capture_output=True, check=True)
    return {path.name: path.read_text("utf-8") for path in directory.iterdir()}


@contextmanager
def running_servers(
    folder: Path, secrets: Mapping[str, str], places: Mapping[str, str] = COMPOSED
) -> Iterator[Machine]:
    """This will run them while the block lasts; `places` are where the secrets look for them."""
    services = composed.load(composed.BASE)["services"]
    machine = Machine(folder, secrets, {})
    with ExitStack() as stack:
        postgres = stack.enter_context(EmbeddedServers(folder / "pg", durable=True, which=frozenset({"postgres"})))
        admin = urlsplit(str(postgres.urls.postgres_admin))
        _make_logins(machine, services["postgres"], admin.geturl())
        redis, nats, monitor = free_port(), free_port(), free_port()
        stack.enter_context(_redis(machine, services["redis"], redis))
        stack.enter_context(_nats(machine, services["nats"], nats, monitor))
        machine.places = {
            places["POSTGRES"]: f"{admin.hostname}:{admin.port}",
            places["REDIS"]: f"127.0.0.1:{redis}",
            places["NATS"]: f"127.0.0.1:{nats}",
            "nats:8222": f"127.0.0.1:{monitor}",
        }
        yield machine


def wait_until(fact: Callable[[], Any], what: str) -> Any:
    """This will poll until the fact holds and return it."""
    deadline_s = time.monotonic() + READY_WITHIN_S
    while not (found := fact()):
        assert time.monotonic() < deadline_s, what
        time.sleep(0.02)
    return found


def programs() -> Path:
    """Where PostgreSQL's programs are."""
    return Path(find_programs(frozenset({"postgres"}))["postgres"]).parent


def _make_logins(machine: Machine, service: composed.Service, admin: str) -> None:
    """As the image does with what lies in its folder, when it makes the database."""
    ((source, target),) = [
        (source, target)
        for source, target, _ in composed.volumes(service)
        if target.startswith("/docker-entrypoint-initdb.d/")
    ]
    root = machine.lay("postgres", composed.files(service))
    script = root / target.lstrip("/")
    script.parent.mkdir(parents=True)
    script.write_text((ROOT / source).read_text("utf-8").replace(composed.SECRETS, str(root / "run/secrets")), "utf-8")
    command = [
        str(programs() / "psql"),
        "--no-psqlrc",
        "--quiet",
        "-v",
        "ON_ERROR_STOP=1",
        "-d",
        admin,
        "-f",
        str(script),
    ]
    for _ in range(2):  # it says that it can be run again
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@contextmanager
def _redis(machine: Machine, service: composed.Service, port: int) -> Iterator[None]:
    root = machine.lay("redis", composed.files(service))
    told = [_below(root, word) for word in service["command"]]
    assert told[0] == "redis-server"
    program = find_programs(frozenset({"redis"}))["redis"]
    told += ["--bind", "127.0.0.1", "--port", str(port)]
    # As its health check asks it: without a login.
    with _server(machine, "redis", [program, *told[1:]], {}, lambda: b"NOAUTH" in _said(port, b"PING\r\n")):
        yield


@contextmanager
def _nats(machine: Machine, service: composed.Service, port: int, monitor: int) -> Iterator[None]:
    root = machine.lay("nats", composed.files(service))
    for source, target, how in composed.volumes(service):
        if how == "ro":
            (root / target.lstrip("/")).write_text((ROOT / source).read_text("utf-8"), "utf-8")
    told = [_below(root, word) for word in service["command"]]
    assert told[0] == "nats-server"
    program = find_programs(frozenset({"nats"}))["nats"]
    environment = {name: str(root / value.lstrip("/")) for name, value in service["environment"].items()}
    listening = ["--addr", "127.0.0.1", "--port", str(port), "--http_port", str(monitor)]
    command = [program, *told[1:], *listening]
    with _server(machine, "nats", command, environment, lambda: b"INFO" in _said(port, b"")):
        machine.ports[8222] = monitor
        yield


@contextmanager
def _server(
    machine: Machine, name: str, command: Sequence[str], environment: Mapping[str, str], is_there: Callable[[], bool]
) -> Iterator[None]:
    with machine.log(name).open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, **environment}, cwd=machine.folder
        )
    try:
        wait_until(lambda: is_there() or process.poll() is not None, f"{name} is there; see {machine.log(name)}")
        assert process.poll() is None, machine.log(name).read_text("utf-8")
        yield
    finally:
        process.terminate()
        process.wait()


def _below(root: Path, word: str) -> str:
    return str(root / word.lstrip("/")) if word.startswith("/") else word


def _said(port: int, told: bytes) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as session:
            session.sendall(told)
            return session.recv(256)
    except OSError:  # not yet
        return b""
