"""What would be uploaded: every package builds, says what it is, and works where nothing else of ours is installed."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(path.parent for place in ("packages", "apps") for path in ROOT.glob(f"{place}/*/pyproject.toml"))
PROJECTS = {folder: tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"] for folder in FOLDERS}
NAMES = [project["name"] for project in PROJECTS.values()]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
PYDANTIC = {"pydantic", "pydantic-core", "annotated-types", "typing-extensions", "typing-inspection"}
# What is not there without an extra, by package.
OF_EXTRAS = {
    "billing-core": ("billing_core.testing",),
    "billing-adapters": ("billing_adapters.embedded", "billing_adapters.stand_ins"),
}
# Alembic runs these itself, one at a time.
NOT_FOR_IMPORT = ("billing_adapters.postgres.migrations.env",)
IMPORT_ALL = """
import importlib, pkgutil, sys
package, *left_out = sys.argv[1:]
for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
    if not module.name.startswith(tuple(left_out)) and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def uv() -> Run:
    """Runs uv, which `script/setup` brings where it is not installed."""
    found = shutil.which("uv") or shutil.which("uv", path=ROOT / ".uv" / "bin")
    if found is None:
        pytest.skip("no uv: start the tests with script/test, which brings it")
    return lambda *words: run(found, *map(str, words))


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    """This will run it to its end, in the project's folder."""
    clean = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    return subprocess.run(words, cwd=ROOT, env=clean, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="session")
