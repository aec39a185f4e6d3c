"""The history of a trial or purchase, as it is printed."""

from collections.abc import Sequence
from typing import Any

from billing_cli.terminal import moment, print_table
from billing_core.domain.events import rfc3339
from billing_core.ports.records import HistoryEntry

COLUMNS = ("#", "when", "what", "before", "after", "who", "why", "correlation id")


def print_history(entries: Sequence[HistoryEntry]) -> None:
    """This will print every change, oldest first."""
    rows = [
        (
            each.number,
            moment(each.at),
            each.what,
            each.status_before,
            each.status_after,
            each.actor,
            each.reason,
            each.correlation_id,
        )
        for each in entries
    ]
    print_table(COLUMNS, rows, nothing="Nothing has happened to it yet.")


def history_documents(entries: Sequence[HistoryEntry]) -> list[dict[str, Any]]:
    """The same for programs, as HTTP shows it."""
    return [
        {
            "number": each.number,
            "at": rfc3339(each.at),
            "what": each.what,
            "status_before": each.status_before,
            "status_after": each.status_after,
            "actor": each.actor,
            "reason": each.reason,
            "correlation_id": each.correlation_id,
        }
        for each in entries
    ]
