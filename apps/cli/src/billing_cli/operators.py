"""What operators do, signed: by whom, why, and how to follow it; and asked about before it is done."""

import sys

import typer

from billing_adapters.clock import new_id
from billing_core.domain.events import Origin


def operator_origin(actor: str, act: str, reason: str | None = None) -> Origin:
    """The origin of what an operator changes with the command `act`."""
    return Origin(actor=f"operator:{actor}", correlation_id=f"{act}:{new_id()}", reason=reason)


def confirm(question: str, *, yes: bool) -> None:
    """This will ask the person at the terminal whether to go on, unless `yes` says so.

    Raises `typer.Abort` where the answer is no, `typer.BadParameter` where nobody is there to be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here; look with --dry-run, then add --yes", param_hint="--yes")
    typer.confirm(question, abort=True, err=True)
