"""The streams and durable consumers Billing needs: made where they are ours, widened but never narrowed, checked."""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from nats.errors import NoRespondersError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from billing_adapters.nats.connection import NATS_FAILURES, REQUEST_TIMEOUT_S, NatsConnection
from billing_core.errors import PublishingUnavailable

BILLING: Final = "BILLING"
MERCHANT: Final = "MERCHANT"
WEBHOOK: Final = "WEBHOOK"
SUBJECTS: Final = {BILLING: "evt.billing.>", MERCHANT: "evt.merchant.>", WEBHOOK: "evt.webhook.>"}

_SECOND: Final = 1_000_000_000  # stream settings count in nanoseconds
# Twice the time outbox rows are kept, and as long as a consumer that was away for weeks may need.
MAX_AGE_S = 30 * 24 * 3600
# Covers a database that goes away for a night between the broker's confirmation and our note of it. Each id in the
# window costs the server some 170 bytes; consumers know repeats after it by their id.
DUPLICATE_WINDOW_S = 24 * 3600
SHORTEST_DUPLICATE_WINDOW_S = 120

ACK_WAIT_S = 30.0
# Messages that wait for their next attempt count too, so one platform's outage must not use this up and hold back
# the messages of the others; and yet it bounds what a consumer that never acknowledges can take.
MAX_ACK_PENDING = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerPlan:
    """A durable consumer of ours: it takes `subject` from `stream`."""

    stream: str
    durable: str
    subject: str

    def config(self) -> ConsumerConfig:
        """The settings it is made with. From the first message on: what was handled before is known by its id."""
        return ConsumerConfig(
            name=self.durable,
            durable_name=self.durable,
            filter_subject=self.subject,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_deliver=-1,  # giving up is our decision: such a message is parked, not forgotten
            max_ack_pending=MAX_ACK_PENDING,
        )


MERCHANT_CREATED: Final = ConsumerPlan(
    stream=MERCHANT, durable="billing-merchant-created", subject="evt.merchant.created"
)
PURCHASE_UPDATED: Final = ConsumerPlan(
    stream=WEBHOOK, durable="billing-purchase-updated", subject="evt.webhook.app.purchase_updated"
)
CONSUMERS: Final = (MERCHANT_CREATED, PURCHASE_UPDATED)

LOOK_AGAIN_AFTER_S = 2.0
CHECK_EVERY_S = 60.0
_NAME_IN_USE = 10058


async def keep_streams(connection: NatsConnection, *, manage_all: bool, stop: asyncio.Event) -> None:
    """This will do `ensure_streams` and `ensure_consumers` when NATS comes, until the streams of the other services are
    there too, and every minute. It ends when `stop` is set (a cancellation nats-py may swallow), and never raises for
    an outage."""
    done_for, done_at = 0, 0.0
    while not stop.is_set():
        connected = connection.connections
        due = connected != done_for or time.monotonic() - done_at > CHECK_EVERY_S
        if connection.is_connected and due:
            try:
                await ensure_streams(connection, manage_all=manage_all)
                if not await ensure_consumers(connection):
                    done_for, done_at = connected, time.monotonic()
            except PublishingUnavailable as failure:
                connection.warn("streams not ready", failure)
        with suppress(TimeoutError):  # nobody stopped us: look again
            await asyncio.wait_for(stop.wait(), LOOK_AGAIN_AFTER_S)


async def ensure_streams(connection: NatsConnection, *, manage_all: bool) -> None:
    """This will make the stream BILLING, or widen the one there is to what Billing needs; with `manage_all` those of
    the other services too. Nothing is deleted, narrowed or shortened.

    Raises PublishingUnavailable when NATS is away or refuses; safe to repeat and to do in many processes at once.
    """
    for name in (BILLING, MERCHANT, WEBHOOK) if manage_all else (BILLING,):
        try:
            await _ensure_stream(connection, name)
        except NATS_FAILURES as failure:
            raise PublishingUnavailable(f"the stream {name} could not be made or widened: {failure}") from failure


