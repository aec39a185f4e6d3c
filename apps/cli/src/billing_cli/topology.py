"""Streams and consumers, made by whoever may."""

from collections.abc import Sequence

from billing_adapters.nats.access import NatsAccess
from billing_adapters.nats.advisories import ensure_advisories
from billing_adapters.nats.checking import check_streams
from billing_adapters.nats.connection import open_nats
from billing_adapters.nats.permissions import ADMIN
from billing_adapters.nats.streams import ensure_consumers, ensure_streams
from billing_adapters.settings import load_settings
from billing_cli.quiet import quiet_logs


async def upgrade(*, dry_run: bool) -> Sequence[str]:
    """This will make and widen what Billing needs, unless it is a dry run, and return what is left to mend, in
    sentences. Raises PublishingUnavailable, and BrokerDenied where the user may not."""
    quiet_logs()
    settings = load_settings()
    access = NatsAccess.of(settings, ADMIN)
    async with open_nats(settings.nats_url.get_secret_value(), name="billing-admin", access=access) as nats:
        await nats.ping()
        if not dry_run:
            await ensure_streams(nats, manage_all=settings.nats_manage_streams, replicas=settings.nats_replicas)
            await ensure_consumers(nats)
            await ensure_advisories(nats, replicas=settings.nats_replicas)
        return await check_streams(nats, replicas=settings.nats_replicas)
