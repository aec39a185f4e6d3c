"""`docs/testing-against-billing.md` is true: each of its blocks is a test file, and all of them pass as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.documents.pages import Claim

CLAIMS = (Claim(page="docs/testing-against-billing.md", languages=("python",)),)
WITHIN_S = 300
OUTCOME = re.compile(r"^(\d+) passed in ", re.MULTILINE)


def test_every_block_of_the_page_passes(tmp_path: Path) -> None:
    """In a folder of nobody's, with the plugin that comes with the package: none fails, and none is skipped."""
    blocks = [block.text for claim in CLAIMS for block in claim.blocks()]
    for number, block in enumerate(blocks, 1):
        (tmp_path / f"test_block_{number}.py").write_text(block, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nanyio_mode = auto\nfilterwarnings = error\n")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis", "-W", "error"],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )

    assert blocks
    assert done.returncode == 0, done.stdout + done.stderr
    passed = OUTCOME.search(done.stdout)
    assert passed is not None, done.stdout
    assert int(passed[1]) >= sum(block.count("def test_") for block in blocks)
