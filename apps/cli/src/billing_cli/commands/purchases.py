"""`billing purchases`."""

from typing import TYPE_CHECKING, Annotated

import typer

from billing_cli.options import Actor, DryRun, Json, Reason, Yes, read_actor, read_duration, read_id, read_reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from uuid import UUID

    from billing_cli.outcome_screen import Outcome, Reconciliation
    from billing_core.domain.events import Origin
    from billing_core.domain.purchases import Purchase, PurchaseStatus
    from billing_core.ports.records import HistoryEntry
    from billing_core.use_cases.operate_purchases import Verdict

app = typer.Typer(help="Purchases of all merchants.", no_args_is_help=True)

PurchaseId = Annotated[str, typer.Argument(metavar="ID", help="The purchase's id.")]


@app.command("list", epilog="Example: billing purchases list --needs-review")
def list_purchases(
    merchant: Annotated[str | None, typer.Option(help="Only this merchant's.")] = None,
    status: Annotated[str | None, typer.Option(help="Only with this status, e.g. pending or completed.")] = None,
    needs_review: Annotated[bool, typer.Option("--needs-review", help="Only those a person must look at.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    json: Json = False,
) -> None:
    """List purchases, newest first; archived ones are found by `show`."""
    from billing_cli.purchase_screen import COLUMNS, document, row
    from billing_cli.running import run
    from billing_cli.terminal import print_json, print_table

    wanted = _read_status(status)

    async def act() -> "Sequence[Purchase]":
        from billing_cli.container import open_container

        async with open_container() as container:
            return await container.support().list_purchases(
                merchant_id=merchant, status=wanted, needs_review=needs_review or None, limit=limit
            )

    found = run(act)
    if json:
        print_json({"data": [document(purchase) for purchase in found]})
    else:
        print_table(COLUMNS, [row(purchase) for purchase in found], nothing="There are no such purchases.")


@app.command(epilog="Example: billing purchases show 0199c3a8-52c1-7e6b-9a51-0f6f4d1c2b3a")
def show(purchase_id: PurchaseId, json: Json = False) -> None:
    """Show one purchase, archived or not, with what to do next."""
    from billing_cli.purchase_screen import advice, document
    from billing_cli.running import run
    from billing_cli.terminal import print_facts, print_json, print_lines

    wanted = read_id(purchase_id)
    purchase, _ = run(lambda: _read(wanted))
    facts = document(purchase)
    if json:
        print_json({**facts, "next": advice(purchase)})
    else:
        price = facts.pop("price")
        print_facts(f"Purchase {purchase.purchase_id}", {**facts, "price": f"{price['currency']} {price['amount']}"})
        print_lines("Next:", *(f"  {each}" for each in advice(purchase)))


@app.command(epilog="Example: billing purchases history 0199c3a8-52c1-7e6b-9a51-0f6f4d1c2b3a")
def history(purchase_id: PurchaseId, json: Json = False) -> None:
    """Show who changed a purchase, when and why, oldest first."""
    from billing_cli.history import history_documents, print_history
    from billing_cli.running import run
    from billing_cli.terminal import print_json

    wanted = read_id(purchase_id)
    _, entries = run(lambda: _read(wanted))
    if json:
        print_json({"data": history_documents(entries)})
    else:
        print_history(entries)


@app.command(epilog="Example: billing purchases reconcile --all-open --older-than 10m --dry-run")
def reconcile(
    purchase_ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="These, open or not.")] = None,
    merchant: Annotated[str | None, typer.Option(help="All open ones of this merchant.")] = None,
    all_open: Annotated[bool, typer.Option("--all-open", help="All open ones of all merchants.")] = False,
    older_than: Annotated[str | None, typer.Option(help="Of the open ones, only those so old, e.g. 10m.")] = None,
    dry_run: DryRun = False,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Ask the platforms how purchases stand, and settle them by it, as a notice would.

    Open ones past their deadline that the platform says are unpaid are expired. Exit 1 where some could not be asked
    about or settled.
    """
    from billing_cli.reconciliation_screen import print_reconciliation
    from billing_cli.running import run

    if sum((bool(purchase_ids), merchant is not None, all_open)) != 1:
        raise typer.BadParameter("say which: either ids, or --merchant ID, or --all-open")
    if older_than is not None and purchase_ids:
        raise typer.BadParameter("goes with --merchant and --all-open, not with ids", param_hint="--older-than")
    wanted = [read_id(each) for each in purchase_ids or ()]
    age = None if older_than is None else read_duration(older_than)
    by = _origin(actor, "purchases-reconcile")
    done = run(lambda: _reconcile(wanted, merchant, age, by, dry_run=dry_run))
    print_reconciliation(done, correlation_id=by.correlation_id, dry_run=dry_run, json=json)


@app.command(epilog='Example: billing purchases cancel 0199c3a8-52c1-7e6b-9a51-0f6f4d1c2b3a --reason "asked by phone"')
def cancel(
    purchase_id: PurchaseId,
    reason: Reason,
    dry_run: DryRun = False,
    yes: Yes = False,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Call an open purchase off, and end its checkout where the platform can.

    The platform is asked: one that turns out to be paid is completed instead, and the exit code is 1.
    """
    from billing_cli.running import run
    from billing_core.domain.purchases import UNPAID_ENDS

    wanted, by = read_id(purchase_id), _origin(actor, "purchases-cancel", reason)
    purchase, _ = run(lambda: _read(wanted))
    _confirm(f"Call off {_in_words(purchase)}?", dry_run=dry_run, yes=yes)
    outcome = run(lambda: _cancel(purchase, by, dry_run=dry_run))
    _print_outcome(outcome, by, dry_run=dry_run, json=json)
    if outcome.status_after not in UNPAID_ENDS:
        _refuse("NOT_CANCELLED", f"by what the platform says it is {outcome.after()}", purchase)


@app.command(
    epilog='Example: billing purchases resolve 0199c3a8-52c1-7e6b-9a51-0f6f4d1c2b3a --accept --reason "paid in euro"'
)
def resolve(
    purchase_id: PurchaseId,
    reason: Reason,
    accept: Annotated[
        bool, typer.Option("--accept", help="Take the payment for the one offered: the merchant gets the credits.")
    ] = False,
    dismiss: Annotated[
        bool, typer.Option("--dismiss", help="Close the review without credits; an open purchase is called off.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Answer a purchase that needs review: accept the payment, or dismiss it."""
    from billing_cli.running import run

    if accept == dismiss:
        raise typer.BadParameter("say which: either --accept or --dismiss")
    verdict: Verdict = "accept" if accept else "dismiss"
    wanted, by = read_id(purchase_id), _origin(actor, "purchases-resolve", reason)
    purchase, _ = run(lambda: _read(wanted))
    what = "Give the credits of" if accept else "Give no credits, and close the review of"
    why = purchase.review.reason or "it needs no review"
    _confirm(f"{what} {_in_words(purchase)} ({why})?", dry_run=dry_run, yes=yes)
    outcome = run(lambda: _resolve(purchase, verdict, by, dry_run=dry_run))
    _print_outcome(outcome, by, dry_run=dry_run, json=json)


def _read_status(text: str | None) -> "PurchaseStatus | None":
    from billing_core.domain.purchases import PurchaseStatus

    if text is None:
        return None
    try:
        return PurchaseStatus(text)
    except ValueError:
        choices = ", ".join(PurchaseStatus)
        raise typer.BadParameter(f"{text!r}: choose one of {choices}", param_hint="--status") from None


async def _read(purchase_id: "UUID") -> "tuple[Purchase, Sequence[HistoryEntry]]":
    from billing_cli.container import open_container
    from billing_core.errors import PurchaseNotFound

    async with open_container() as container:
        purchase: Purchase | None = await container.support().find_purchase(purchase_id)
        if purchase is None:
            raise PurchaseNotFound
        return purchase, await container.records().history(purchase.merchant_id, purchase_id)


async def _reconcile(
    purchase_ids: "Sequence[UUID]", merchant: str | None, age: "timedelta | None", by: "Origin", *, dry_run: bool
) -> "Reconciliation":
    from billing_cli.container import open_container
    from billing_cli.reconciliation import all_open, named, reconcile

    async with open_container() as container:
        if purchase_ids:
            keys = await named(container, purchase_ids)
        else:
            keys = await all_open(container, merchant, None if age is None else container.clock().now() - age)
        return await reconcile(container, keys, by, dry_run=dry_run)


async def _cancel(purchase: "Purchase", by: "Origin", *, dry_run: bool) -> "Outcome":
    from billing_cli.container import open_container
    from billing_cli.outcome_screen import Outcome

    async with open_container() as container:
        key = purchase.merchant_id, purchase.purchase_id
        return Outcome(purchase=purchase, changes=await container.operate().cancel(key, by, dry_run=dry_run))


async def _resolve(purchase: "Purchase", verdict: "Verdict", by: "Origin", *, dry_run: bool) -> "Outcome":
    from billing_cli.container import open_container
    from billing_cli.outcome_screen import Outcome

    async with open_container() as container:
        key = purchase.merchant_id, purchase.purchase_id
        return Outcome(purchase=purchase, changes=await container.operate().resolve(key, verdict, by, dry_run=dry_run))


def _origin(actor: str | None, act: str, reason: str | None = None) -> "Origin":
    from billing_cli.operators import operator_origin

    return operator_origin(read_actor(actor), act, None if reason is None else read_reason(reason))


def _confirm(question: str, *, dry_run: bool, yes: bool) -> None:
    from billing_cli.operators import confirm

    confirm(question, yes=yes or dry_run)


def _in_words(purchase: "Purchase") -> str:
    offer = purchase.offer
    return f"purchase {purchase.purchase_id} of {purchase.merchant_id}: {offer.pack}, {offer.price}, {purchase.status}"


def _print_outcome(outcome: "Outcome", by: "Origin", *, dry_run: bool, json: bool) -> None:
    from billing_cli.terminal import print_facts, print_json

    if json:
        print_json({"dry_run": dry_run, **outcome.document(), "correlation_id": by.correlation_id})
        return
    title = f"Purchase {outcome.purchase.purchase_id}"
    facts = {
        "before": outcome.status_before,
        "after": outcome.after(),
        "announced": ", ".join(outcome.announced) or "nothing",
        "by": by.actor,
        "correlation id": by.correlation_id,
    }
    print_facts(f"{title} would change so; nothing was changed" if dry_run else title, facts)


def _refuse(code: str, why: str, purchase: "Purchase") -> None:
    from billing_cli.terminal import say

    say(f"{code}: {why}; see `billing purchases show {purchase.purchase_id}`.")
    raise typer.Exit(1)
