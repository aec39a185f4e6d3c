"""The streams and durable consumers Billing needs: made where they are ours, widened but never narrowed."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from nats.js.errors import APIError, NotFoundError

from billing_adapters.nats.api import ask, stream_config, stream_info
from billing_adapters.nats.connection import NATS_FAILURES, NatsConnection
from billing_adapters.nats.plan import (
    BILLING,
    CONSUMERS,
    MERCHANT,
    MERCHANT_CREATED,
    PURCHASE_UPDATED,
    SUBJECTS,
    WEBHOOK,
    ConsumerPlan,
    covers,
)
from billing_adapters.nats.replicas import is_led
from billing_core.errors import PublishingUnavailable

# Who makes streams mostly wants their names as well.
__all__ = [
    "BILLING",
    "CONSUMERS",
    "MERCHANT",
    "MERCHANT_CREATED",
    "PURCHASE_UPDATED",
    "WEBHOOK",
    "ConsumerPlan",
    "ensure_consumer",
    "ensure_consumers",
    "ensure_replicas",
    "ensure_streams",
]

_SECOND: Final = 1_000_000_000  # stream settings count in nanoseconds
# Twice the time outbox rows are kept, and as long as a consumer that was away for weeks may need.
MAX_AGE_S = 30 * 24 * 3600
# Covers a database that goes away for a night between the broker's confirmation and our note of it. Each id in the
# window costs the server some 170 bytes; consumers know repeats after it by their id.
DUPLICATE_WINDOW_S = 24 * 3600

# Mostly they do at once; an election among servers that find each other silent takes up to ten seconds.
ELECTED_WITHIN_S = 15.0

_NAME_IN_USE = 10058
# The server could not make the stream's store: it may still be clearing away one of that name which was deleted.
_NO_STORE = 10049
_TRIES_FOR_A_STORE, _TRY_AGAIN_AFTER_S = 10, 0.1


async def ensure_streams(connection: NatsConnection, *, manage_all: bool, replicas: int = 1) -> None:
    """This will make the stream BILLING, or widen the one there is to what Billing needs, kept on `replicas` servers at
    least; with `manage_all` those of the other services too. Nothing is deleted, narrowed or shortened.

    Raises PublishingUnavailable when NATS is away or refuses; safe to repeat and to do in many processes at once.
    """
    for name in (BILLING, MERCHANT, WEBHOOK) if manage_all else (BILLING,):
        try:
            await _ensure_stream(connection, name, replicas)
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


async def ensure_replicas(connection: NatsConnection, present: dict[str, Any], replicas: int) -> None:
    """This will have the stream of these settings kept on so many servers, unless it is kept on more, and return once
    these have elected a leader; its consumers follow. Raises what nats-py raises, also where there are not as many
    servers, and TimeoutError where they elect none."""
    if (present.get("num_replicas") or 1) >= replicas:
        return
    await ask(connection, f"STREAM.UPDATE.{present['name']}", {**present, "num_replicas": replicas})
    async with asyncio.timeout(ELECTED_WITHIN_S):
        while not is_led(await stream_info(connection, present["name"])):  # noqa: ASYNC110 - it tells when asked
            await asyncio.sleep(_TRY_AGAIN_AFTER_S)


async def _ensure_stream(connection: NatsConnection, name: str, replicas: int) -> None:
    try:
        present = await stream_config(connection, name)
    except NotFoundError:
        present = await _make_stream(connection, name, replicas)
    if widened := _widened(name, present):
        present = (await ask(connection, f"STREAM.UPDATE.{name}", {**present, **widened}))["config"]
    # By itself: it is refused while a server is away, and the rest is not to wait for that.
    await ensure_replicas(connection, present, replicas)


async def _make_stream(connection: NatsConnection, name: str, replicas: int) -> dict[str, Any]:
    for tries_left in reversed(range(_TRIES_FOR_A_STORE)):
        try:
            made: dict[str, Any] = (await ask(connection, f"STREAM.CREATE.{name}", _new_stream(name, replicas)))[
                "config"
            ]
        except APIError as refused:
            if refused.err_code == _NO_STORE and tries_left:
                await asyncio.sleep(_TRY_AGAIN_AFTER_S)
                continue
            if refused.err_code != _NAME_IN_USE:
                raise
            return await stream_config(connection, name)  # another process was faster, with other settings
        return made
    raise AssertionError("the last try gives a stream or raises")


def _new_stream(name: str, replicas: int) -> dict[str, Any]:
    return {
        "name": name,
        "subjects": [SUBJECTS[name]],
        # Limits: a message stays after it was acknowledged. A work queue would forget ids with the messages, and
        # nobody could read what was said before.
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
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
    if not any(covers(each, SUBJECTS[name]) for each in subjects):
        # A subject within the new one would overlap with it; it is covered all the same.
        wanted["subjects"] = [*[each for each in subjects if not covers(SUBJECTS[name], each)], SUBJECTS[name]]
    max_age = present.get("max_age") or 0  # 0 is for ever
    if 0 < max_age < MAX_AGE_S * _SECOND:
        wanted["max_age"] = MAX_AGE_S * _SECOND
    wanted["duplicate_window"] = max(present.get("duplicate_window") or 0, DUPLICATE_WINDOW_S * _SECOND)
    return {key: value for key, value in wanted.items() if present.get(key) != value}
