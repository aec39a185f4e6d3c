"""Sweep a merchant's rows: load them page by page, decide row by row, and save what changes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from billing_core.domain.pseudonyms import REDACTED, Pseudonyms
from billing_core.domain.redaction import Identity, Words
from billing_core.messages import redact_event
from billing_core.ports.privacy import RecordedEntry, Redactions
from billing_core.ports.publishing import OutboxEvent
from billing_core.ports.storage import Dropped, OpenUnitOfWork, ParkedMessage

# Nothing of a redacted merchant is new, so the second time round there is nothing to do; a purchase that was moved to
# the archive in the moment it was looked for is found then.
MOST_ROUNDS: Final = 5
Row = TypeVar("Row")


class Sweep:
    """Goes over all pages until nothing changes any more; with `dry_run` once, saving nothing."""

    def __init__(self, units: OpenUnitOfWork, *, dry_run: bool) -> None:
        self._units, self._dry_run = units, dry_run

    async def __call__(
        self,
        pages: Callable[[], AsyncIterator[Sequence[Row]]],
        decide: Callable[[Row], Row],
        save: Callable[[Redactions, Sequence[Row]], Awaitable[None]],
    ) -> int:
        """This will redact every row, and say how many there were to redact."""
        changed = 0
        for _ in range(MOST_ROUNDS):
            found = 0
            async for page in pages():
                rows = [after for before in page if (after := decide(before)) != before]
                found += len(rows)
                if rows and not self._dry_run:
                    async with self._units() as uow:
                        await save(uow.redactions, rows)
                        await uow.commit()
            changed += found
            if self._dry_run or not found:
                break
        return changed


# --- row by row ------------------------------------------------------------------------------------------------------


def redacted_entry(recorded: RecordedEntry, pseudonyms: Pseudonyms) -> RecordedEntry:
    """The entry without what people wrote into it."""
    entry = recorded.entry
    words = Words(actor=entry.actor, reason=entry.reason, correlation_id=entry.correlation_id).redacted(pseudonyms)
    return replace(
        recorded,
        entry=replace(entry, actor=words.actor, reason=words.reason, correlation_id=words.correlation_id),
    )


def redacted_event(event: OutboxEvent, pseudonyms: Pseudonyms) -> OutboxEvent:
    """The event with the words in its body gone."""
    return replace(event, body=redact_event(event.body, pseudonyms))


def redacted_message(
    message: ParkedMessage, identity: Identity, pseudonyms: Pseudonyms, dropped: Dropped
) -> ParkedMessage:
    """The parked message without its bytes, and without the merchant's names in the rest; it waits no more, for
    there is nothing left to send again."""
    named = identity.is_named_in
    kept = message.dropped
    if kept is not None and named(kept.reason):
        kept = replace(kept, reason=REDACTED)
    return replace(
        message,
        body=b"",
        headers={},
        message_id=pseudonyms.of_text(message.message_id) if named(message.message_id) else message.message_id,
        reason=REDACTED if named(message.reason) else message.reason,
        dropped=dropped if message.waits else kept,
    )
