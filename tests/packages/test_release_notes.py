"""`script/release-notes` tells what the changelog says of one version."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHANGELOG = """# Changelog

Words.

## [Unreleased]

## [1.10.0] - 2026-12-01

### Added

- A thing.

### Fixed

- Another one, see [1.1.0].

## [1.1.0] - 2026-11-01

- The first.

[1.10.0]: https://billing.example/1.10.0
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of several versions."""
    (tmp_path / "script").mkdir()
    shutil.copy(ROOT / "script" / "release-notes", tmp_path / "script")
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG, "utf-8")
    return tmp_path


def notes(project: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """This will run the command."""
    command = [str(project / "script" / "release-notes"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_a_version_s_words_are_printed(project: Path) -> None:
    """Those between its heading and the next; no other version's, though one begins alike."""
    done = notes(project, "1.10.0")

    assert done.returncode == 0
    assert done.stdout == "### Added\n\n- A thing.\n\n### Fixed\n\n- Another one, see [1.1.0].\n"
    assert notes(project, "1.1.0").stdout == "- The first.\n"


@pytest.mark.parametrize("version", ["1.1", "1.10", "2.0.0", "Unreleased", "", "1.1.0] - 2026"])
def test_nothing_to_tell_is_a_failure(project: Path, version: str) -> None:
    """Which names the versions there are, and prints no notes."""
    done = notes(project, version)

    assert (done.returncode, done.stdout) == (1, "")
    assert "1.10.0" in done.stderr


def test_it_wants_one_version(project: Path) -> None:
    """Wrong usage is told as such."""
    assert (notes(project).returncode, notes(project, "1", "2").returncode) == (2, 2)


def test_this_project_has_something_to_tell() -> None:
    """Of what is not released yet."""
    assert notes(ROOT, "Unreleased").stdout.startswith("### ")
