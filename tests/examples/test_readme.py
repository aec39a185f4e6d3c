"""The commands of the example's README, typed in a copy of it, with Billing's NATS beside it."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.documents.pages import ROOT, Claim
from tests.e2e.conftest import wait_until
from tests.e2e.newcomer import build, empty_environment, locked_pip

from billing_adapters.nats.connection import NatsConnection
from billing_core.testing import a_merchant, an_event

CLAIMS = (Claim(page="examples/credit-service/README.md", languages=("sh",)),)
WITHIN_S = 120


class Reader:
    """Somebody in a copy of the example, with an environment of their own."""

    def __init__(self, folder: Path, nats_url: str) -> None:
        """This will copy the example and make the environment, in which `pip` has our wheels."""
        self._project = shutil.copytree(ROOT / "examples" / "credit-service", folder / "project")
        environment = empty_environment(folder / "env")
        locked_pip(environment, build(folder / "wheels", "billing-core"))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))}
        path = f"{environment / 'bin'}{os.pathsep}{kept['PATH']}"
        self._settings = {**kept, "PATH": path, "BILLING_NATS_URL": nats_url}

    def types(self, command: str) -> str:
        """This will run the command to its end and give what it prints."""
        words = ["/bin/sh", "-ec", command]
        done = subprocess.run(
            words,
            cwd=self._project,
            env=self._settings,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def runs(self, command: str) -> Iterator[None]:
        """The command, in another terminal, until the end of the block."""
        process = subprocess.Popen(["/bin/sh", "-ec", f"exec {command}"], cwd=self._project, env=self._settings)
        try:
            yield
        finally:
            process.terminate()
            process.wait(WITHIN_S)


async def test_it_runs_as_its_readme_says(broker: NatsConnection, nats_url: str, tmp_path: Path) -> None:
    """Installed from what is published, it keeps what an event brought, and another terminal is told."""
    (block,) = CLAIMS[0].blocks()
    install, consume, own_tests = block.commands
    (balances,) = re.findall(r"# another terminal: (.+)", block.text)
    reader = Reader(tmp_path, nats_url)
    event = an_event("evt.billing.trial.started", a_merchant("m-1"), credits=500)
    await broker.jetstream.publish(event.type, event.body, headers={"Nats-Msg-Id": str(event.event_id)})

    reader.types(install)
    with reader.runs(consume):
        told = wait_until(
            lambda: said if (said := reader.types(balances)).strip() != "{}" else None,
            within_s=WITHIN_S,
            what="the event counts",
        )

    assert json.loads(told) == {"m-1": 500}
    # tests/examples/test_credit_service.py runs these on every test run.
    assert own_tests == "python -m pytest"
