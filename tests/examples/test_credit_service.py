"""The example `examples/credit-service` holds: its own tests pass, and it stands on published packages alone."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2] / "examples" / "credit-service"
WITHIN_S = 300
# What each of its parts may import beside Python's own library and itself.
SERVICE, TESTS = {"billing_core", "nats"}, {"billing_core", "pytest", "hypothesis", "nats"}


def test_its_own_tests_pass() -> None:
    """All of them, the end-to-end one on `billing up` too; none is skipped."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis"],
        cwd=PROJECT,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed in ", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.parametrize(("folder", "allowed"), [("src", SERVICE), ("tests", TESTS)])
def test_it_imports_nothing_but_published_packages(folder: str, allowed: set[str]) -> None:
    """The service knows nothing of Billing's adapters or apps, nor of what stands beside it in this repository."""
    imported = {name for file in PROJECT.joinpath(folder).rglob("*.py") for name in _imports(file)}

    assert imported - set(sys.stdlib_module_names) - {"credit_service"} == allowed


def test_it_says_what_it_needs() -> None:
    """What is imported is what is declared."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]

    assert [_name(each) for each in project["dependencies"]] == ["billing-core", "nats-py"]
    assert [_name(each) for each in project["optional-dependencies"]["test"]] == ["billing-core[testing]"]


def test_the_service_needs_no_test_kit() -> None:
    """What runs imports the core, and `billing_core.testing` only in its tests."""
    for file in PROJECT.joinpath("src").rglob("*.py"):
        assert "billing_core.testing" not in file.read_text("utf-8")


def _imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def _name(requirement: str) -> str:
    return re.split(r"[<>=!~; ]", requirement)[0]
