"""`billing up`."""

from pathlib import Path
from typing import Annotated

import typer

from billing_cli.options import Json


def up(
    data: Annotated[Path, typer.Option(help="Where the embedded servers and the logs are kept.")] = Path(".billing"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the HTTP app; 0 takes a free one.")] = 8116,
    json: Json = False,
) -> None:
    """Run the whole service for development, until Ctrl-C.

    Postgres, Redis and NATS are embedded unless their URL is configured. A sandbox merchant and a token are made.
    """
    from billing_cli.development import run_up
    from billing_cli.running import refusals

    with refusals():
        run_up(data=data.resolve(), port=port, json=json)
