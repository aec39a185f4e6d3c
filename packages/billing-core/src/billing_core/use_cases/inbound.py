"""What becomes of a message: done, tried again later, or parked; never dropped."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from billing_core.errors import MalformedMessage
from billing_core.messages import Envelope, InboundMessage, message_digest, open_envelope
from billing_core.ports.clock import NewId
from billing_core.ports.storage import ParkedMessage

# Seconds before a message whose purchase is not known yet is tried again; after the last one it is parked. A notice
# may overtake our own commit by moments, so it starts small; half a minute covers a request that ran into its time-out.
UNKNOWN_REFERENCE_DELAYS_S: Final = (1, 2, 4, 8, 15)
MAX_DELAY_S: Final = 300
# While our own storage is away every message waits for the same thing, and asking costs one question a batch; so what
# waited is handled within seconds of its coming back, however often it, or a killed worker, had it delivered before.
MAX_OUTAGE_DELAY_S: Final = 8


@dataclass(frozen=True, slots=True)
class Done:
    """The message is handled (or was before) and may be acknowledged. `note` is what came of it, where that is worth a
    line in a log."""

    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """The message could not be handled yet; deliver it again after `delay_s` seconds. `fault`: what none foresaw."""

    delay_s: int
    reason: str
    fault: Exception | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """The message is kept aside whole, with the reason, and may be acknowledged."""

    reason: str
    fault: Exception | None = None


Outcome = Done | Retry | Parked


def backoff_s(attempt: int) -> int:
    """Seconds to wait after the `attempt`-th delivery failed for a passing reason: doubling, at most 5 minutes."""
    return int(min(2 ** min(attempt, 16), MAX_DELAY_S))


def outage_backoff_s(attempt: int) -> int:
    """Seconds to wait after the `attempt`-th delivery found our storage away: doubling, at most 8."""
    return min(backoff_s(attempt), MAX_OUTAGE_DELAY_S)


def understand(message: InboundMessage) -> Envelope | Parked:
    """This will open the envelope, or say why the message must be parked."""
    try:
        return open_envelope(message)
    except MalformedMessage as wrong:
        return Parked(reason=str(wrong))


def parked_messages(
    source: str,
    messages: Sequence[InboundMessage],
    outcomes: Sequence[Outcome],
    message_ids: Sequence[str | None],
    *,
    at: datetime,
    new_id: NewId,
) -> Sequence[ParkedMessage]:
    """The messages whose outcome is `Parked`, as they are kept."""
    return [
        ParkedMessage(
            parked_id=new_id(),
            source=source,
            message_id=message_id or message_digest(message.body),
            subject=message.subject,
            body=message.body,
            headers=message.headers,
            reason=outcome.reason,
            parked_at=at,
        )
        for message, outcome, message_id in zip(messages, outcomes, message_ids, strict=True)
        if isinstance(outcome, Parked)
    ]
