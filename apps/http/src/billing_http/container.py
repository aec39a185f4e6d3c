"""How the HTTP app is put together: one flat, synchronous container. What needs opening is opened before."""

from functools import partial

from dependency_injector import containers, providers

from billing_adapters.clock import SystemClock, new_id
from billing_adapters.nats.publisher import NatsMessageSender
from billing_adapters.postgres.records import PostgresRecords
from billing_adapters.postgres.requests import PostgresPurchaseRequests
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_adapters.redis.client import is_up
from billing_adapters.redis.replay_cache import RedisReplayCache
from billing_adapters.resources import Resources
from billing_adapters.settings import Settings
from billing_core.domain.packs import PriceBook
from billing_core.use_cases.activate_trial import ActivateTrial
from billing_core.use_cases.create_purchase import CreatePurchase
from billing_core.use_cases.read_billing import ReadBilling
from billing_http.state import Billing, Probe
from billing_http.time_limits import BoundedRequests, BoundedUnits
from billing_http.tokens import token_verifier


class Container(containers.DeclarativeContainer):
    """Takes the settings and the open resources; `billing` is everything the handlers need."""

    settings: providers.Dependency[Settings] = providers.Dependency(instance_of=Settings)
    resources: providers.Dependency[Resources] = providers.Dependency(instance_of=Resources)

    clock = providers.Singleton(SystemClock)
    price_book: providers.Singleton[PriceBook] = providers.Singleton(settings.provided.load_price_book.call())
    tokens = providers.Singleton(token_verifier, settings, clock)
    platforms = resources.provided.platforms.by_name

    units = providers.Singleton(BoundedUnits, providers.Singleton(PostgresUnits, resources.provided.database))
    requests = providers.Singleton(
        BoundedRequests, providers.Singleton(PostgresPurchaseRequests, resources.provided.database)
    )
    records = providers.Singleton(PostgresRecords, resources.provided.database)
    replays = providers.Singleton(RedisReplayCache, resources.provided.redis)
    sender = providers.Singleton(NatsMessageSender, resources.provided.nats)

    activate_trial = providers.Singleton(
        ActivateTrial,
        units=units,
        replays=replays,
        price_book=price_book,
        clock=clock,
        new_id=new_id,
        pseudonyms=settings.provided.pseudonyms,
    )
    create_purchase = providers.Singleton(
        CreatePurchase,
        requests=requests,
        units=units,
        replays=replays,
        platforms=platforms,
        price_book=price_book,
        return_urls=settings.provided.return_url_policy,
        clock=clock,
        new_id=new_id,
    )
    read = providers.Singleton(ReadBilling, records=records, price_book=price_book, clock=clock)
    probes: providers.Factory[dict[str, Probe]] = providers.Factory(
        dict,
        postgres=resources.provided.database.ping,
        redis=providers.Factory(partial, is_up, resources.provided.redis),
        nats=resources.provided.nats.ping,
    )
    billing: providers.Factory[Billing] = providers.Factory(
        Billing,
        tokens=tokens,
        activate_trial=activate_trial,
        create_purchase=create_purchase,
        read=read,
        platforms=platforms,
        sender=sender,
        nats=resources.provided.nats,
        probes=probes,
        is_crowded=resources.provided.database.is_crowded,
    )
