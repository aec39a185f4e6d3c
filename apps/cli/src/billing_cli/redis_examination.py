"""What `billing doctor` looks at in Redis: whether it answers, what it permits us, and what it does when it is full."""

from collections.abc import Sequence
from typing import Final

from redis.exceptions import NoPermissionError, ResponseError

from billing_adapters.redis.client import REDIS_FAILURES, RedisClient
from billing_adapters.redis.places import places_of
from billing_adapters.redis.refusals import USERS_FILE, refusal
from billing_adapters.settings import Settings
from billing_cli.configuration import mask_url
from billing_cli.findings import Finding, fail, ok, warn
from billing_cli.transport_examination import examine_transport, reach_remedy

_WITHOUT: Final = "Without it Billing answers correctly, only slower."
# A key nobody reads, under the prefix of those that are.
_TRIAL: Final = "billing:replay:doctor"
_COMMANDS: Final = (
    ("PING",),
    ("SET", _TRIAL, "1", "PX", 1000),
    ("GET", _TRIAL),
    ("UNLINK", _TRIAL),
    ("TIME",),
    ("EVAL", "return redis.call('GET', KEYS[1])", 1, _TRIAL),
)


async def examine_redis(redis: RedisClient, settings: Settings) -> Sequence[Finding]:
    """This will check the server and our user. Never raises for what it looks for: that is a finding."""
    url = settings.redis_url.get_secret_value()
    try:
        denied = [command[0] for command in _COMMANDS if not await _may(redis, command)]
        found = await _version(redis)
    except REDIS_FAILURES as failure:
        if (why := refusal(failure)) is not None:
            return [fail("redis", why, _WITHOUT)]
        remedy = reach_remedy(failure, what="Redis", place=mask_url(url), variable="BILLING_REDIS_URL")
        return [warn("redis", f"does not answer: {failure}", f"{remedy} {_WITHOUT}")]
    if denied:
        remedy = f"Give its user the permissions of {USERS_FILE}. {_WITHOUT}"
        found = [fail("redis", f"does not permit {', '.join(denied)}", remedy)]
    return [*found, _transport(url)]


def _transport(url: str) -> Finding:
    places = places_of(url)
    return examine_transport(
        "redis transport", url if places is None else ",".join(places.urls), "BILLING_REDIS_URL", "rediss"
    )


async def _may(redis: RedisClient, command: Sequence[str | int]) -> bool:
    try:
        await redis.execute_command(*command)  # type: ignore[no-untyped-call]
    except ResponseError as refused:  # full, or a replica: that is no question of permissions, and told below
        return not isinstance(refused, NoPermissionError)
    return True


async def _version(redis: RedisClient) -> list[Finding]:
    try:
        info = await redis.info("server", "memory")
    except NoPermissionError:
        return [ok("redis", "answers; its version is not ours to see")]
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if info.get("maxmemory") and policy == "noeviction":
        remedy = "Set maxmemory-policy to allkeys-lru: what Billing keeps there may be forgotten."
        return [warn("redis", f"version {info.get('redis_version')}; full memory refuses writes", remedy)]
    return [ok("redis", f"version {info.get('redis_version')}")]
