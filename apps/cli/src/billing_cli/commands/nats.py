"""`billing nats`: what NATS needs before Billing runs on it."""

from pathlib import Path
from typing import Annotated

import typer

from billing_cli.options import DryRun, Json

app = typer.Typer(help="Streams, consumers and keys in NATS.", no_args_is_help=True)


@app.command(epilog="Example: billing nats upgrade --dry-run")
def upgrade(dry_run: DryRun = False, json: Json = False) -> None:
    """Make the streams and consumers Billing needs, or widen those there are; safe to repeat.

    Where a worker may not do so itself, run this with the key of the user billing-admin (docs/nats.md). Nothing is
    deleted, narrowed or shortened. Exit 1 where something is left to mend.
    """
    from billing_cli.running import run
    from billing_cli.terminal import print_json, print_lines
    from billing_cli.topology import upgrade as upgrade_topology

    left = run(lambda: upgrade_topology(dry_run=dry_run))
    if json:
        print_json({"dry_run": dry_run, "left": list(left)})
    else:
        print_lines(*(left or ["The streams and consumers are as Billing needs them."]))
    if left and not dry_run:
        raise typer.Exit(1)


@app.command("new-key", epilog="Example: billing nats new-key worker.nk")
def new_key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the seed; must not exist.")],
    json: Json = False,
) -> None:
    """Make the key of a NATS user: the seed goes into a file only you may read, the public key is printed.

    The seed is for Billing (BILLING_NATS_NKEY_SEED_FILE), the public key for the server (deploy/nats/accounts.conf).
    """
    from billing_adapters.nats.nkeys import UserKey
    from billing_cli.errors import CannotWrite
    from billing_cli.running import refusals
    from billing_cli.terminal import print_json, print_lines

    key = UserKey.generate()
    with refusals():
        try:
            file.touch(mode=0o600, exist_ok=False)
            file.write_text(f"{key.seed}\n", "ascii")
        except OSError as fault:
            raise CannotWrite(fault) from fault
    if json:
        print_json({"public_key": key.public, "file": str(file)})
    else:
        print_lines(key.public)
