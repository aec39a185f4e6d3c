"""How the HTTP app is put together: one flat, synchronous container. What needs opening is opened before."""

from functools import partial
from typing import TYPE_CHECKING

from dependency_injector import containers, providers

from billing_adapters.clock import SystemClock, new_id
from billing_adapters.nats.publisher import NatsMessageSender
from billing_adapters.platforms.watched import PlatformCalls, watched
from billing_adapters.postgres.records import PostgresRecords
from billing_adapters.postgres.requests import PostgresPurchaseRequests
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_adapters.redis.client import is_up
from billing_adapters.redis.replay_cache import RedisReplayCache
from billing_adapters.redis.shared_usage import RedisUsage
from billing_adapters.resources import Resources
from billing_adapters.settings import Settings
from billing_adapters.tracing import traced
from billing_core.domain.packs import PriceBook
from billing_core.use_cases.activate_trial import ActivateTrial
from billing_core.use_cases.create_purchase import CreatePurchase
from billing_core.use_cases.read_billing import ReadBilling
from billing_http.rate_limits import rate_limits
from billing_http.state import Billing, Probe
from billing_http.time_limits import BoundedRequests, BoundedUnits
from billing_http.tokens import token_verifier

if TYPE_CHECKING:
    from billing_adapters.opentelemetry.tracing import Tracing
    from billing_http.tracing import RequestSpans


def _request_spans(tracing: "Tracing | None") -> "RequestSpans | None":
    if tracing is None:
        return None
    from billing_http.tracing import RequestSpans

    return RequestSpans(tracing)


class Container(containers.DeclarativeContainer):
    """Takes the settings, the open resources and where calls to platforms are counted; `billing` is everything the
    handlers need."""

    settings: providers.Dependency[Settings] = providers.Dependency(instance_of=Settings)
    resources: providers.Dependency[Resources] = providers.Dependency(instance_of=Resources)
    calls: providers.Dependency[PlatformCalls] = providers.Dependency()

    clock = providers.Singleton(SystemClock)
    tracing = resources.provided.tracing
    price_book: providers.Singleton[PriceBook] = providers.Singleton(settings.provided.load_price_book.call())
    tokens = providers.Singleton(token_verifier, settings, clock)
    limits = providers.Singleton(
        rate_limits, settings.provided.rate_limit, providers.Singleton(RedisUsage, resources.provided.redis)
    )
    # Pages and the webhook door take the platforms as they are; use cases take them watched.
    platforms = resources.provided.platforms.by_name
    watched_platforms = providers.Singleton(watched, platforms, calls, tracing)

    units = providers.Singleton(BoundedUnits, providers.Singleton(PostgresUnits, resources.provided.database))
    requests = providers.Singleton(
        BoundedRequests, providers.Singleton(PostgresPurchaseRequests, resources.provided.database)
    )
    records = providers.Singleton(PostgresRecords, resources.provided.database)
    replays = providers.Singleton(traced, tracing, providers.Singleton(RedisReplayCache, resources.provided.redis))
    sender = providers.Singleton(traced, tracing, providers.Singleton(NatsMessageSender, resources.provided.nats))

    activate_trial = providers.Singleton(
        traced,
        tracing,
        providers.Singleton(
            ActivateTrial,
            units=units,
            replays=replays,
            price_book=price_book,
            clock=clock,
            new_id=new_id,
            pseudonyms=settings.provided.pseudonyms,
        ),
    )
    create_purchase = providers.Singleton(
        traced,
        tracing,
        providers.Singleton(
            CreatePurchase,
            requests=requests,
            units=units,
            replays=replays,
            platforms=watched_platforms,
            price_book=price_book,
            return_urls=settings.provided.return_url_policy,
            clock=clock,
            new_id=new_id,
        ),
    )
    read = providers.Singleton(
        traced, tracing, providers.Singleton(ReadBilling, records=records, price_book=price_book, clock=clock)
    )
    spans = providers.Singleton(_request_spans, tracing)
    probes: providers.Factory[dict[str, Probe]] = providers.Factory(
        dict,
        postgres=resources.provided.database.ping,
        redis=providers.Factory(partial, is_up, resources.provided.redis),
        nats=resources.provided.nats.ping,
    )
    billing: providers.Factory[Billing] = providers.Factory(
        Billing,
        tokens=tokens,
        limits=limits,
        activate_trial=activate_trial,
        create_purchase=create_purchase,
        read=read,
        platforms=platforms,
        sender=sender,
        nats=resources.provided.nats,
        probes=probes,
        is_crowded=resources.provided.database.is_crowded,
        spans=spans,
    )
