"""Who keeps the streams in a cluster: how many servers, which of them follow, and who leads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from nats.js.errors import APIError, NotFoundError

from billing_adapters.nats.api import stream_info
from billing_adapters.nats.connection import NATS_FAILURES, NatsConnection
from billing_adapters.nats.plan import ADVISORIES, BILLING, SUBJECTS
from billing_core.errors import PublishingUnavailable

# JetStream's word for a stream or consumer of which too few servers are there to elect a leader.
_NO_LEADER: Final = 10008


@dataclass(frozen=True, slots=True, kw_only=True)
class Keepers:
    """Of one stream: how many servers keep it, whether they are a cluster's, and those of them that do not follow
    now."""

    stream: str
    many: int
    is_clustered: bool
    away: tuple[str, ...]


async def keepers_of_streams(connection: NatsConnection) -> Sequence[Keepers]:
    """Who keeps each stream that answers; of the others `check_streams` tells. Raises PublishingUnavailable where NATS
    is away."""
    found = []
    for name in (*SUBJECTS, ADVISORIES):
        try:
            info = await stream_info(connection, name)
        except (NotFoundError, TimeoutError):
            continue
        except NATS_FAILURES as failure:
            if has_no_leader(failure):
                continue
            raise PublishingUnavailable(f"NATS cannot be asked about the stream {name}: {failure}") from failure
        found.append(_keepers(name, info))
    return found


def has_no_leader(failure: Exception) -> bool:
    """Whether JetStream could not answer because nobody leads what was asked about."""
    return isinstance(failure, APIError) and failure.err_code == _NO_LEADER


def is_led(info: dict[str, Any]) -> bool:
    """Whether a stream that answered has a leader; without one it is a follower that answers."""
    cluster = info.get("cluster") or {}
    return bool(cluster.get("leader")) or not cluster.get("name")


def too_few(name: str, present: dict[str, Any], wanted: int) -> str | None:
    """What to say of a stream that fewer servers keep than shall; None where there are enough."""
    many = present.get("num_replicas") or 1
    if many >= wanted:
        return None
    if name in (BILLING, ADVISORIES):
        remedy = "run `billing nats upgrade`, or start a worker"
    else:
        remedy = f"its service raises it, or `nats stream edit {name} --replicas {wanted}`"
    return f"is kept on {servers(many)} and BILLING_NATS_REPLICAS is {wanted}: {remedy} (with as many in the cluster)"


def servers(many: int) -> str:
    """So many, in words."""
    return "one server" if many == 1 else f"{many} servers"


def _keepers(name: str, info: dict[str, Any]) -> Keepers:
    cluster = info.get("cluster") or {}
    followers = cluster.get("replicas") or ()
    return Keepers(
        stream=name,
        many=info["config"].get("num_replicas") or 1,
        is_clustered=bool(cluster.get("name")),
        away=tuple(each["name"] for each in followers if each.get("offline") or not each.get("current")),
    )
