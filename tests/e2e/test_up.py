"""`billing up`: the whole service by one command, that mends itself and cleans up."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from tests.e2e.conftest import BILLING, wait_until
from tests.e2e.leftovers import marked_environment, running

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="finds left-over processes through /proc"),
    pytest.mark.xdist_group("up"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Up:
    """A running `billing up --json`."""

    process: "subprocess.Popen[str]"
    environment: dict[str, str]
    data: Path
    errors: Path
    ready: dict[str, str]

    def pid_of(self, part: str) -> int | None:
        """The process whose command line has the part."""
        return next((pid for pid, command in running(self.environment).items() if part in command), None)

    def billing(self) -> int:
        """The status of a merchant's own question over HTTP; 0 where nobody answers."""
        headers = {"Authorization": f"Bearer {self.ready['token']}", "X-Platform": "sandbox"}
        try:
            return httpx2.get(f"{self.ready['http']}/api/billing", headers=headers, timeout=10).status_code
        except httpx2.TransportError:  # not there yet, or again
            return 0

    def told(self) -> str:
        """What it said on stderr."""
        return self.errors.read_text()


def start(folder: Path, name: str) -> Up:
    """This will run `billing up` on the data folder `name` and wait for its line."""
    environment, errors = marked_environment(), folder / f"{name}.err"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [*BILLING, "up", "--data", name, "--port", "0", "--json"],
            env=environment,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, errors.read_text()
    return Up(process=process, environment=environment, data=folder / name, errors=errors, ready=json.loads(line))


def end(up: Up, number: signal.Signals) -> int:
    """This will send the signal and return the exit code."""
    up.process.send_signal(number)
    code = up.process.wait(90)
    if up.process.stdout is not None:
        up.process.stdout.close()
    return code


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One `billing up` for the tests that leave it running."""
    running_one = start(tmp_path_factory.mktemp("up"), "data")
    yield running_one
    if running_one.process.poll() is None:
        end(running_one, signal.SIGKILL)


class TestReady:
    def test_the_line_is_enough_to_begin(self, up: Up) -> None:
        """One line has the URLs, a merchant that is registered, and a token for it."""
        assert up.ready.keys() == {"http", "postgres", "redis", "nats", "token", "merchant_id"}
        assert up.billing() == 200

    def test_the_urls_serve_other_programs(self, up: Up) -> None:
        """`billing` itself, pointed at the printed URLs, finds everything healthy."""
        urls = {"BILLING_DATABASE_URL": "postgres", "BILLING_REDIS_URL": "redis", "BILLING_NATS_URL": "nats"}
        environment = {**marked_environment(), **{variable: up.ready[name] for variable, name in urls.items()}}

        done = subprocess.run(
            [*BILLING, "doctor", "--json"], env=environment, capture_output=True, text=True, timeout=120, check=False
        )

        assert done.returncode == 0, done.stdout
        assert json.loads(done.stdout)["healthy"] is True

    def test_a_second_one_on_the_same_data_is_refused(self, up: Up) -> None:
        """One data folder serves one `billing up`; the refusal names the process and the remedy."""
        done = subprocess.run(
            [*BILLING, "up", "--data", str(up.data), "--port", "0"],
            env=marked_environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

        assert (done.returncode, done.stdout) == (1, "")
        assert f"DATA_FOLDER_IN_USE: {up.data} is in use by process {up.process.pid}" in done.stderr
        assert "--data" in done.stderr

    def test_a_taken_port_is_refused(self, up: Up, tmp_path: Path) -> None:
        """A port somebody listens on is refused before anything starts."""
        port = up.ready["http"].rpartition(":")[2]

        done = subprocess.run(
            [*BILLING, "up", "--data", "other", "--port", port],
            env=marked_environment(),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

        assert (done.returncode, done.stdout) == (1, "")
        assert f"PORT_IN_USE: Port {port}" in done.stderr


class TestMending:
    @pytest.mark.parametrize(("name", "part"), [("HTTP", "billing_http"), ("worker", "billing_worker")])
    def test_a_process_of_ours_that_dies_is_started_again(self, up: Up, name: str, part: str) -> None:
        """A killed process is back under another id, with a line that says so, and the service answers."""
        before = wait_until(lambda: up.pid_of(part), within_s=60, what=f"{name} runs")

        os.kill(before, signal.SIGKILL)

        wait_until(
            lambda: f"{name} (process {before}) was ended by SIGKILL" in up.told(), within_s=60, what="it is told"
        )
        wait_until(lambda: up.pid_of(part) not in (None, before), within_s=60, what=f"{name} runs again")
        wait_until(lambda: up.billing() == 200, within_s=60, what="HTTP answers again")

    def test_a_server_that_dies_is_started_again(self, up: Up) -> None:
        """A killed Redis is back at the same address, with a line that says so."""
        before = wait_until(lambda: up.pid_of("redis.conf"), within_s=60, what="Redis runs")

        os.kill(before, signal.SIGKILL)

        wait_until(lambda: "redis runs again" in up.told(), within_s=60, what="Redis runs again")
        health = f"{up.ready['http']}/health"
        wait_until(
            lambda: httpx2.get(health, timeout=10).json()["checks"]["redis"] == "up",
            within_s=60,
            what="it is used again",
        )


class TestEnding:
    def test_beside_another_it_ends_in_order_or_not_and_leaves_nothing(self, up: Up, tmp_path: Path) -> None:
        """A second one runs beside the first with nothing in common; SIGTERM ends it with 0; its data folder brings
        the same servers back; SIGKILL leaves no process; and the first has noticed none of it."""
        second = start(tmp_path, "data")
        answered = second.billing()
        asked = end(second, signal.SIGTERM)
        left = running(second.environment)
        again = start(tmp_path, "data")
        answered_again = again.billing()
        end(again, signal.SIGKILL)

        assert (answered, asked, left) == (200, 0, {})
        assert not {up.ready[name] for name in ("http", "postgres", "redis", "nats")} & set(second.ready.values())
        assert (answered_again, again.ready["postgres"]) == (200, second.ready["postgres"])
        wait_until(lambda: not running(again.environment), within_s=60, what="nothing is left after SIGKILL")
        assert up.billing() == 200
