"""`billing merchants`."""

from typing import TYPE_CHECKING, Annotated

import typer

from billing_cli.options import Json

if TYPE_CHECKING:
    from billing_cli.merchant_screen import MerchantScreen

app = typer.Typer(help="Merchants, as support needs to see them.", no_args_is_help=True)


@app.callback()
def merchants() -> None:
    """This keeps `show` a command of its own: Typer would merge a lone one into its group."""


@app.command(epilog="Example: billing merchants show dev-merchant")
def show(
    merchant: Annotated[str, typer.Argument(metavar="ID", help="The merchant's id.")],
    json: Json = False,
) -> None:
    """Everything about one merchant: who, trial, purchases, what is open, what needs a person, what to do next."""
    from billing_cli.running import run
    from billing_cli.terminal import print_facts, print_json, print_lines, print_table

    async def act() -> "MerchantScreen":
        from billing_cli.container import open_container
        from billing_cli.merchant_screen import read_merchant

        async with open_container() as container:
            return await read_merchant(container, merchant)

    screen = run(act)
    if json:
        print_json(screen.document())
        return
    print_facts(f"Merchant {merchant}", screen.who())
    print_facts("Trial", screen.trial_facts())
    print_facts("Purchases", screen.figures())
    if screen.purchases:
        columns = ("newest purchases", "pack", "price", "status", "created", "needs review")
        print_table(columns, screen.rows(), nothing="")
    if screen.to_review:
        print_facts("Needs a person", screen.reviews())
    print_lines("Next:", *(f"  {each}" for each in screen.advice()))
