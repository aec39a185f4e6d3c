"""What `billing doctor` looks at in NATS: the connection, streams and consumers, and what was given up."""

from collections.abc import Sequence
from typing import Final

from billing_adapters.nats.advisories import count_given_up, last_given_up
from billing_adapters.nats.checking import check_streams
from billing_adapters.nats.connection import NATS_FAILURES, NatsConnection
from billing_adapters.nats.permissions import ACCOUNTS_FILE, CLI, NatsUser, remedy
from billing_adapters.nats.plan import ADVISORIES
from billing_adapters.settings import Settings
from billing_cli.configuration import mask_url
from billing_cli.findings import Finding, fail, ok, warn
from billing_cli.nats_servers_examination import examine_replicas, examine_sync
from billing_cli.transport_examination import examine_transport, reach_remedy
from billing_core.errors import BrokerDenied, PublishingUnavailable

PERMISSIONS: Final = "nats permissions"


async def examine_nats(nats: NatsConnection, settings: Settings, user: NatsUser) -> Sequence[Finding]:
    """This will check the server, what `user` may do there, and, as the command line's user, what is in it. Never
    raises for what it looks for: that is a finding."""
    try:
        await nats.ping()
    except BrokerDenied as denied:
        return [fail("nats", denied.detail, denied.remedy)]
    except PublishingUnavailable as away:
        place = mask_url(settings.nats_url.get_secret_value())
        advice = reach_remedy(away, what="NATS", place=place, variable="BILLING_NATS_URL")
        return [fail("nats", str(away), f"{advice} Until then events wait in the outbox.")]
    version = nats.client.connected_server_version
    found = [ok("nats", f"version {version.major}.{version.minor}.{version.patch}"), _transport(settings)]
    found += await _permissions(nats, user, settings)
    if user is CLI:  # the others may not look at all of it
        problems = await check_streams(nats, replicas=settings.nats_replicas)
        found += [fail("streams", problem, None) for problem in problems] or [ok("streams", "as they should be")]
        found += await examine_replicas(nats)
        found.append(await _given_up(nats))
    return [*found, await examine_sync(settings)]


def _transport(settings: Settings) -> Finding:
    return examine_transport("nats transport", settings.nats_url.get_secret_value(), "BILLING_NATS_URL", "tls")


async def _permissions(nats: NatsConnection, user: NatsUser, settings: Settings) -> Sequence[Finding]:
    """What the server says we may do, beside what we need."""
    try:
        granted = await nats.granted()
    except BrokerDenied as denied:
        return [warn(PERMISSIONS, f"not known: {denied.detail}", denied.remedy)]
    except (PublishingUnavailable, *NATS_FAILURES) as failure:
        return [warn(PERMISSIONS, f"not known: the server does not tell them ({failure!r})", None)]
    if granted is None and _is_production(settings):
        advice = f"Give each process its own user with the permissions of {ACCOUNTS_FILE}."
        return [warn(PERMISSIONS, "this user may do everything", advice)]
    missing = [
        fail(PERMISSIONS, f"{user.name} may not {each}", remedy(user, each.operation, each.subject))
        for each in user.missing(granted)
    ]
    return missing or [ok(PERMISSIONS, f"{user.name} may do what it needs")]


async def _given_up(nats: NatsConnection) -> Finding:
    try:
        many, last = await count_given_up(nats), await last_given_up(nats)
    except PublishingUnavailable as failure:
        return warn("given up", str(failure), "See `streams`.")
    if many is None:
        remedy = "Start a worker, which makes it."
        return warn("given up", f"not known: the stream {ADVISORIES} is missing", remedy)
    if not many:
        return ok("given up", "NATS has given no message up")
    where = "; ".join(f"{each.stream} {each.sequence} of {each.consumer} at {each.at}" for each in last)
    remedy = (
        f"Set the consumer's max_deliver to -1, or delete it: a worker makes it anew and takes every message again, "
        f"and those handled are known by their id. Then `nats stream purge {ADVISORIES}`."
    )
    return fail("given up", f"NATS gave {many} message(s) up, the last: {where}", remedy)


def _is_production(settings: Settings) -> bool:
    return settings.env == "production"
