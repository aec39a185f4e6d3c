"""`billing config`."""

import typer

from billing_cli.options import Json

app = typer.Typer(help="The configuration in force.", no_args_is_help=True)


@app.command(epilog="Example: billing config show --json")
def show(json: Json = False) -> None:
    """Show every setting, where it comes from, and secrets as stars."""
    from billing_adapters.settings import load_settings
    from billing_cli.configuration import describe
    from billing_cli.running import refusals
    from billing_cli.terminal import print_json, print_table

    with refusals():
        shown = describe(load_settings())
        if json:
            print_json({each.variable: {"value": each.value, "source": each.source} for each in shown})
        else:
            rows = [(each.variable, each.value, each.source) for each in shown]
            print_table(("variable", "value", "from"), rows, nothing="There are no settings.")
