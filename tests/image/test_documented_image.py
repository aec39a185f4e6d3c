"""What `docs/operations.md` says of the image, held against the Dockerfile: there is no Docker where tests run."""

import re
import shlex

import pytest
from tests.documents.commands import faults_of
from tests.documents.pages import Claim
from tests.image.recipe import Recipe

DOCKER = Claim(page="docs/operations.md", languages=("sh",), heading="The image")
CLAIMS = (DOCKER,)
COMMANDS = [command for block in DOCKER.blocks() for command in block.commands]
# Options of `docker run` that the page may use, and those with a value of their own.
FLAGS = {"--read-only", "--no-healthcheck", "--rm"}
WITH_VALUE = {"--cap-drop": {"ALL"}, "--security-opt": {"no-new-privileges"}, "--env-file": None}


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """The Dockerfile."""
    return Recipe()


def test_the_build_hands_in_what_the_recipe_takes(recipe: Recipe) -> None:
    """Arguments it declares, and the folder with the Dockerfile."""
    (build,) = [shlex.split(each) for each in COMMANDS if each.startswith("docker build")]
    arguments = [build[place + 1].partition("=")[0] for place, word in enumerate(build) if word == "--build-arg"]

    assert arguments
    assert all(recipe.argument(name) is not None for name in arguments)
    assert (build[build.index("--tag") + 1], build[-1]) == ("billing", ".")


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("docker run")])
def test_a_run_uses_what_the_image_has(recipe: Recipe, command: str) -> None:
    """Options there are, the tag that was built, and a command that the image can run as it is."""
    _, _, *words = shlex.split(command)
    options, rest = words[: words.index("billing")], words[words.index("billing") + 1 :]
    taken = ""
    for word in options:
        name, _, value = word.partition("=")
        if taken:
            taken = ""
        elif name in WITH_VALUE:
            allowed = WITH_VALUE[name]
            assert allowed is None or value in allowed, word
            taken = "" if value else name
        else:
            assert name in FLAGS, word
    assert "--no-healthcheck" not in options or recipe.values("HEALTHCHECK")
    # Without words of its own a container runs what the recipe says; with some, none may need a shell.
    assert faults_of(" ".join(rest or recipe.command())) == []


def test_the_page_has_no_other_docker_lines() -> None:
    """One that builds, and one for each process that runs."""
    assert [re.match(r"docker \w+", each)[0] for each in COMMANDS] == [  # type: ignore[index]
        "docker build",
        "docker run",
        "docker run",
    ]
