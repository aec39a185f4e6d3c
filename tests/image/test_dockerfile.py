"""The Dockerfile: what stands in it, and what must not."""

import fnmatch
import json
import re
import shlex
from pathlib import Path

import pytest
from supply_chain.lock import IMAGE_ENVIRONMENT, read_projects
from tests.image.recipe import ROOT, Recipe

BY_DIGEST = re.compile(r"python:3\.\d+-slim-\w+@sha256:[0-9a-f]{64}")


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """The Dockerfile."""
    return Recipe()


def test_the_base_is_pinned_by_digest(recipe: Recipe) -> None:
    """Both stages stand on the same bytes, whatever a tag means tomorrow."""
    assert BY_DIGEST.fullmatch(recipe.argument("PYTHON_IMAGE"))
    assert [recipe.values("FROM", stage=stage) for stage in (0, 1)] == [
        ["${PYTHON_IMAGE} AS build"],
        ["${PYTHON_IMAGE}"],
    ]


def test_the_contents_are_those_of_the_python_of_the_base(recipe: Recipe) -> None:
    """Which pins of its lock are taken for the image's contents is decided by the Python that is in it."""
    python = recipe.argument("PYTHON_IMAGE").removeprefix("python:").partition("-")[0]

    assert python == IMAGE_ENVIRONMENT["python_version"]
    assert IMAGE_ENVIRONMENT["python_full_version"].startswith(f"{python}.")


def test_it_runs_as_a_number_that_is_not_root(recipe: Recipe) -> None:
    """The last word on the user is a number, and nothing comes after it that would run as another."""
    (user,) = recipe.values("USER")
    names = [name for name, _ in recipe.stages[-1]]

    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    assert not {"RUN", "COPY", "ADD"} & set(names[names.index("USER") :])


def test_nothing_wants_a_shell(recipe: Recipe) -> None:
    """What runs in the image is a list of words: to start, to be asked, and to be made in the last stage."""
    assert recipe.command() == ["python", "-m", "billing_http"]
    assert recipe.command("HEALTHCHECK")[0] == "python"
    for value in recipe.values("RUN"):
        assert isinstance(json.loads(value), list)
    assert not recipe.values("SHELL")
    assert not recipe.values("ENTRYPOINT")


def test_it_is_told_to_stop_and_asked_how_it_is(recipe: Recipe) -> None:
    """SIGTERM, a bounded question, one port, production."""
    (health,) = recipe.values("HEALTHCHECK")

    assert recipe.values("STOPSIGNAL") == ["SIGTERM"]
    assert "--timeout=3s" in health
    assert recipe.values("EXPOSE") == [recipe.environment()["BILLING_PORT"]]
    assert recipe.environment()["BILLING_ENV"] == "production"
    assert recipe.environment()["PYTHONDONTWRITEBYTECODE"] == "1"
    assert recipe.environment()["PYTHONSAFEPATH"] == "1"


def test_labels_tell_what_it_is(recipe: Recipe) -> None:
    """The names of OCI; the version is the packages' own."""
    (labels,) = recipe.values("LABEL")
    told = dict(word.split("=", 1) for word in shlex.split(labels))

    assert {key.removeprefix("org.opencontainers.image.") for key in told} == {
        "title", "description", "version", "revision", "licenses",
    }  # fmt: skip
    assert told["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert {project.version for project in read_projects().values()} == {recipe.argument("VERSION")}


def test_everything_is_installed_by_hash(recipe: Recipe) -> None:
    """Three steps: uv, what is locked, and ours without anything else and without a network."""
    runs = recipe.values("RUN", stage=0)
    installing = [each for each in " && ".join(runs).split(" && ") if " install " in each or " sync " in each]

    assert len(installing) == 3
    assert all("--require-hashes -r requirements-uv.lock" in each for each in installing[:1])
    assert installing[1].endswith("--require-hashes requirements-image.lock")
    assert "--offline --no-deps" in installing[2]
    assert [Path(word).name for word in installing[2].split() if word.startswith("./")] == [
        "billing-core", "billing-adapters", "http", "worker", "cli",
    ]  # fmt: skip


def test_only_what_is_copied_goes_to_the_build(recipe: Recipe) -> None:
    """`.dockerignore` lets in what COPY names, and no other file of the checkout."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    let_in = {line[1:] for line in lines if line.startswith("!")}
    copied = {word for value in recipe.values("COPY", stage=0) for word in value.split()[:-1]}

    assert lines[0] == "*"
    assert let_in == copied
    for secret in (".env", "packages/.env", "apps/http/.env.local"):
        assert any(fnmatch.fnmatch(f"/{secret}", line.replace("**", "*")) for line in lines if line.startswith("**/"))


def test_nothing_is_added_from_elsewhere(recipe: Recipe) -> None:
    """No ADD, no download, no secret in a build argument."""
    whole = [each for stage in recipe.stages for each in stage]

    assert not [value for name, value in whole if name == "ADD"]
    assert not [
        value for _, value in whole if re.search(r"https?://(?!127\.0\.0\.1)|\b(curl|wget|apt|apt-get)\b", value)
    ]
    assert [value.partition("=")[0] for name, value in [*recipe.before, *whole] if name == "ARG"] == [
        "PYTHON_IMAGE", "VERSION", "REVISION",
    ]  # fmt: skip
