"""`billing credits`: goodwill."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from billing_cli.options import Actor, DryRun, Json, Reason, Yes, read_actor, read_id, read_reason

if TYPE_CHECKING:
    from uuid import UUID

    from billing_core.domain.events import Origin
    from billing_core.use_cases.grant_credits import GrantOutcome

app = typer.Typer(help="Goodwill credits: an event for the Credit Service, never a balance.", no_args_is_help=True)

MOST_CREDITS = 10**9


@app.callback()
def credits_() -> None:
    """This keeps `grant` a command of its own: Typer would merge a lone one into its group."""


@app.command(epilog='Example: billing credits grant dev-merchant 50 --reason "sorry for the outage" --dry-run')
def grant(
    merchant: Annotated[str, typer.Argument(metavar="MERCHANT", help="The merchant's id.")],
    amount: Annotated[int, typer.Argument(metavar="CREDITS", min=1, max=MOST_CREDITS, help="How many.")],
    reason: Reason,
    grant_id: Annotated[
        str | None, typer.Option(help="The grant's id (UUID): the same one gives once. Default: a new one.")
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Give a merchant credits for nothing, at most so many a day for each operator as the catalogue says."""
    from billing_adapters.clock import new_id
    from billing_cli.operators import confirm, operator_origin
    from billing_cli.running import run

    wanted = new_id() if grant_id is None else read_id(grant_id)
    by = operator_origin(read_actor(actor), "credits-grant", read_reason(reason))
    outcome = run(lambda: _grant(merchant, amount, wanted, by, dry_run=True))
    if not dry_run and outcome.change is not None:
        left = f"{by.actor} may give {outcome.left} more within 24 hours"
        confirm(f"Give {merchant} {amount} credits for nothing ({left})?", yes=yes)
        outcome = run(lambda: _grant(merchant, amount, wanted, by, dry_run=False))
    _print(outcome, by, dry_run=dry_run, json=json)


async def _grant(merchant: str, amount: int, grant_id: "UUID", by: "Origin", *, dry_run: bool) -> "GrantOutcome":
    from billing_cli.container import open_container
    from billing_core.errors import StorageUnavailable

    async with open_container() as container:
        try:
            return await container.grant_credits()(merchant, amount, grant_id, by, dry_run=dry_run)
        except StorageUnavailable as trouble:
            if dry_run:
                raise
            unknown = "Whether the credits were given is not known"
            raise StorageUnavailable(
                f"{trouble} {unknown}: the same command with --grant-id {grant_id} gives them once."
            ) from trouble


def _print(outcome: "GrantOutcome", by: "Origin", *, dry_run: bool, json: bool) -> None:
    from billing_cli.terminal import print_facts, print_json, print_lines

    if json:
        print_json({"dry_run": dry_run, **_document(outcome), "correlation_id": by.correlation_id})
        return
    granted = outcome.grant
    facts: dict[str, object] = {
        "merchant": granted.merchant_id,
        "credits": granted.credits,
        "why": granted.reason,
        "by": granted.actor,
        "at": granted.granted_at,
    }
    if outcome.change is None:
        print_facts(f"Grant {granted.grant_id} was given before; nothing was given now", facts)
        return
    facts |= {"may still give today": outcome.left, "announced": "credits.granted", "correlation id": by.correlation_id}
    if dry_run:
        print_facts("This would be given; nothing was", facts)
        print_lines(f"Give it, once however often: the same command with --grant-id {granted.grant_id} instead")
    else:
        print_facts(f"Grant {granted.grant_id}", facts)


def _document(outcome: "GrantOutcome") -> dict[str, Any]:
    from billing_cli.merchant_screen import grant_document

    return {
        **grant_document(outcome.grant),
        "merchant_id": outcome.grant.merchant_id,
        "repeated": outcome.change is None,
        "left_today": outcome.left,
        "announced": [] if outcome.change is None else ["evt.billing.credits.granted"],
    }
