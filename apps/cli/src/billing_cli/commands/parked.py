"""`billing parked`: messages that could not be handled."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from billing_cli.options import Json, read_id

if TYPE_CHECKING:
    from billing_core.ports.storage import ParkedMessage

app = typer.Typer(help="Messages that could not be handled; whole, and ready to be sent again.", no_args_is_help=True)

ParkedId = Annotated[str, typer.Argument(metavar="ID", help="The parked message's id.")]


@app.command("list", epilog="Example: billing parked list --limit 10")
def list_parked(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    all_: Annotated[bool, typer.Option("--all", help="Also those that were replayed.")] = False,
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
        rows = [(each.parked_id, moment(each.parked_at), each.subject, each.reason) for each in messages]
        print_table(("id", "parked at", "subject", "why"), rows, nothing="Nothing is parked.")


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
            **{f"header {name}": value for name, value in message.headers.items()},
            "body": _body(message),
        },
    )
    print_lines(f"Next, once the cause is mended: billing parked replay {message.parked_id}")


@app.command(epilog="Example: billing parked replay 0199c3a8-52c1-7e6b-9a51-0f6f4d1c2b3a --dry-run")
def replay(
    parked_id: ParkedId,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")] = False,
    json: Json = False,
) -> None:
    """Send a parked message again, byte for byte. What was handled before changes nothing."""
    from billing_cli.running import run
    from billing_cli.terminal import print_json, print_lines

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
        print_lines(f"{message.parked_id} {what} to {message.subject} again ({len(message.body)} bytes).")


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
    }


def _body(message: "ParkedMessage") -> str:
    return message.body.decode("utf-8", "backslashreplace")
