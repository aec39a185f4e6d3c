"""`billing events`: what Billing announces, as it is on NATS."""

import json as json_format
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from billing_cli.options import Json, read_duration

if TYPE_CHECKING:
    from billing_core.messages import InboundMessage

app = typer.Typer(help="The events Billing publishes.", no_args_is_help=True)

ALL_EVENTS = "evt.billing.>"


@app.command(epilog="Example: billing events tail --merchant m-1 --since 1h --no-follow")
def tail(
    type_: Annotated[
        str | None, typer.Option("--type", help="Only this type, e.g. credits.purchased or evt.billing.trial.*")
    ] = None,
    merchant: Annotated[str | None, typer.Option(help="Only this merchant's.")] = None,
    since: Annotated[str | None, typer.Option(help="Begin so long ago, e.g. 15m, 1h, 7d; else with new ones.")] = None,
    follow: Annotated[bool, typer.Option(help="Go on until Ctrl-C, or stop after the last there is.")] = True,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many.")] = None,
    json: Json = False,
) -> None:
    """Print events as they are on NATS, one a line. Nobody's consumer is touched."""
    from billing_cli.running import run
    from billing_cli.terminal import print_json, print_lines

    subject = _subject(type_)
    since_s = None if since is None else read_duration(since).total_seconds()

    async def act() -> None:
        left = limit
        async for event in _events(subject, merchant, since_s, follow):
            if json:
                print_json(event)
            else:
                print_lines(_line(event))
            if left is not None and (left := left - 1) == 0:
                return

    run(act)


async def _events(
    subject: str, merchant: str | None, since_s: float | None, follow: bool
) -> AsyncIterator[dict[str, Any]]:
    from billing_adapters.nats.connection import open_nats
    from billing_adapters.nats.tail import tail as tail_subject
    from billing_adapters.settings import load_settings
    from billing_cli.quiet import quiet_logs

    quiet_logs()
    async with open_nats(load_settings().nats_url.get_secret_value(), name="billing-cli") as connection:
        async for message in tail_subject(connection, subject, since_s=since_s, follow=follow):
            event = _read(message)
            if merchant is None or event.get("subject") == merchant:
                yield event


def _subject(type_: str | None) -> str:
    if type_ is None:
        return ALL_EVENTS
    return type_ if type_.startswith("evt.") else f"evt.billing.{type_}"


def _read(message: "InboundMessage") -> dict[str, Any]:
    try:
        event = json_format.loads(message.body)
    except ValueError:
        event = None
    if isinstance(event, dict) and isinstance(event.get("type"), str) and isinstance(event.get("data"), dict):
        return event
    # Not one of ours: somebody else wrote to our subjects. It is shown all the same, as what it is.
    return {"type": message.subject, "unreadable": message.body.decode("utf-8", "replace")}


def _line(event: dict[str, Any]) -> str:
    data = {key: value for key, value in event.get("data", event).items() if key not in ("merchant_id", "platform")}
    told = json_format.dumps(data)  # ASCII: control characters are spelt out
    return (
        f"{event.get('time', '-')}  {event.get('subject', '-')}  #{event.get('sequence', '-')}  {event['type']}  {told}"
    )
