"""`billing demo`: the main job, and nothing left of it."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.documents.output import first_missing
from tests.documents.pages import Claim
from tests.e2e.conftest import BILLING, wait_until
from tests.e2e.leftovers import marked_environment, running

from billing_cli.demo_screen import PeoplesScreen

CLAIMS = (Claim(page="README.md", languages=("text",), heading="Two commands"),)

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="finds left-over processes through /proc"),
    pytest.mark.xdist_group("demo"),
]
THE_THREE = ("evt.billing.trial.started", "evt.billing.credits.purchased", "evt.billing.trial.expired")
TIMEOUT_S, END_TIMEOUT_S = 240, 90


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment whose temporary folder and processes are this test's alone."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    return marked_environment(TMPDIR=str(temporary))


@pytest.fixture
def started(environment: dict[str, str]) -> "Iterator[subprocess.Popen[str]]":
    """The demo, at the moment its servers and processes run."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, in a suite run in the background
    process = subprocess.Popen([*BILLING, "demo", "--json"], env=environment, stdout=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["kind"] == "ready"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def nothing_is_left(environment: dict[str, str]) -> bool:
    return not running(environment) and not any(Path(environment["TMPDIR"]).iterdir())


def shown_to_people(lines: Sequence[Mapping[str, Any]]) -> None:
    """This will print what people would have read of the same demo."""
    screen = PeoplesScreen()
    for line in lines:
        match line:
            case {"kind": "act"}:
                screen.act(line["title"])
            case {"kind": "http"}:
                screen.call(line["method"], line["url"], line["status"], line["shown"])
            case {"kind": "event"}:
                screen.received(line["subject"], line["event"])
            case {"kind": "command"}:
                screen.command(line["command"], line["result"])


class TestDemo:
    def test_it_shows_the_three_events_and_leaves_nothing_behind(
        self, environment: dict[str, str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """It exits 0, prints the calls and the three events as they came from NATS and as the README shows them, and
        cleans up before it ends."""
        done = subprocess.run(
            [*BILLING, "demo", "--json"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

        assert done.returncode == 0, done.stderr
        lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
        events = {line["subject"]: line["event"] for line in lines if line["kind"] == "event"}
        assert [subject for subject in events if subject in THE_THREE] == list(THE_THREE)
        assert all(event["type"] == subject for subject, event in events.items())
        bought = events["evt.billing.credits.purchased"]["data"]
        assert (bought["credits"], bought["price"]["amount"]) == (1000, "69.99")
        calls = [(line["method"], line["status"]) for line in lines if line["kind"] == "http"]
        assert calls == [("POST", 201), ("POST", 201), ("GET", 200), ("POST", 303), ("GET", 200), ("GET", 200)]
        assert lines[-2]["trial"] == "expired"
        (readme,) = CLAIMS[0].blocks()
        shown_to_people(lines)
        told = capsys.readouterr().out
        assert first_missing(readme.text, told) is None, told
        assert nothing_is_left(environment)

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
    def test_an_interrupted_one_leaves_nothing_behind(
        self,
        started: "subprocess.Popen[str]",
        environment: dict[str, str],
        number: signal.Signals,
        code: int,
    ) -> None:
        """Ctrl-C and even SIGKILL in the middle: no process and no file is left."""
        assert len(running(environment)) > 5

        started.send_signal(number)

        assert started.wait(END_TIMEOUT_S) == code
        wait_until(
            lambda: nothing_is_left(environment),
            within_s=END_TIMEOUT_S,
            what=f"nothing is left of {running(environment)}",
        )


class TestPeoplesScreen:
    def test_people_read_calls_and_events(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Without --json an event is a line with its type, and money is said as people say it."""
        screen = PeoplesScreen()

        screen.call("POST", "/api/billing/trials", 201, {"status": "active"})
        price = {"amount_minor": 6999, "currency": "USD", "amount": "69.99"}
        event = {"sequence": 3, "subject": "m-1", "data": {"merchant_id": "m-1", "credits": 1000, "price": price}}
        screen.received("evt.billing.credits.purchased", event)

        printed = capsys.readouterr().out
        assert "HTTP  POST /api/billing/trials -> 201" in printed
        assert "NATS  <- evt.billing.credits.purchased  (event 3 of m-1)" in printed
        assert "price    USD 69.99" in printed
        assert "merchant_id" not in printed


def test_the_script_is_the_command() -> None:
    """`script/demo` and `script/server` set up and then become the commands, from whatever folder."""
    scripts = Path(__file__).parents[2] / "script"

    texts = {name: (scripts / name).read_text() for name in ("demo", "server")}

    assert 'exec .venv/bin/billing demo "$@"' in texts["demo"]
    assert 'exec .venv/bin/billing up "$@"' in texts["server"]
    for name, text in texts.items():
        assert "script/setup" in text
        assert shutil.which(str(scripts / name))
