"""`billing report`: what was sold, in figures."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from billing_cli.options import From, Json, To, read_period

if TYPE_CHECKING:
    from billing_core.domain.sales import SalesKey, SalesQuestion, SalesReport

app = typer.Typer(help="What was sold, in figures.", no_args_is_help=True)

A_MONTH = timedelta(days=30)


@app.callback()
def report() -> None:
    """This keeps `sales` a command of its own: Typer would merge a lone one into its group."""


@app.command(epilog="Example: billing report sales --by day --from 30d --plot sales.svg")
def sales(
    by: Annotated[str | None, typer.Option(help="A line for each pack, platform, currency or day.")] = None,
    since: From = None,
    until: To = None,
    test: Annotated[bool, typer.Option("--test", help="Count test purchases, too.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Also draw it, as FILE.svg or FILE.png.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print the purchases as CSV.")] = False,
    json: Json = False,
) -> None:
    """Show sales and conversion of the purchases and trials that began in a time, by default the last 30 days.

    A purchase counts where it was created, with how it stands now; archived ones count, test ones do not. Money of
    several currencies is never added up.
    """
    from billing_cli.running import refusals, run
    from billing_cli.sales_screen import document, print_report, write_csv
    from billing_cli.terminal import print_json, say
    from billing_core.domain.sales import SalesQuestion

    if csv and json:
        raise typer.BadParameter("say which: either --csv or --json")
    question = SalesQuestion(period=read_period(since, until, default=A_MONTH), by=_read_key(by), test=test)
    if plot is not None:
        _check_picture(plot)
    told = run(lambda: _report(question))
    if plot is not None:
        from billing_cli.sales_picture import draw

        with refusals():
            draw(told, plot)
        say(f"The picture is in {plot}.")
    if json:
        print_json({**document(told), "plot": None if plot is None else str(plot)})
    elif csv:
        write_csv(told)
    else:
        print_report(told)


async def _report(question: "SalesQuestion") -> "SalesReport":
    from billing_cli.container import open_container

    async with open_container() as container:
        return await container.report_sales()(question)


def _read_key(text: str | None) -> "SalesKey | None":
    from billing_core.domain.sales import SALES_KEYS

    for key in SALES_KEYS:
        if text == key:
            return key
    if text is None:
        return None
    raise typer.BadParameter(f"{text!r}: choose one of {', '.join(SALES_KEYS)}", param_hint="--by")


def _check_picture(plot: Path) -> None:
    """This will refuse what could not be drawn before anything is asked."""
    from billing_cli.running import refusals
    from billing_cli.sales_picture import FORMATS, must_be_drawable

    if plot.suffix not in FORMATS:
        raise typer.BadParameter(f"a picture ends in {' or '.join(FORMATS)}", param_hint="--plot")
    with refusals():
        must_be_drawable()
