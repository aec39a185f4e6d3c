"""`billing parked`: messages that could not be handled."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from billing_cli.options import Actor, DryRun, Json, Reason, Yes, read_actor, read_id, read_reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from billing_core.domain.events import Origin
    from billing_core.ports.storage import ParkedMessage

app = typer.Typer(help="Messages that could not be handled; whole, and ready to be sent again.", no_args_is_help=True)

ParkedId = Annotated[str, typer.Argument(metavar="ID", help="The parked message's id.")]


@app.command("list", epilog="Example: billing parked list --limit 10")
def list_parked(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    all_: Annotated[bool, typer.Option("--all", help="Also those that were replayed or dropped.")] = False,
    json: Json = False,
) -> None:
    """List parked messages, newest first."""
    from billing_cli.running import run
    from billing_cli.terminal import moment, print_json, print_table

    async def act() -> "list[ParkedMessage]":
        from billing_cli.container import open_container

        async with open_container() as container, container.units()() as uow:
            return list(await uow.parked.list(limit, waiting_only=not all_))

    messages = run(act)
    if json:
        print_json({"data": [_document(message) for message in messages]})
    else:
        rows = [(each.parked_id, moment(each.parked_at), each.subject, _state(each), each.reason) for each in messages]
        print_table(("id", "parked at", "subject", "state", "why"), rows, nothing="Nothing is parked.")


@app.command(epilog="Example: billing parked show 0199c3a8-52c1-7e6b-9a51-0f6f4d1c2b3a")
def show(parked_id: ParkedId, json: Json = False) -> None:
    """Show one parked message whole, with what to do next."""
    from billing_cli.running import run
    from billing_cli.terminal import print_facts, print_json, print_lines

    wanted = read_id(parked_id)
    message = run(lambda: _get(wanted))
    if json:
        print_json({**_document(message), "headers": dict(message.headers), "body": _body(message)})
        return
    print_facts(
        f"Parked message {message.parked_id}",
        {
            "subject": message.subject,
            "consumer": message.source,
            "message id": message.message_id,
            "parked at": message.parked_at,
            "why": message.reason,
            "replayed at": message.replayed_at,
            **_fate(message),
            **{f"header {name}": value for name, value in message.headers.items()},
            "body": _body(message),
        },
    )
    print_lines(f"Next, once the cause is mended: billing parked replay {message.parked_id}")
    if message.waits:
        print_lines(f"Or give it up, which keeps it: billing parked drop {message.parked_id} --reason …")


@app.command(epilog="Example: billing parked replay 0199c3a8-52c1-7e6b-9a51-0f6f4d1c2b3a --dry-run")
def replay(
    parked_id: ParkedId,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")] = False,
    json: Json = False,
) -> None:
    """Send a parked message again, byte for byte. What was handled before changes nothing."""
    from billing_cli.running import run
    from billing_cli.terminal import plain, print_json, print_lines

    wanted = read_id(parked_id)

    async def act() -> "ParkedMessage":
        from billing_cli.container import open_container

        if dry_run:
            return await _get(wanted)
        async with open_container() as container:
            return await container.replay_parked()(wanted)

    message = run(act)
    if json:
        print_json({"id": str(message.parked_id), "subject": message.subject, "sent": not dry_run})
    else:
        what = "would be sent" if dry_run else "was sent"
        print_lines(f"{message.parked_id} {what} to {plain(message.subject)} again ({len(message.body)} bytes).")


@app.command(
    epilog='Example: billing parked drop 0199c3a8-52c1-7e6b-9a51-0f6f4d1c2b3a --reason "sent by a test system"'
)
def drop(
    parked_ids: Annotated[list[str], typer.Argument(metavar="ID…", help="The parked messages' ids.")],
    reason: Reason,
    dry_run: DryRun = False,
    yes: Yes = False,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Give parked messages up, all or none. They are kept with who and why, and `list --all` shows them."""
    from billing_cli.operators import confirm, operator_origin
    from billing_cli.running import run
    from billing_cli.terminal import print_json, print_lines

    wanted = [read_id(each) for each in parked_ids]
    by = operator_origin(read_actor(actor), "parked-drop", read_reason(reason))
    if not dry_run:
        messages = run(lambda: _drop(wanted, by, dry_run=True))
        confirm(f"Give up {len(messages)} message(s): {', '.join(map(_in_words, messages))}?", yes=yes)
    messages = run(lambda: _drop(wanted, by, dry_run=dry_run))
    if json:
        dropped = [_document(each) | {"dropped": not dry_run} for each in messages]
        print_json({"dry_run": dry_run, "by": by.actor, "data": dropped})
    else:
        what = "would be dropped" if dry_run else "was dropped"
        print_lines(*(f"{_in_words(each)} {what} by {by.actor}." for each in messages))


async def _drop(parked_ids: "Sequence[UUID]", by: "Origin", *, dry_run: bool) -> "Sequence[ParkedMessage]":
    from billing_cli.container import open_container

    async with open_container() as container:
        return await container.drop_parked()(parked_ids, by, dry_run=dry_run)


async def _get(parked_id: Any) -> "ParkedMessage":
    from billing_cli.container import open_container
    from billing_core.errors import ParkedMessageNotFound

    async with open_container() as container, container.units()() as uow:
        message = await uow.parked.get(parked_id)
    if message is None:
        raise ParkedMessageNotFound(f"There is no parked message {parked_id}; see `billing parked list`.")
    return message


def _document(message: "ParkedMessage") -> dict[str, Any]:
    from billing_core.domain.events import rfc3339

    return {
        "id": str(message.parked_id),
        "source": message.source,
        "subject": message.subject,
        "message_id": message.message_id,
        "reason": message.reason,
        "parked_at": rfc3339(message.parked_at),
        "replayed_at": message.replayed_at and rfc3339(message.replayed_at),
        "dropped_at": message.dropped and rfc3339(message.dropped.at),
        "dropped_by": message.dropped and message.dropped.by,
        "drop_reason": message.dropped and message.dropped.reason,
    }


def _fate(message: "ParkedMessage") -> dict[str, object]:
    if message.dropped is None:
        return {}
    return {
        "dropped at": message.dropped.at,
        "dropped by": message.dropped.by,
        "dropped because": message.dropped.reason,
    }


def _state(message: "ParkedMessage") -> str:
    if message.waits:
        return "waits"
    return "replayed" if message.replayed_at else "dropped"


def _in_words(message: "ParkedMessage") -> str:
    from billing_cli.terminal import plain

    return plain(f"{message.parked_id} ({message.subject}: {message.reason})")


def _body(message: "ParkedMessage") -> str:
    return message.body.decode("utf-8", "backslashreplace")
