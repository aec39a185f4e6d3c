"""What is, or would be, redacted of a merchant, as operators see it."""

from collections.abc import Mapping
from typing import Any

from billing_core.use_cases.redact_merchants import Redaction

_ROWS: Mapping[str, str] = {
    "merchants": "its record",
    "trials": "trials",
    "purchases": "purchases",
    "history": "entries of the history",
    "grants": "goodwill grants",
    "events": "events still kept",
    "parked": "parked messages, emptied",
    "keys": "idempotency keys, forgotten",
}


def question(redaction: Redaction) -> str:
    """What a person is asked before it is done."""
    merchant = redaction.before
    return (
        f"Redact {merchant.merchant_id} ({merchant.platform}, {merchant.platform_account_id}) in {redaction.changed} "
        "rows, for ever? Nobody can bring its identity back."
    )


def facts(redaction: Redaction) -> Mapping[str, object]:
    """How many rows of what, for people; and what stands for the shop from now on."""
    rows = {about: redaction.figures[name] for name, about in _ROWS.items() if redaction.figures.get(name)}
    return {"known again as": redaction.after.platform_account_id, **(rows or {"rows": "none left to redact"})}


def document(redaction: Redaction, *, dry_run: bool) -> dict[str, Any]:
    """The same for programs."""
    return {
        "dry_run": dry_run,
        "merchant_id": redaction.before.merchant_id,
        "platform": redaction.before.platform,
        "known_again_as": redaction.after.platform_account_id,
        "was_redacted_before": redaction.before.is_redacted,
        "redacted": {name: redaction.figures.get(name, 0) for name in _ROWS},
    }
