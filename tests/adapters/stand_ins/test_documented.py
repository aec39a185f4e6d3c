"""The lines of `docs/platforms.md` start what they say, on a free port instead of the one that is typed."""

import json
import re
import shlex
import signal
import subprocess
import sys

import httpx2
import pytest
from tests.documents.commands import faults_of
from tests.documents.pages import ROOT, Claim

CLAIMS = (Claim(page="docs/platforms.md", languages=("sh",)),)
COMMANDS = [command for claim in CLAIMS for block in claim.blocks() for command in block.commands]
WITHIN_S = 60


@pytest.mark.parametrize("command", COMMANDS)
def test_the_stand_in_starts_answers_and_ends(command: str) -> None:
    """It tells its URL, can be told what to do there, and ends well when asked to."""
    assert faults_of(command) == []
    words = shlex.split(re.sub(r"--port \d+", "--port 0", command))
    process = subprocess.Popen([sys.executable, *words[1:]], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ((platform, url),) = json.loads(process.stdout.readline()).items()
        answer = httpx2.get(f"{url}/_control", timeout=WITHIN_S)
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(WITHIN_S)
        if process.stdout is not None:
            process.stdout.close()

    assert (platform in words, answer.status_code, code) == (True, 200, 0)


def test_both_are_shown() -> None:
    """Each platform that has one, on ports apart."""
    assert [command.split()[3:] for command in COMMANDS] == [
        ["shopify", "--port", "8201"],
        ["stripe", "--port", "8202"],
    ]
