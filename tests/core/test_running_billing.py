"""The way to `billing up` for whoever tests against it: the command is found, and what goes wrong is told."""

import sys
from pathlib import Path

import pytest

from billing_core.testing.up import BillingDidNotStart, find_billing, running_billing

URLS = '"http": "http://127.0.0.1:1", "postgres": "p", "redis": "r", "nats": "n"'
READY = f'{{{URLS}, "token": "t", "merchant_id": "m", "new": 1}}'


def a_command(folder: Path, *lines: str) -> str:
    """A program named `billing` in the folder."""
    file = folder / "billing"
    file.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    file.chmod(0o755)
    return str(file)


class TestFinding:
    """The environment's own first."""

    def test_it_is_looked_for_beside_python_then_on_the_path(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """None where it is nowhere: then tests that need it are skipped."""
        beside, on_path = tmp_path / "venv", tmp_path / "bin"
        beside.mkdir()
        on_path.mkdir()
        monkeypatch.setattr(sys, "executable", str(beside / "python"))
        monkeypatch.setenv("PATH", str(on_path))

        nowhere = find_billing()
        elsewhere = a_command(on_path)
        found_on_path = find_billing()
        own = a_command(beside)

        assert (nowhere, found_on_path, find_billing()) == (None, elsewhere, own)


class TestRunning:
    """As long as the block lasts."""

    def test_what_it_tells_is_there_and_it_is_ended(self, tmp_path: Path) -> None:
        """A line more than we know is no trouble; the machine's own settings are not taken along, the test's are."""
        mark = tmp_path / "ended"
        told = f"trap 'echo $BILLING_CATALOG $* > {mark}; exit 0' TERM"
        command = a_command(tmp_path, told, f"echo '{READY}'", "while :; do sleep 0.05; done")

        with running_billing(command, tmp_path, {"BILLING_CATALOG": "sample.toml"}) as running:
            assert (running.http, running.nats, running.merchant_id) == ("http://127.0.0.1:1", "n", "m")
            assert running.headers(**{"Idempotency-Key": "k"}) == {
                "Authorization": "Bearer t",
                "X-Platform": "sandbox",
                "Idempotency-Key": "k",
            }

        assert mark.read_text().split() == ["sample.toml", *f"up --json --port 0 --data {tmp_path}/data".split()]

    def test_one_that_does_not_start_tells_why(self, tmp_path: Path) -> None:
        """With what it said itself."""
        command = a_command(tmp_path, "echo the port is taken >&2", "exit 1")

        with pytest.raises(BillingDidNotStart, match="the port is taken"), running_billing(command, tmp_path):
            pytest.fail("it runs")

    def test_a_command_on_its_servers_gives_what_it_prints(self, tmp_path: Path) -> None:
        """A document for each line; `--json` and the URLs are ours to give."""
        lines = [f"[ $1 = up ] && echo '{READY}' && exec sleep 60", 'echo "[\\"$1 $2\\", \\"$BILLING_NATS_URL\\"]"']
        command = a_command(tmp_path, *lines)

        with running_billing(command, tmp_path) as running:
            assert running.billing("doctor") == [["doctor --json", "n"]]
