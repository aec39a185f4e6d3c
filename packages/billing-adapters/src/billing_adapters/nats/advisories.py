"""What JetStream tells when it gives a message of ours up, kept: as core messages they would be gone at once.

It should never happen: our consumers never give up, and nothing of ours ends a message. Where somebody edited a
consumer, this is how it is seen.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from nats.js.errors import APIError, NotFoundError

from billing_adapters.nats.api import ask, stream_config
from billing_adapters.nats.connection import NATS_FAILURES, NatsConnection
from billing_adapters.nats.plan import ADVISORIES, CONSUMERS
from billing_adapters.nats.streams import ensure_replicas
from billing_core.errors import PublishingUnavailable

KINDS: Final = ("MAX_DELIVERIES", "MSG_TERMINATED")
# Of our consumers only: another team may keep the others in a stream of its own, and subjects must not overlap.
SUBJECTS: Final = tuple(
    f"$JS.EVENT.ADVISORY.CONSUMER.{kind}.{plan.stream}.{plan.durable}" for kind in KINDS for plan in CONSUMERS
)
MAX_AGE_S: Final = 30 * 24 * 3600
MAX_MESSAGES: Final = 10_000
_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """A message the broker stopped delivering: it is still in `stream` at `sequence`. `at` is the broker's time."""

    stream: str
    consumer: str
    sequence: int
    deliveries: int
    at: str


async def ensure_advisories(connection: NatsConnection, *, replicas: int = 1) -> None:
    """This will make the stream that keeps the advisories, unless there is one, on `replicas` servers at least. Raises
    PublishingUnavailable when NATS is away or refuses, as it does where another stream has the subjects."""
    try:
        if (present := await _config(connection)) is None:
            await ask(connection, f"STREAM.CREATE.{ADVISORIES}", {**_settings(), "num_replicas": replicas})
        else:
            await ensure_replicas(connection, present, replicas)
    except NATS_FAILURES as failure:
        raise PublishingUnavailable(f"the stream {ADVISORIES} could not be made: {failure}") from failure


async def count_given_up(connection: NatsConnection) -> int | None:
    """How many advisories are kept; None where there is no such stream. Raises PublishingUnavailable."""
    try:
        info = await ask(connection, f"STREAM.INFO.{ADVISORIES}", {})
    except NotFoundError:
        return None
    except NATS_FAILURES as failure:
        raise PublishingUnavailable(f"NATS cannot be asked about {ADVISORIES}: {failure}") from failure
    return int(info["state"]["messages"])


async def last_given_up(connection: NatsConnection) -> Sequence[GivenUp]:
    """The last message of each consumer that was given up. Raises PublishingUnavailable."""
    found = []
    for subject in SUBJECTS:
        try:
            kept = await connection.jetstream.get_last_msg(ADVISORIES, subject)
        except NotFoundError:
            continue  # none was, or there is no such stream
        except (APIError, *NATS_FAILURES) as failure:
            raise PublishingUnavailable(f"NATS cannot be asked about {ADVISORIES}: {failure}") from failure
        found.append(_read(json.loads(kept.data or b"{}")))
    return found


async def _config(connection: NatsConnection) -> dict[str, Any] | None:
    try:
        return await stream_config(connection, ADVISORIES)
    except NotFoundError:
        return None


def _settings() -> dict[str, Any]:
    return {
        "name": ADVISORIES,
        "subjects": list(SUBJECTS),
        "retention": "limits",
        "storage": "file",
        "max_age": MAX_AGE_S * _SECOND,
        "max_msgs": MAX_MESSAGES,  # a consumer that gives everything up must not fill the disk
        "discard": "old",
    }


def _read(advisory: dict[str, Any]) -> GivenUp:
    return GivenUp(
        stream=str(advisory.get("stream")),
        consumer=str(advisory.get("consumer")),
        sequence=int(advisory.get("stream_seq", 0)),
        deliveries=int(advisory.get("deliveries", 0)),
        at=str(advisory.get("timestamp")),
    )