async def ensure_consumers(connection: NatsConnection) -> Sequence[str]:
    """This will make our durable consumers and return the names of those it could not make, because the stream of
    another service is not there yet. Those that exist are left as they are. Raises PublishingUnavailable when NATS is
    away or refuses."""
    missing = []
    for plan in CONSUMERS:
        try:
            await ensure_consumer(connection, plan)
        except NotFoundError:
            missing.append(plan.durable)
        except NATS_FAILURES as failure:
            raise PublishingUnavailable(f"the consumer {plan.durable} could not be made: {failure}") from failure
    return tuple(missing)


async def ensure_consumer(connection: NatsConnection, plan: ConsumerPlan) -> None:
    """This will make the consumer unless there is one. Raises nats-py's NotFoundError without its stream, and
    whatever else it raises."""
    try:
        await connection.jetstream.consumer_info(plan.stream, plan.durable)
    except NotFoundError:  # of the consumer or of its stream: making it tells
        await connection.jetstream.add_consumer(plan.stream, plan.config())


async def check_streams(connection: NatsConnection) -> Sequence[str]:
    """What is wrong with the streams and consumers, each in a sentence that says what to do; empty when nothing is.
    Never raises for an outage: that is one of the sentences."""
    try:
        problems = [each for name in SUBJECTS for each in await _stream_problems(connection, name)]
        return [*problems, *[each for plan in CONSUMERS for each in await _consumer_problems(connection, plan)]]
    except ServiceUnavailableError:
        return ["NATS runs without JetStream: start it with JetStream enabled (-js, or a jetstream block)."]
    except (PublishingUnavailable, *NATS_FAILURES) as failure:
        return [f"NATS cannot be asked about its streams: {failure}. Check BILLING_NATS_URL and the permissions."]


async def _ensure_stream(connection: NatsConnection, name: str) -> None:
    try:
        present = await _stream_config(connection, name)
    except NotFoundError:
        present = await _make_stream(connection, name)
    if widened := _widened(name, present):
        await _ask(connection, f"STREAM.UPDATE.{name}", {**present, **widened})


async def _make_stream(connection: NatsConnection, name: str) -> dict[str, Any]:
    try:
        made: dict[str, Any] = (await _ask(connection, f"STREAM.CREATE.{name}", _new_stream(name)))["config"]
    except APIError as refused:
        if refused.err_code != _NAME_IN_USE:
            raise
        return await _stream_config(connection, name)  # another process was faster, with other settings
    return made


def _new_stream(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "subjects": [SUBJECTS[name]],
        # Limits: a message stays after it was acknowledged. A work queue would forget ids with the messages, and
        # nobody could read what was said before.
        "retention": "limits",
        "storage": "file",
        "max_age": MAX_AGE_S * _SECOND,
        # At a limit an operator sets, refuse the new (it stays in the outbox) instead of silently losing the old.
        "discard": "new",
        "duplicate_window": DUPLICATE_WINDOW_S * _SECOND,
        **_flags(name),
    }


def _flags(name: str) -> dict[str, bool]:
    # Only for our own stream: the two `deny_` can never be taken back, not even by the service whose stream it is.
    return dict.fromkeys(("allow_atomic", "deny_delete", "deny_purge"), True) if name == BILLING else {}


def _widened(name: str, present: dict[str, Any]) -> dict[str, Any]:
    """The settings of a stream that must change, with their new values; what an operator made wider stays."""
    wanted: dict[str, Any] = {**_flags(name)}
    subjects = present.get("subjects") or []
    if not any(_covers(each, SUBJECTS[name]) for each in subjects):
        # A subject within the new one would overlap with it; it is covered all the same.
        wanted["subjects"] = [*[each for each in subjects if not _covers(SUBJECTS[name], each)], SUBJECTS[name]]
    max_age = present.get("max_age") or 0  # 0 is for ever
    if 0 < max_age < MAX_AGE_S * _SECOND:
        wanted["max_age"] = MAX_AGE_S * _SECOND
    wanted["duplicate_window"] = max(present.get("duplicate_window") or 0, DUPLICATE_WINDOW_S * _SECOND)
    return {key: value for key, value in wanted.items() if present.get(key) != value}


