"""The command `billing`. Nothing heavy is imported before a command runs, so that `billing --help` is quick."""

import typer

from billing_cli.commands import (
    config,
    database,
    doctor,
    events,
    export,
    goodwill,
    jobs,
    merchants,
    nats,
    parked,
    purchases,
    report,
    trials,
)
from billing_cli.commands.demo import demo
from billing_cli.commands.token import token
from billing_cli.commands.up import up

app = typer.Typer(
    name="billing",
    help="Credits for merchants: trials, credit packs, payments. For support, operators and developers.",
    epilog="Exit codes: 0 done, 1 refused or failed, 2 wrong usage. Example: billing demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog="Example: billing demo")(demo)
app.command(epilog="Example: billing up --port 0 --json")(up)
app.command(epilog="Example: billing token --merchant dev-merchant --platform sandbox --ttl 8h")(token)
app.add_typer(database.app, name="db")
app.add_typer(jobs.app, name="jobs")
app.add_typer(merchants.app, name="merchants")
app.add_typer(trials.app, name="trials")
app.add_typer(purchases.app, name="purchases")
app.add_typer(goodwill.app, name="credits")
app.add_typer(report.app, name="report")
app.add_typer(export.app, name="export")
app.add_typer(events.app, name="events")
app.add_typer(parked.app, name="parked")
app.add_typer(nats.app, name="nats")
app.command(epilog="Example: billing doctor --json")(doctor.doctor)
app.add_typer(config.app, name="config")
