"""Whether streams and consumers are as Billing needs them, in sentences that say what to do."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Final

from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError, ServiceUnavailableError

from billing_adapters.nats.api import stream_info
from billing_adapters.nats.connection import NATS_FAILURES, NatsConnection
from billing_adapters.nats.plan import BILLING, CONSUMERS, SUBJECTS, ConsumerPlan, covers
from billing_adapters.nats.replicas import has_no_leader, is_led, servers, too_few
from billing_core.errors import BrokerDenied, PublishingUnavailable

SHORTEST_DUPLICATE_WINDOW_S: Final = 120
# Outbox rows are kept as long; and a backup older than the streams cannot be brought up to date from them.
SHORTEST_MAX_AGE_S: Final = 14 * 24 * 3600
# A worker says every 10 s that it still works on a batch; sooner than twice that a message would be delivered again.
SHORTEST_ACK_WAIT_S: Final = 20
# A worker's batch: with less it would never be full, and one platform's outage would hold back the other's messages.
FEWEST_ACK_PENDING: Final = 256
_SECOND: Final = 1_000_000_000

_TOO_FEW: Final = (
    "it takes and gives nothing while too few of the servers that keep it are there. Where this is no election, which "
    "takes ten seconds, start them."
)
_OTHERS_REMEDY: Final = (
    "its service makes it; where there is none (development), set BILLING_NATS_MANAGE_STREAMS=on and start a worker"
)


async def check_streams(connection: NatsConnection, *, replicas: int = 1) -> Sequence[str]:
    """What is wrong with the streams and consumers, each in a sentence that says what to do; empty when nothing is.
    `replicas` is how many servers shall keep each stream. Never raises for an outage: that is one of the sentences."""
    streams = {f"stream {name}": _stream_problems(connection, name, replicas) for name in SUBJECTS}
    consumers = {f"consumer {plan.durable}": _consumer_problems(connection, plan, replicas) for plan in CONSUMERS}
    try:
        found = await asyncio.gather(*(_answered(what, asked) for what, asked in {**streams, **consumers}.items()))
        return [problem for problems in found for problem in problems]
    except ServiceUnavailableError:
        return ["NATS runs without JetStream: start it with JetStream enabled (-js, or a jetstream block)."]
    except (PublishingUnavailable, *NATS_FAILURES) as failure:
        return [f"NATS cannot be asked about its streams: {failure}. Check BILLING_NATS_URL."]


async def _answered(what: str, asked: Awaitable[Sequence[str]]) -> Sequence[str]:
    """What was found, or that there was no answer: in a cluster one of them may have none, and the others do."""
    try:
        return await asked
    except TimeoutError:
        return [f"The {what} does not answer: {_TOO_FEW}"]
    except ServiceUnavailableError as unavailable:
        if not has_no_leader(unavailable):
            raise
        return [f"The {what} has no leader: {_TOO_FEW}"]


async def _stream_problems(connection: NatsConnection, name: str, replicas: int) -> Sequence[str]:
    try:
        info = await stream_info(connection, name)
    except BrokerDenied as denied:
        return [str(denied)]
    except NotFoundError:
        remedy = "start a worker, which makes it" if name == BILLING else _OTHERS_REMEDY
        return [f"The stream {name} is missing: {remedy}."]
    present, fewer = info["config"], too_few(name, info["config"], replicas)
    checks = {
        f"takes {present.get('subjects')} and so not all of {SUBJECTS[name]}: add it": not any(
            covers(each, SUBJECTS[name]) for each in present.get("subjects") or []
        ),
        "forgets acknowledged messages (retention is not limits): make it anew": present.get("retention") != "limits",
        "keeps its messages in memory only: make it anew with file storage": present.get("storage") != "file",
        f"forgets messages before they are {SHORTEST_MAX_AGE_S // 86400} days old: set a longer max_age (or none)": (
            0 < (present.get("max_age") or 0) < SHORTEST_MAX_AGE_S * _SECOND
        ),
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
    checks |= {fewer: True} if fewer else {}
    problems = [f"The stream {name} {problem}." for problem, found in checks.items() if found]
    return problems if is_led(info) else [f"The stream {name} has no leader: {_TOO_FEW}", *problems]


async def _consumer_problems(connection: NatsConnection, plan: ConsumerPlan, replicas: int) -> Sequence[str]:
    try:
        info = await connection.jetstream.consumer_info(plan.stream, plan.durable)
    except BrokerDenied as denied:
        return [str(denied)]
    except NotFoundError:
        return [f"The consumer {plan.durable} of {plan.stream} is missing: a worker makes it once the stream is there."]
    kept = info.config.num_replicas or 0  # none: as its stream is
    checks = {
        **_delivery_problems(info.config, plan),
        "is paused": bool(info.paused),
        f"is kept on {servers(kept)}, its stream on more": 0 < kept < replicas,
    }
    remedy = "delete it (a worker makes it anew) or mend it with `nats consumer edit` or `resume`"
    return [f"The consumer {plan.durable} {problem}: {remedy}." for problem, found in checks.items() if found]


def _delivery_problems(config: ConsumerConfig, plan: ConsumerPlan) -> dict[str, bool]:
    return {
        f"takes {config.filter_subject or config.filter_subjects or 'everything'}, not {plan.subject}": (
            config.filter_subject != plan.subject
        ),
        "does not wait for explicit acknowledgements": config.ack_policy != AckPolicy.EXPLICIT,
        f"gives up after {config.max_deliver} deliveries": (config.max_deliver or -1) > 0,
        "pushes its messages": bool(config.deliver_subject),
        "does not begin with the first message": config.deliver_policy != DeliverPolicy.ALL,
        f"delivers again after {config.ack_wait or 0:g} s, under a worker's hands": (
            (config.ack_wait or 0) < SHORTEST_ACK_WAIT_S or bool(config.backoff)
        ),
        f"waits for acknowledgements after {config.max_ack_pending} messages": (
            0 < (config.max_ack_pending or 0) < FEWEST_ACK_PENDING
        ),
    }
