"""The line of `docs/client.md` that installs the client, typed in an environment with nothing else in it."""

import os
import subprocess
from pathlib import Path

from tests.documents.pages import Claim
from tests.e2e.newcomer import build, empty_environment, locked_pip

CLAIMS = (Claim(page="docs/client.md", languages=("sh",)),)
WITHIN_S = 120


def test_the_client_can_be_used_after_it(tmp_path: Path) -> None:
    """The import that the page's next block begins with works."""
    (block,) = CLAIMS[0].blocks()
    environment = empty_environment(tmp_path / "env")
    locked_pip(environment, build(tmp_path / "wheels", "billing-client"))

    done = subprocess.run(
        ["/bin/sh", "-ec", f"{block.text}\npython -c 'from billing_client import BillingClient'"],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )

    assert done.returncode == 0, done.stderr