def built(uv: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of every package; each wheel is made from its sdist."""
    folder = tmp_path_factory.mktemp("dist")
    done = uv("build", "--quiet", "--offline", "--all-packages", "--out-dir", folder)
    assert done.returncode == 0, done.stderr
    return folder


def file_name(name: str) -> str:
    """The beginning of a package's files."""
    return f"{name.replace('-', '_')}-{VERSION}"


def wheel(built: Path, name: str) -> zipfile.ZipFile:
    """The package's wheel."""
    return zipfile.ZipFile(built / f"{file_name(name)}-py3-none-any.whl")


def metadata(built: Path, name: str) -> Message:
    """What the package says of itself."""
    text = wheel(built, name).read(f"{file_name(name)}.dist-info/METADATA").decode()
    return HeaderParser().parsestr(text)


class TestBuilt:
    def test_there_are_two_files_of_each(self, built: Path) -> None:
        """Of all six packages, in the project's version."""
        assert len(NAMES) == 6
        assert {project["version"] for project in PROJECTS.values()} == {VERSION}
        assert {path.name for path in built.glob("billing_*")} == {
            f"{file_name(name)}{end}" for name in NAMES for end in ("-py3-none-any.whl", ".tar.gz")
        }

    def test_twine_has_nothing_to_say(self, built: Path) -> None:
        """Strictly: warnings count."""
        files = [str(path) for path in sorted(built.glob("billing_*"))]

        done = run(sys.executable, "-m", "twine", "--no-color", "check", "--strict", *files)

        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("PASSED") == len(files) == 12

    @pytest.mark.parametrize("name", NAMES)
    def test_each_says_what_it_is(self, built: Path, name: str) -> None:
        """Summary, description, licence, Python, typing, and where its pages will be."""
        told = metadata(built, name)

        assert told["Summary"]
        assert told["Requires-Python"] == ">=3.11"
        assert told["License-Expression"] == "Apache-2.0"
        assert told["Description-Content-Type"] == "text/markdown"
        assert told["Keywords"]
        assert "Typing :: Typed" in told.get_all("Classifier", [])
        assert len(str(told.get_payload())) > 300
        for url in told.get_all("Project-URL", []):
            assert ".example/" in url, "a placeholder nobody can own, until there is a place"

    @pytest.mark.parametrize("name", NAMES)
    def test_each_has_what_it_needs_and_no_more(self, built: Path, name: str) -> None:
        """The types' marker, the licence, and nothing but its own package; the sdist can be built from."""
        package = name.replace("-", "_")
        inside = set(wheel(built, name).namelist())
        with tarfile.open(built / f"{file_name(name)}.tar.gz") as archive:
            source = {member.name.removeprefix(f"{file_name(name)}/") for member in archive if member.isfile()}

        assert {f"{package}/py.typed", f"{file_name(name)}.dist-info/licenses/LICENSE"} <= inside
        assert {each.partition("/")[0] for each in inside} == {package, f"{file_name(name)}.dist-info"}
        assert not [each for each in inside | source if "__pycache__" in each or each.endswith((".pyc", ".env"))]
        assert {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO", f"src/{package}/py.typed"} <= source

    @pytest.mark.parametrize("name", NAMES)
    def test_ours_are_wanted_in_versions_that_fit(self, built: Path, name: str) -> None:
        """Another minor version before 1.0 may break what is said between them."""
        wanted = map(Requirement, metadata(built, name).get_all("Requires-Dist", []))
        ours = {each.name: each.specifier for each in wanted if each.name.startswith("billing-")}

        assert all(specifier == SpecifierSet(">=0.1,<0.2") for specifier in ours.values()), ours
        assert ours.keys() < set(NAMES)


@pytest.fixture
def install(uv: Run, built: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Installs one package into an environment of its own, in the locked versions; gives its Python."""

    def install_one(name: str) -> Path:
        environment = tmp_path / "environment"
        made = uv("venv", "--quiet", "--no-project", "--python", sys.executable, environment)
        assert made.returncode == 0, made.stderr
        words = ["pip", "install", "--quiet", "--python", environment, "-c", "requirements.lock", "--find-links", built]
        done = uv(*words, "--offline", name)
        if done.returncode != 0:  # a cache that was emptied: from the network, if there is one
            done = uv(*words, name)
        if done.returncode != 0:
            pytest.skip(f"neither uv's cache nor the network has what {name} needs: {done.stderr.strip()[-500:]}")
        return environment / "bin" / "python"

    return install_one


def installed(uv: Run, python: Path) -> set[str]:
    """The names of what is there."""
    listed: list[dict[str, Any]] = json.loads(uv("pip", "list", "--format", "json", "--python", python).stdout)
    return {each["name"] for each in listed}


class TestAlone:
    @pytest.mark.parametrize("name", NAMES)
    def test_each_is_whole(self, install: Callable[[str], Path], name: str) -> None:
        """Everything a module imports is asked for by its package, or by the extra it belongs to."""
        python = install(name)

        done = run(str(python), "-c", IMPORT_ALL, name.replace("-", "_"), *OF_EXTRAS.get(name, ()), *NOT_FOR_IMPORT)

        assert done.returncode == 0, done.stderr

    def test_the_core_brings_pydantic_alone(self, uv: Run, install: Callable[[str], Path]) -> None:
        """And what pydantic is made of."""
        assert installed(uv, install("billing-core")) == {"billing-core", *PYDANTIC}

    def test_the_client_brings_nothing_else_of_ours(self, uv: Run, install: Callable[[str], Path]) -> None:
        """pydantic, and an HTTP library with what that is made of."""
        there = installed(uv, install("billing-client"))

        assert {each for each in there if each.startswith("billing")} == {"billing-client"}
        assert {"pydantic", "httpx2", "anyio"} <= there
        assert len(there) < 20

    @pytest.mark.parametrize("name", ["billing-core[testing]", "billing-adapters[embedded,stand-ins]"])
    def test_its_extras_are_whole(self, install: Callable[[str], Path], name: str) -> None:
        """What is for tests and development imports, too."""
        python = install(name)

        done = run(str(python), "-c", IMPORT_ALL, name.partition("[")[0].replace("-", "_"), *NOT_FOR_IMPORT)

        assert done.returncode == 0, done.stderr
