"""`billing export`: everything there is, for other tools."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from billing_cli.options import From, To, read_period

if TYPE_CHECKING:
    from billing_core.domain.sales import Period

app = typer.Typer(help="Everything there is, for other tools.", no_args_is_help=True)


@app.callback()
def export() -> None:
    """This keeps `purchases` a command of its own: Typer would merge a lone one into its group."""


@app.command(epilog="Example: billing export purchases --format csv --from 2026-01-01 --out purchases.csv")
def purchases(
    format_: Annotated[str, typer.Option("--format", help="csv, jsonl, or parquet (billing-cli[parquet]).")] = "csv",
    out: Annotated[
        Path | None, typer.Option(help="Into this file, which appears when it is whole. Default: stdout.")
    ] = None,
    since: From = None,
    until: To = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON; needs --out.")] = False,
) -> None:
    """Write every purchase, archived and test ones too, in the order they were made. Memory stays the same however
    many there are, and nobody is kept waiting."""
    from billing_cli.purchase_file import FORMATS, must_be_writable
    from billing_cli.running import refusals, run
    from billing_cli.terminal import print_json, say

    if format_ not in FORMATS:
        raise typer.BadParameter(f"{format_!r}: choose one of {', '.join(FORMATS)}", param_hint="--format")
    if out is None and (json or format_ == "parquet"):
        raise typer.BadParameter("name a file for this", param_hint="--out")
    period = read_period(since, until)
    with refusals():
        must_be_writable(format_)
    written = run(lambda: _export(format_, out, period))
    if json:
        print_json({"purchases": written, "format": format_, "out": str(out)})
    elif out is not None:
        say(f"{written} purchases are in {out}.")


async def _export(format_: str, out: Path | None, period: "Period") -> int:
    from billing_cli.container import open_container
    from billing_cli.progress import counting
    from billing_cli.purchase_file import open_file

    written = 0
    async with open_container() as container:
        export = container.export_purchases()
        total = await export.count(period)
        with (
            open_file(format_, out) as write,
            counting("exporting purchases", total, beside_answer=out is None) as done,
        ):
            async for page in export.pages(period):
                write(page)
                written += len(page)
                done(len(page))
    return written
