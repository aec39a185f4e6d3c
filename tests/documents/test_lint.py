"""The documents other people read, as a strict linter sees them. It comes from npm, pinned by digest in `linter/`, and
where it cannot be had these tests are skipped, saying why."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
SCHEMAS = HERE.parents[1] / "schemas"
NAMES = ("openapi.json", "asyncapi.json")
NPM_TIMEOUT_S = 180

Lint = Callable[[Path], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def lint(tmp_path_factory: pytest.TempPathFactory) -> Lint:
    """Judges a document by the rules of `linter/redocly.yaml`: 0 where it is clean."""
    if shutil.which("npm") is None:
        pytest.skip("no npm on PATH: install Node.js to have OpenAPI and AsyncAPI documents linted")
    folder = tmp_path_factory.mktemp("linter")
    for name in ("package.json", "package-lock.json", "redocly.yaml"):
        shutil.copy(HERE / "linter" / name, folder)
    environment = {**os.environ, "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "REDOCLY_TELEMETRY": "off", "CI": "true"}
    fetch = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"]
    try:
        fetched = run(fetch, folder, environment)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not bring the linter within {NPM_TIMEOUT_S} s")
    if fetched.returncode != 0:
        pytest.skip(f"npm cannot bring the linter: {fetched.stderr.strip()[-500:]}")
    linter = [str(folder / "node_modules" / ".bin" / "redocly"), "lint", "--max-problems=20", "--format=stylish"]
    return lambda path: run([*linter, str(path)], folder, environment)


def run(command: list[str], folder: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """This will run it to its end."""
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=NPM_TIMEOUT_S, check=False
    )


@pytest.mark.parametrize("name", NAMES)
def test_it_is_clean(lint: Lint, name: str) -> None:
    """No error and no warning: every rule is an error."""
    done = lint(SCHEMAS / name)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("openapi.json", lambda document: document["paths"]["/api/billing"]["get"].pop("summary")),
        ("openapi.json", lambda document: document["components"]["schemas"].pop("Problem")),
        ("openapi.json", lambda document: document["components"]["examples"].pop("INVALID_PACK")),
        ("asyncapi.json", lambda document: document["channels"].popitem()),
        ("asyncapi.json", lambda document: document["components"]["messages"].popitem()),
    ],
    ids=["no summary", "no schema", "no example", "no channel", "no message"],
)
def test_it_would_be_noticed(lint: Lint, tmp_path: Path, name: str, spoil: Callable[[Any], object]) -> None:
    """A linter that runs, with rules that bite."""
    document = json.loads((SCHEMAS / name).read_text("utf-8"))
    spoil(document)
    spoilt = tmp_path / name
    spoilt.write_text(json.dumps(document), "utf-8")

    assert lint(spoilt).returncode == 1
