"""`billing events`: what Billing announces, as it is on NATS."""

import json as json_format
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from billing_cli.options import DryRun, Json, read_duration, read_id, read_instant

if TYPE_CHECKING:
    from billing_cli.republication import Republication, Wanted
    from billing_core.messages import InboundMessage

app = typer.Typer(help="The events Billing publishes.", no_args_is_help=True)

ALL_EVENTS = "evt.billing.>"


@app.command(epilog="Example: billing events tail --merchant dev-merchant --since 1h --no-follow")
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


@app.command(epilog="Example: billing events republish --merchant dev-merchant --from 3 --to 9 --dry-run")
def republish(
    merchant: Annotated[str | None, typer.Option(help="This merchant's, all or --from … --to ….")] = None,
    first: Annotated[int | None, typer.Option("--from", min=1, help="The first sequence number.")] = None,
    last: Annotated[int | None, typer.Option("--to", min=1, help="The last sequence number.")] = None,
    since: Annotated[str | None, typer.Option(help="All published since: a moment (RFC 3339), or so long ago.")] = None,
    event_id: Annotated[list[str] | None, typer.Option("--id", help="This event; may be given more than once.")] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Publish events again from the outbox, under the ids they had and in their order.

    Billing keeps them for two weeks. A stream that still knows an id (24 hours) drops the repeat, and consumers know
    every id; so it makes no second fact, however often.
    """
    from billing_cli.running import run
    from billing_cli.terminal import print_json, say

    wanted = _wanted(merchant, first, last, since, event_id)

    async def act() -> "Republication":
        from billing_cli.container import open_container
        from billing_cli.republication import republish

        async with open_container() as container:
            return await republish(container, wanted, dry_run=dry_run)

    done = run(act)
    if json:
        print_json(_republication(done, dry_run=dry_run))
    else:
        _print_republication(done, dry_run=dry_run)
    if done.stopped is not None:
        say(f"{done.stopped.code}: {done.stopped} Not all were published; run it again, which does no harm.")
        raise typer.Exit(1)


def _wanted(
    merchant: str | None, first: int | None, last: int | None, since: str | None, event_ids: list[str] | None
) -> "Wanted":
    from billing_cli.republication import LAST_SEQUENCE, Wanted

    if sum((merchant is not None, since is not None, bool(event_ids))) != 1:
        raise typer.BadParameter("say which: --merchant, --since or --id, and only one of them")
    if merchant is None and (first is not None or last is not None):
        raise typer.BadParameter("--from and --to count a merchant's events: name the --merchant")
    return Wanted(
        merchant_id=merchant,
        first=first or 1,
        last=last or LAST_SEQUENCE,
        since=None if since is None else read_instant(since),
        event_ids=[read_id(each) for each in event_ids or ()],
    )


def _republication(done: "Republication", *, dry_run: bool) -> dict[str, Any]:
    stopped = None if done.stopped is None else {"code": done.stopped.code, "detail": str(done.stopped)}
    return {
        "dry_run": dry_run,
        "found": done.found,
        "published": done.published,
        "stored": done.stored,
        "known_before": done.published - done.stored,
        "stopped": stopped,
    }


def _print_republication(done: "Republication", *, dry_run: bool) -> None:
    from billing_cli.terminal import print_lines

    if dry_run:
        print_lines(f"{done.found} event(s) would be published again; nothing was.")
        return
    known = done.published - done.stored
    print_lines(
        f"{done.published} of {done.found} event(s) published again: {done.stored} stored anew, "
        f"{known} still known to the stream and dropped by it."
    )


async def _events(
    subject: str, merchant: str | None, since_s: float | None, follow: bool
) -> AsyncIterator[dict[str, Any]]:
    from billing_adapters.nats.access import NatsAccess
    from billing_adapters.nats.connection import open_nats
    from billing_adapters.nats.permissions import CLI
    from billing_adapters.nats.tail import tail as tail_subject
    from billing_adapters.settings import load_settings
    from billing_cli.quiet import quiet_logs

    quiet_logs()
    settings = load_settings()
    access = NatsAccess.of(settings, CLI)
    async with open_nats(settings.nats_url.get_secret_value(), name="billing-cli", access=access) as connection:
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