async def _stream_problems(connection: NatsConnection, name: str) -> Sequence[str]:
    try:
        present = await _stream_config(connection, name)
    except NotFoundError:
        remedy = "start a worker, which makes it" if name == BILLING else _OTHERS_REMEDY
        return [f"The stream {name} is missing: {remedy}."]
    checks = {
        f"takes {present.get('subjects')} and so not all of {SUBJECTS[name]}: add it": not any(
            _covers(each, SUBJECTS[name]) for each in present.get("subjects") or []
        ),
        "forgets acknowledged messages (retention is not limits): make it anew": present.get("retention") != "limits",
        "keeps its messages in memory only: make it anew with file storage": present.get("storage") != "file",
        f"knows repeats for less than {SHORTEST_DUPLICATE_WINDOW_S} s: set a longer duplicate window": (
            (present.get("duplicate_window") or 0) < SHORTEST_DUPLICATE_WINDOW_S * _SECOND
        ),
        "has a size limit and discards the oldest messages at it: set discard to new": (
            present.get("discard") == "old" and max(present.get("max_msgs", -1), present.get("max_bytes", -1)) > 0
        ),
        "takes no atomic batches, which slows publishing down: set allow_atomic": (
            name == BILLING and not present.get("allow_atomic")
        ),
        "lets messages be deleted: set deny_delete and deny_purge": (
            name == BILLING and not (present.get("deny_delete") and present.get("deny_purge"))
        ),
    }
    return [f"The stream {name} {problem}." for problem, found in checks.items() if found]


_OTHERS_REMEDY = (
    "its service makes it; where there is none (development), set BILLING_NATS_MANAGE_STREAMS=on and start a worker"
)


async def _consumer_problems(connection: NatsConnection, plan: ConsumerPlan) -> Sequence[str]:
    try:
        info = await connection.jetstream.consumer_info(plan.stream, plan.durable)
    except NotFoundError:
        return [f"The consumer {plan.durable} of {plan.stream} is missing: a worker makes it once the stream is there."]
    config = info.config
    checks = {
        f"takes {config.filter_subject or config.filter_subjects or 'everything'}, not {plan.subject}": (
            config.filter_subject != plan.subject
        ),
        "does not wait for explicit acknowledgements": config.ack_policy != AckPolicy.EXPLICIT,
        f"gives up after {config.max_deliver} deliveries": (config.max_deliver or -1) > 0,
        "pushes its messages": bool(config.deliver_subject),
        "is paused": bool(info.paused),
    }
    remedy = "delete it (a worker makes it anew) or mend it with `nats consumer edit` or `resume`"
    return [f"The consumer {plan.durable} {problem}: {remedy}." for problem, found in checks.items() if found]


def _covers(wide: str, narrow: str) -> bool:
    """Whether every subject that `narrow` stands for is one that `wide` stands for."""
    wides, narrows = wide.split("."), narrow.split(".")
    for index, part in enumerate(wides):
        if part == ">":
            return len(narrows) > index
        if index >= len(narrows) or narrows[index] == ">" or part not in {"*", narrows[index]}:
            return False
    return len(wides) == len(narrows)


async def _stream_config(connection: NatsConnection, name: str) -> dict[str, Any]:
    config: dict[str, Any] = (await _ask(connection, f"STREAM.INFO.{name}", {}))["config"]
    return config


async def _ask(connection: NatsConnection, question: str, document: dict[str, Any]) -> dict[str, Any]:
    # Not through nats-py's StreamConfig: settings of a newer server that it does not know would be lost by an update.
    try:
        reply = await connection.client.request(
            f"$JS.API.{question}", json.dumps(document).encode(), timeout=REQUEST_TIMEOUT_S
        )
    except NoRespondersError:
        raise ServiceUnavailableError from None
    answer: dict[str, Any] = json.loads(reply.data)
    if "error" in answer:
        raise APIError.from_error(answer["error"])
    return answer
