"""`billing trials`."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from billing_cli.options import Actor, DryRun, Json, Reason, Yes, read_actor, read_moment, read_reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from billing_core.domain.events import Origin
    from billing_core.ports.records import HistoryEntry
    from billing_core.use_cases.operate_trials import OperateTrials, TrialOutcome
    from billing_core.views import TrialView

    Act = Callable[[OperateTrials, Origin, bool], Awaitable[TrialOutcome]]

app = typer.Typer(help="Trials: what became of one, and what operators do with it.", no_args_is_help=True)

MOST_DAYS = 3650

Merchant = Annotated[str, typer.Argument(metavar="MERCHANT", help="The merchant's id.")]


@app.command(epilog="Example: billing trials show dev-merchant --json")
def show(merchant: Merchant, json: Json = False) -> None:
    """Show a merchant's trial, everything that happened to it, and what to do next."""
    from billing_cli.history import history_documents, print_history
    from billing_cli.running import run
    from billing_cli.terminal import print_facts, print_json, print_lines
    from billing_cli.trial_screen import advice

    trial, entries = run(lambda: _read(merchant))
    document: dict[str, Any] = trial.to_document()
    if json:
        print_json({**document, "history": history_documents(entries), "next": advice(trial)})
    else:
        print_facts(f"Trial of {merchant}", document)
        print_history(entries)
        if commands := advice(trial):
            print_lines("Next:", *(f"  {each}" for each in commands))


@app.command(epilog='Example: billing trials extend dev-merchant --days 7 --reason "their import failed" --dry-run')
def extend(
    merchant: Merchant,
    reason: Reason,
    days: Annotated[
        int | None, typer.Option(min=1, max=MOST_DAYS, help="So many days after the end it has now.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="To this moment (RFC 3339); typed twice it counts once.")] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Move the end of a running trial to a later moment."""
    if (days is None) == (until is None):
        raise typer.BadParameter("say until when: either --days N or --until TIME")
    longer = timedelta(days=days) if days is not None else read_moment(until or "")
    by = _origin(actor, "trials-extend", reason)
    _operate(
        "extend",
        lambda operate, origin, dry: operate.extend(merchant, longer, origin, dry_run=dry),
        by,
        dry_run=dry_run,
        yes=yes,
        json=json,
    )


@app.command(epilog='Example: billing trials end dev-merchant --reason "asked to by the merchant" --dry-run')
def end(
    merchant: Merchant,
    reason: Reason,
    dry_run: DryRun = False,
    yes: Yes = False,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """End a running trial now. The shop gets no other one, unless somebody regrants it."""
    by = _origin(actor, "trials-end", reason)
    _operate(
        "end",
        lambda operate, origin, dry: operate.end(merchant, origin, dry_run=dry),
        by,
        dry_run=dry_run,
        yes=yes,
        json=json,
    )


@app.command(epilog='Example: billing trials regrant dev-merchant --reason "the first one met our outage" --dry-run')
def regrant(
    merchant: Merchant,
    reason: Reason,
    dry_run: DryRun = False,
    yes: Yes = False,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Give a shop that has had its trial another one, by today's terms; refused while one runs."""
    by = _origin(actor, "trials-regrant", reason)
    _operate(
        "regrant",
        lambda operate, origin, dry: operate.regrant(merchant, origin, dry_run=dry),
        by,
        dry_run=dry_run,
        yes=yes,
        json=json,
    )


async def _read(merchant_id: str) -> "tuple[TrialView, Sequence[HistoryEntry]]":
    from billing_cli.container import open_container
    from billing_cli.merchant_screen import read_trial
    from billing_core.errors import MerchantNotFound

    async with open_container() as container:
        merchant = await container.records().merchant(merchant_id)
        if merchant is None:
            raise MerchantNotFound
        trial = await read_trial(container, merchant)
        return trial, [] if trial.id is None else await container.records().history(merchant_id, trial.id)


def _operate(name: str, act: "Act", by: "Origin", *, dry_run: bool, yes: bool, json: bool) -> None:
    """This will rehearse the act, which refuses what cannot be done, ask, do it, and print what came of it."""
    from billing_cli.operators import confirm
    from billing_cli.running import run
    from billing_cli.terminal import print_facts, print_json
    from billing_cli.trial_screen import document, facts, question

    outcome = run(lambda: _done(act, by, dry_run=True))
    if not dry_run:
        confirm(question(name, outcome), yes=yes)
        outcome = run(lambda: _done(act, by, dry_run=False))
    if json:
        shown = document(outcome, dry_run=dry_run)
        print_json({"dry_run": dry_run, **shown, "correlation_id": by.correlation_id})
        return
    title = f"Trial of {outcome.trial.merchant_id}"
    signed = {"by": by.actor, "correlation id": by.correlation_id}
    print_facts(f"{title} would change so; nothing was changed" if dry_run else title, {**facts(outcome), **signed})


async def _done(act: "Act", by: "Origin", *, dry_run: bool) -> "TrialOutcome":
    from billing_cli.container import open_container

    async with open_container() as container:
        return await act(container.operate_trials(), by, dry_run)


def _origin(actor: str | None, act: str, reason: str) -> "Origin":
    from billing_cli.operators import operator_origin

    return operator_origin(read_actor(actor), act, read_reason(reason))
