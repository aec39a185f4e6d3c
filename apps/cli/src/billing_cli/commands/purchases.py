"""`billing purchases`."""

from typing import TYPE_CHECKING, Annotated

import typer

from billing_cli.options import Json, read_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from billing_core.domain.purchases import Purchase, PurchaseStatus
    from billing_core.ports.storage import HistoryEntry

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
    """Show one purchase, archived or not."""
    from billing_cli.purchase_screen import advice, document
    from billing_cli.running import run
    from billing_cli.terminal import print_facts, print_json, print_lines

    wanted = read_id(purchase_id)
    purchase, _ = run(lambda: _read(wanted))
    facts = document(purchase)
    if json:
        print_json(facts)
    else:
        price = facts.pop("price")
        print_facts(f"Purchase {purchase.purchase_id}", {**facts, "price": f"{price['currency']} {price['amount']}"})
        print_lines(f"Next: {advice(purchase)}")


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
