"""The command line, from Typer: every command with its arguments, options and example."""

import inspect
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from billing_cli.main import app
from documentation.writing import fenced, literal, page, sentence, table

# Typer's own, and the same everywhere.
_EVERYWHERE = {"help", "install_completion", "show_completion"}
_WORDS: Mapping[Any, str] = {str: "text", int: "number", Path: "path", list[str]: "text, also several times"}


def command_line(root: Path) -> str:
    """This will write the page: what all commands have in common, a list of them, then one after the other."""
    del root  # the commands are code, not files
    group: Any = typer.main.get_command(app)
    commands = list(_commands(group, ()))
    return page(
        "Command line",
        "Every command of `billing`, generated from the command line itself. Each prints JSON with `--json`, explains "
        "itself with `--help`, and ends with 0 (done), 1 (refused or failed; the reason and its "
        "[code](error-codes.md) stand on stderr) or 2 (typed wrongly). For support, in the order of questions: "
        "[support](../support.md).",
        table(
            ("command", "what it does"),
            ((f"[{literal(name)}](#{name.replace(' ', '-')})", sentence(command.help)) for name, command in commands),
        ),
        *(part for name, command in commands for part in _command(name, command)),
    )


def _commands(group: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        else:
            yield " ".join(("billing", *path, name)), command


def _command(name: str, command: Any) -> Iterator[str]:
    parameters = [
        each for each in command.params if each.name not in _EVERYWHERE and not getattr(each, "hidden", False)
    ]
    arguments = [each for each in parameters if each.param_type_name == "argument"]
    options = [each for each in parameters if each.param_type_name == "option"]
    yield f"## {name}"
    yield "\n\n".join(" ".join(part.split()) for part in command.help.strip().split("\n\n"))
    yield fenced("text", " ".join((name, *(_called(each) for each in arguments), *(["[OPTIONS]"] if options else []))))
    yield table(
        ("argument", "needed", "meaning"),
        ((literal(_called(each)), "yes" if each.required else "no", each.help or "") for each in arguments),
    )
    yield table(
        ("option", "takes", "default", "meaning"),
        ((_names(each), _takes(each), _default(each), each.help or "") for each in options),
    )
    yield "Example:"
    yield fenced("text", command.epilog.removeprefix("Example: ").replace(" || ", "\n"))


def _called(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _names(option: Any) -> str:
    return ", ".join(map(literal, (*option.opts, *option.secondary_opts)))


def _takes(option: Any) -> str:
    """Raises KeyError for a type it has no word for."""
    if option.is_flag:
        return "nothing"
    kind = option.type_descriptor.annotation
    if inspect.isclass(kind) and issubclass(kind, Enum):
        return ", ".join(literal(str(each.value)) for each in kind)
    bounds = [f"{words} {bound}" for words, bound in (("from", option.min), ("to", option.max)) if bound is not None]
    return " ".join((_WORDS[kind], *bounds))


def _default(option: Any) -> str:
    if option.required:
        return "must be given"
    if option.is_flag or option.default is None:
        return ""
    return literal(str(getattr(option.default, "value", option.default)))
