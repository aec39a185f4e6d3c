"""`billing merchants`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from billing_cli.options import Actor, DryRun, Json, Reason, Yes, read_actor, read_reason

if TYPE_CHECKING:
    from billing_cli.merchant_screen import MerchantScreen
    from billing_core.domain.events import Origin
    from billing_core.use_cases.redact_merchants import Redaction

app = typer.Typer(help="Merchants: what support needs to see, and what people may ask of it.", no_args_is_help=True)

Merchant = Annotated[str, typer.Argument(metavar="ID", help="The merchant's id.")]


@app.command(epilog="Example: billing merchants show dev-merchant")
def show(merchant: Merchant, json: Json = False) -> None:
    """Everything about one merchant: who, trial, purchases, what is open, what needs a person, what to do next."""
    from billing_cli.running import run
    from billing_cli.terminal import print_facts, print_json, print_lines, print_table

    async def act() -> "MerchantScreen":
        from billing_cli.container import open_container
        from billing_cli.merchant_screen import read_merchant

        async with open_container() as container:
            return await read_merchant(container, merchant)

    screen = run(act)
    if json:
        print_json(screen.document())
        return
    print_facts(f"Merchant {merchant}", screen.who())
    print_facts("Trial", screen.trial_facts())
    print_facts("Purchases", screen.figures())
    if screen.purchases:
        columns = ("newest purchases", "pack", "price", "status", "created", "needs review")
        print_table(columns, screen.rows(), nothing="")
    if screen.to_review:
        print_facts("Needs a person", screen.reviews())
    print_lines("Next:", *(f"  {each}" for each in screen.advice()))


@app.command(epilog="Example: billing merchants export dev-merchant --out dev-merchant.json")
def export(
    merchant: Merchant,
    out: Annotated[
        Path | None,
        typer.Option(help="Into this file, which appears when it is whole, for your eyes alone. Default: stdout."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="With --out, say what was written as JSON; the rest is JSON anyway.")
    ] = False,
) -> None:
    """Write everything that is held about one merchant as one JSON document (docs/privacy.md describes it). Memory
    stays the same however much it is."""
    from billing_cli.running import run
    from billing_cli.terminal import print_json, say

    written = run(lambda: _export(merchant, out))
    if out is not None and json:
        print_json({"merchant_id": merchant, "bytes": written, "out": str(out)})
    elif out is not None:
        say(f"Everything held about {merchant} is in {out} ({written} bytes).")


@app.command(epilog='Example: billing merchants redact dev-merchant --reason "asked to by mail, ticket 4711" --dry-run')
def redact(
    merchant: Merchant,
    reason: Reason,
    dry_run: DryRun = False,
    yes: Yes = False,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Take a merchant's identity away for ever, and leave the ledger: amounts, credits, claims and history stay. Its
    shop is known again should it come back, and gets no second trial. Typed again it redacts what has come since."""
    from billing_cli.operators import confirm, operator_origin
    from billing_cli.redaction_screen import document, facts, question
    from billing_cli.running import run
    from billing_cli.terminal import print_facts, print_json

    by = operator_origin(read_actor(actor), "merchants-redact", read_reason(reason))
    redaction = run(lambda: _redact(merchant, by, dry_run=True))
    if not dry_run:
        confirm(question(redaction), yes=yes)
        redaction = run(lambda: _redact(merchant, by, dry_run=False))
    if json:
        print_json({**document(redaction, dry_run=dry_run), "correlation_id": by.correlation_id})
        return
    title = f"{merchant} would be redacted so; nothing was changed" if dry_run else f"{merchant} is redacted"
    print_facts(title, {**facts(redaction), "by": by.actor, "correlation id": by.correlation_id})


async def _export(merchant: str, out: Path | None) -> int:
    import sys
    from contextlib import nullcontext

    from billing_cli.container import open_container
    from billing_cli.whole_file import appearing_whole

    written = 0
    async with open_container() as container:
        pieces = container.export_merchant()(merchant)
        first = await anext(pieces)  # an unknown merchant leaves no file behind
        to = nullcontext(sys.stdout.buffer) if out is None else appearing_whole(out, binary=True, private=True)
        with to as file:
            written += file.write(first)
            async for piece in pieces:
                written += file.write(piece)
            file.flush()
    return written


async def _redact(merchant: str, by: "Origin", *, dry_run: bool) -> "Redaction":
    from billing_cli.container import open_container

    async with open_container() as container:
        return await container.redact_merchants().merchant(merchant, by, dry_run=dry_run)
