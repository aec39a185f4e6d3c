"""Is what a page calls a command one? Each is held against what the program knows; nothing is run."""

import ast
import importlib.util
import re
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import typer
from packaging.requirements import Requirement
from tests.documents.pages import ROOT

from billing_cli.main import app

# What stands for something else: an ellipsis, and a word in capitals such as ID.
PLACEHOLDER = re.compile(r".*…|[A-Z][A-Z_]*", re.DOTALL)
# What `-n 2` and the like mean is pytest's business.
PYTEST = frozenset({"-n", "-k", "-s", "-q"})
OURS = re.compile(
    r"(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?(billing|script/[\w-]+|python3? -m (?:\w+\.)*\w+|pip install)(?= |$)"
)


def is_command(text: str) -> bool:
    """Whether the text begins as a command of this project does."""
    # `billing.storage` and `billing-http` are other things, and so is `billing` by itself.
    return OURS.match(text) is not None and text not in ("billing", "billing …")


def faults_of(text: str) -> Sequence[str]:
    """What is wrong with a command: nothing, or what the program does not know."""
    # `[--from SEED]` is how a synopsis says that a word may be left out; `billing-core[testing]` is something else.
    words = shlex.split(text.replace("[", "").replace("]", "") if " [" in text else text)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    program, rest = words[0].removeprefix(".venv/bin/"), words[1:]
    if program == "billing":
        return _faults_of_billing(rest)
    if program.startswith("script/"):
        return _faults_of_script(program.removeprefix("script/"), rest)
    if program in ("python", "python3"):
        return _faults_of_module(rest[1], rest[2:])
    return [fault for each in rest[1:] for fault in _faults_of_requirement(each)]


def _faults_of_billing(words: list[str]) -> Sequence[str]:
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return [f"no command {words[0]}"]
        command, words = command.commands[words[0]], words[1:]
    if words in ([], ["--help"]):
        return []
    with typer.Context(command, info_name="billing") as context:
        try:
            given, left, _ = command.make_parser(context).parse_args(list(words))
        except Exception as refused:  # noqa: BLE001 - told as what is wrong with the command, whatever it is
            return [str(refused)]
        return [f"unexpected {word}" for word in left] + [
            fault for each in command.params for fault in _faults_of_value(each, given.get(each.name), context)
        ]


def _faults_of_value(parameter: Any, value: Any, context: Any) -> Sequence[str]:
    if not isinstance(value, str) or PLACEHOLDER.fullmatch(value):
        return []
    try:
        parameter.process_value(context, value)
    except Exception as refused:  # noqa: BLE001 - as above
        return [str(refused)]
    return []


def _faults_of_script(name: str, words: Sequence[str]) -> Sequence[str]:
    path = ROOT / "script" / name
    if not path.is_file():
        return [f"no script/{name}"]
    text = path.read_text("utf-8")
    if becomes := re.search(r'^exec (?:nice -n \d+ )?\.venv/bin/(.+) "\$@"$', text, re.MULTILINE):
        program = becomes[1].split()
        if program[0] == "billing":
            return _faults_of_billing([*program[1:], *words])
        return _faults_of_module(program[2], [*program[3:], *words])
    # A script of its own has its help at its head.
    head = text.partition("\nset ")[0]
    told = set(re.findall(r"[\w-]+", head))
    # What is no option is a word of the caller's, except that the parts of the nightly run are listed.
    wanted = [
        word for word in words if word.startswith("-") or (name == "nightly" and word.isalpha() and word.islower())
    ]
    return [f"script/{name} has no {word}" for word in wanted if word not in told]


def _faults_of_module(name: str, words: Sequence[str]) -> Sequence[str]:
    if name == "pytest":
        paths = [word for word in words if "/" in word and not (ROOT / word).exists()]
        options = [word for word in words if word.startswith("-") and word not in PYTEST]
        return [f"no {each}" for each in (*paths, *options)]
    if importlib.util.find_spec(name) is None:
        return [f"no module {name}"]
    wanted = [word.partition("=")[0] for word in words if word.startswith("-")]
    return [f"{name} has no {option}" for option in wanted if option not in options_of(name)]


@cache
def options_of(module: str) -> frozenset[str]:
    """The options that the module's parser is given, as its source has them: asking each for its `--help` would take
    a second of processor for each."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    folders = spec.submodule_search_locations
    main = Path(folders[0], "__main__.py") if folders else Path(str(spec.origin))
    calls = [node for node in ast.walk(ast.parse(main.read_text("utf-8"))) if isinstance(node, ast.Call)]
    named = [call.args for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"]
    words = [word.value for words in named for word in words if isinstance(word, ast.Constant)]
    return frozenset(word for word in words if isinstance(word, str) and word.startswith("-")) | {"--help"}


@cache
def packages() -> Mapping[str, frozenset[str]]:
    """The packages of this project, each with its extras."""
    projects = [tomllib.loads(path.read_text("utf-8"))["project"] for path in ROOT.glob("*/*/pyproject.toml")]
    return {each["name"]: frozenset(each.get("optional-dependencies", {})) for each in projects}


def _faults_of_requirement(word: str) -> Sequence[str]:
    if word.startswith("."):  # the project in whose folder it is typed
        return []
    wanted = Requirement(word)
    if wanted.name not in packages():
        return [f"no package {wanted.name}"]
    return [f"{wanted.name} has no extra {extra}" for extra in wanted.extras - packages()[wanted.name]]
