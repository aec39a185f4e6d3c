"""`billing trials`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from billing_cli.options import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billing_core.ports.storage import HistoryEntry
    from billing_core.views import TrialView

app = typer.Typer(help="Trials.", no_args_is_help=True)


@app.callback()
def trials() -> None:
    """This keeps `show` a command of its own: Typer would merge a lone one into its group."""


@app.command(epilog="Example: billing trials show dev-merchant --json")
def show(
    merchant: Annotated[str, typer.Argument(metavar="MERCHANT", help="The merchant's id.")],
    json: Json = False,
) -> None:
    """Show a merchant's trial and everything that happened to it."""
    from billing_cli.history import history_documents, print_history
    from billing_cli.running import run
    from billing_cli.terminal import print_facts, print_json

    trial, entries = run(lambda: _read(merchant))
    document: dict[str, Any] = trial.to_document()
    if json:
        print_json({**document, "history": history_documents(entries)})
    else:
        print_facts(f"Trial of {merchant}", document)
        print_history(entries)


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
