"""docs/deployment.md: every command that is told can be typed, and is about what there is."""

import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence

import pytest
import yaml
from tests.deploy import composed
from tests.deploy.manifests import Rendered, render
from tests.deploy.page import PAGE, ROOT, Command, commands, languages, programs_of_blocks
from tests.documents.commands import faults_of
from tests.documents.pages import Claim

CLAIMS = (Claim(page="docs/deployment.md", languages=("sh",)),)

# What the page uses of `docker compose`, as Docker documents it: options, and whether they take a value.
OF_COMPOSE = {"-f": True, "--profile": True}
SUBCOMMANDS: Mapping[str, set[str]] = {
    "up": {"--build", "--wait"},
    "down": set(),
    "logs": {"--follow"},
    "run": {"--rm"},
    "exec": set(),
}
KUBECTL_ASKS_A_CLUSTER = ("apply", "delete", "wait", "rollout")


def names(command: Command) -> str:
    """For the test's own name."""
    return " ".join(command.words)[:60]


class TestPage:
    def test_each_block_is_of_one_kind(self) -> None:
        """Docker's, Kubernetes', or one that runs here."""
        assert languages() == {"sh"}
        assert all(len(programs) == 1 for programs in programs_of_blocks())
        assert set.union(*programs_of_blocks()) == {"docker", "kubectl", "deploy/compose/make-secrets"}

    def test_the_script_is_run_as_it_is_told(self) -> None:
        """Without arguments here, and for the cluster's servers there (tests/deploy/conftest.py runs that one)."""
        here, there = commands("deploy/compose/make-secrets")

        assert (here.variables, here.words) == ({}, ["deploy/compose/make-secrets"])
        assert there.variables.keys() == {"POSTGRES", "REDIS", "NATS"}
        assert there.words == ["deploy/compose/make-secrets", "secrets"]
        assert "secrets/" in (ROOT / ".gitignore").read_text("utf-8").split()

    def test_what_it_names_is_there(self) -> None:
        """Files of this project, and services of the stack."""
        text = PAGE.read_text("utf-8")
        services = composed.load(composed.BASE)["services"]

        assert [path for path in ("deploy/compose/logins.sql", "deploy/kubernetes") if path not in text] == []
        assert [name for name in services if f"`{name}`" not in text] == []

    def test_every_variable_it_tells_is_asked_for(self) -> None:
        """By compose.yaml, of `.env`."""
        (line,) = [each for each in PAGE.read_text("utf-8").splitlines() if each.startswith("| `.env` beside")]
        told = {word.strip("`,") for word in line.split("|")[1].split() if word.startswith("`BILLING_")}

        assert len(told) == 4
        assert told <= composed.variables_of(composed.BASE)


@pytest.mark.parametrize("command", commands("docker"), ids=names)
def test_docker_compose_would_understand_it(command: Command) -> None:
    """Options, files, profiles and services, each of which there is; the command inside a container is ours or the
    image's."""
    program, subcommand, *words = command.words
    assert (program, subcommand) == ("docker", "compose")
    while words[0] in OF_COMPOSE:
        words = words[1 + OF_COMPOSE[words[0]] :]
    paths = command.values("-f")[:1] if "exec" in words else command.values("-f")
    stack = composed.load(*[ROOT / path for path in paths if (ROOT / path).is_file()] or [composed.BASE])
    act, *rest = words
    options = [word for word in rest if word.startswith("--") and word in {*SUBCOMMANDS[act]}]
    rest = rest[len(options) :]

    assert [path for path in paths if not path.startswith("/") and not (ROOT / path).is_file()] == []
    assert {each for service in stack["services"].values() for each in service.get("profiles", ())} >= set(
        command.values("--profile")
    )
    if act in ("run", "exec"):
        service, *inside = rest
        _is_understood(stack, service, inside)
    else:
        assert [each for each in rest if each not in stack["services"]] == []


def test_what_prometheus_is_given_is_a_secret_of_the_stack() -> None:
    """The only file that the script does not make."""
    (command,) = [each for each in commands("docker") if each.into]

    assert command.into == "secrets/metrics-token"
    assert composed.load(composed.BASE)["secrets"]["metrics-token"]["file"] == f"./{command.into}"


@pytest.mark.parametrize("command", commands("kubectl"), ids=names)
def test_kubectl_understands_it(kubectl: str, rendered: Rendered, command: Command) -> None:
    """What is rendered here is rendered; the objects that are waited for are among what is applied."""
    act = command.words[1]
    applied = {(each["kind"].lower(), each["metadata"]["name"]) for each in rendered.manifests}
    for folder in command.values("-k"):
        assert render(kubectl, ROOT / folder).manifests
    for file in command.values("-f"):
        assert yaml.safe_load((ROOT / file).read_text("utf-8"))["metadata"]["name"] == "billing"
    for namespace in command.values("--namespace"):
        assert namespace == "billing"
    named = [word for word in command.words[2:] if "/" in word and not word.startswith(("-", "deploy/"))]
    if act == "delete":
        named.append(f"{command.words[2]}/{command.words[3]}")
    assert [each for each in named if tuple(each.split("/")) not in applied] == []
    if act in KUBECTL_ASKS_A_CLUSTER:
        assert _help(kubectl, command) >= {word.partition("=")[0] for word in command.words if word.startswith("-")}
    else:
        assert command.words[1:4] == ["create", "secret", "generic"]  # run by tests/deploy/conftest.py


def _is_understood(stack: composed.Document, service: str, inside: Sequence[str]) -> None:
    if inside[0] == "billing":
        assert service in composed.ours(stack)
        assert faults_of(shlex.join(inside)) == []
    else:
        assert (service, inside[0]) == ("postgres", "psql")
        mounted = [target for _, target, _ in composed.volumes(stack["services"][service])]
        assert inside[-1] in mounted


def _help(kubectl: str, command: Command) -> set[str]:
    """The options that kubectl knows for it."""
    words = command.words[1:3] if command.words[1] == "rollout" else command.words[1:2]
    told = [
        subprocess.run([kubectl, *each], capture_output=True, text=True, check=True).stdout
        for each in ([*words, "--help"], ["options"])
    ]
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", "\n".join(told)))
