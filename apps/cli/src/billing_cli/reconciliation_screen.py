"""How a reconciliation is printed: the table is the answer; figures, troubles and what to do next stand on stderr."""

import typer

from billing_cli.outcome_screen import COLUMNS, Reconciliation
from billing_cli.terminal import print_json, print_table, say


def print_reconciliation(done: Reconciliation, *, correlation_id: str | None, dry_run: bool, json: bool) -> None:
    """This will print what was found and done. Raises `typer.Exit` 1 where some could not be asked about or settled."""
    if json:
        followed = {} if correlation_id is None else {"correlation_id": correlation_id}
        print_json({"dry_run": dry_run, **done.document(), **followed})
    else:
        print_table(COLUMNS, done.rows(), nothing="There are no such purchases.")
        say(_summary(done, dry_run=dry_run))
        for purchase in done.reviewed():
            say(f"Next: billing purchases show {purchase.purchase_id}   # needs review")
    for trouble in done.troubles():
        say(trouble)
    if done.failed:
        raise typer.Exit(1)


def _summary(done: Reconciliation, *, dry_run: bool) -> str:
    figures = done.summary()
    told = (
        f"{figures['changed']} changed, {figures['unchanged']} unchanged, {figures['need_review']} need review, "
        f"{figures['failed']} could not be asked about or settled"
    )
    if dry_run:
        return f"Asked about {figures['asked']}; it would be so, and nothing was changed: {told}."
    return f"Asked about {figures['asked']}: {told}."
