"""The worker's wiring: one flat, synchronous container. What must be opened is opened before and handed in."""

from typing import Any

from dependency_injector import containers, providers

from billing_adapters.clock import SystemClock, new_id
from billing_adapters.nats.consumer import NatsConsumer
from billing_adapters.nats.publisher import NatsEventPublisher
from billing_adapters.postgres.housekeeping import PostgresHousekeeping
from billing_adapters.postgres.job_runs import PostgresJobRuns
from billing_adapters.postgres.leadership import PostgresLeadership
from billing_adapters.postgres.outbox import OutboxBell, PostgresOutbox
from billing_adapters.postgres.privacy import PostgresMerchantData
from billing_adapters.postgres.support import PostgresSupport
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_adapters.redis.replay_cache import RedisReplayCache
from billing_adapters.resources import Resources
from billing_core.domain.packs import PriceBook
from billing_core.domain.pseudonyms import Pseudonyms
from billing_core.messages import MERCHANT_CREATED, PURCHASE_UPDATED
from billing_core.use_cases import handle_webhooks, register_merchants
from billing_core.use_cases.answer_privacy_requests import AnswerPrivacyRequests
from billing_core.use_cases.ask_platforms import AskPlatforms
from billing_core.use_cases.consume_messages import ConsumeMessages
from billing_core.use_cases.handle_webhooks import HandleWebhooks
from billing_core.use_cases.jobs import RunDueJobs
from billing_core.use_cases.redact_merchants import RedactMerchants
from billing_core.use_cases.register_merchants import RegisterMerchants
from billing_core.use_cases.relay_events import RelayEvents
from billing_core.use_cases.schedule import scheduled_jobs
from billing_core.use_cases.settle_purchases import SettlePurchases
from billing_worker.consuming import Consumption
from billing_worker.metrics import WorkerMetrics
from billing_worker.relaying import Relaying
from billing_worker.scheduling import Scheduling


class WorkerContainer(containers.DeclarativeContainer):
    """Everything a worker runs."""

    resources: providers.Dependency[Resources] = providers.Dependency(instance_of=Resources)
    price_book: providers.Dependency[PriceBook] = providers.Dependency(instance_of=PriceBook)
    pseudonyms: providers.Dependency[Pseudonyms | None] = providers.Dependency(default=None)

    clock = providers.Singleton(SystemClock)
    ids = providers.Object(new_id)
    metrics = providers.Singleton(WorkerMetrics)

    database = resources.provided.database
    platforms = resources.provided.platforms.by_name
    units = providers.Singleton(PostgresUnits, database)
    outbox = providers.Singleton(PostgresOutbox, database)
    bell = providers.Singleton(OutboxBell, database)
    housekeeping = providers.Singleton(PostgresHousekeeping, database)
    leadership = providers.Singleton(PostgresLeadership, database)
    job_runs = providers.Singleton(PostgresJobRuns, database)
    support = providers.Singleton(PostgresSupport, database)
    replays = providers.Singleton(RedisReplayCache, resources.provided.redis)
    publisher = providers.Singleton(NatsEventPublisher, resources.provided.nats)

    register = providers.Singleton(
        RegisterMerchants, units=units, platforms=platforms, clock=clock, new_id=ids, pseudonyms=pseudonyms
    )
    ask = providers.Singleton(AskPlatforms, platforms=platforms)
    settle = providers.Singleton(
        SettlePurchases, units=units, price_book=price_book, clock=clock, pseudonyms=pseudonyms
    )
    redact = providers.Singleton(
        RedactMerchants,
        units=units,
        data=providers.Singleton(PostgresMerchantData, database),
        replays=replays,
        clock=clock,
        new_id=ids,
        pseudonyms=pseudonyms,
    )
    privacy = providers.Singleton(
        AnswerPrivacyRequests,
        units=units,
        platforms=platforms,
        redact=redact,
        clock=clock,
        new_id=ids,
        pseudonyms=pseudonyms,
    )
    webhooks = providers.Singleton(
        HandleWebhooks,
        units=units,
        platforms=platforms,
        ask=ask,
        settle=settle,
        clock=clock,
        new_id=ids,
        privacy=privacy,
        pseudonyms=pseudonyms,
    )
    relay = providers.Singleton(RelayEvents, outbox=outbox, publisher=publisher, leadership=leadership, clock=clock)
    jobs = providers.Singleton(
        scheduled_jobs,
        units=units,
        outbox=outbox,
        publisher=publisher,
        housekeeping=housekeeping,
        replays=replays,
        leadership=leadership,
        runs=job_runs,
        platforms=platforms,
        refund_sources=resources.provided.platforms.refund_sources,
        price_book=price_book,
        clock=clock,
        pseudonyms=pseudonyms,
    )
    run_due_jobs = providers.Singleton(RunDueJobs, jobs=jobs, leadership=leadership, runs=job_runs, clock=clock)

    merchants = providers.Singleton(
        Consumption,
        name=register_merchants.SOURCE,
        consumer=providers.Singleton(
            NatsConsumer,
            resources.provided.nats,
            stream="MERCHANT",
            durable=register_merchants.SOURCE,
            subject=MERCHANT_CREATED,
        ),
        consume=providers.Singleton(
            ConsumeMessages, source=register_merchants.SOURCE, handle=register, units=units, clock=clock, new_id=ids
        ),
        metrics=metrics,
    )
    purchases = providers.Singleton(
        Consumption,
        name=handle_webhooks.SOURCE,
        consumer=providers.Singleton(
            NatsConsumer,
            resources.provided.nats,
            stream="WEBHOOK",
            durable=handle_webhooks.SOURCE,
            subject=PURCHASE_UPDATED,
        ),
        consume=providers.Singleton(
            ConsumeMessages, source=handle_webhooks.SOURCE, handle=webhooks, units=units, clock=clock, new_id=ids
        ),
        metrics=metrics,
    )
    relaying = providers.Singleton(Relaying, relay=relay, bell=bell, metrics=metrics)
    scheduling = providers.Singleton(
        Scheduling, run_due_jobs=run_due_jobs, support=support, nats=resources.provided.nats, metrics=metrics
    )


def build_container(**handed_in: Any) -> WorkerContainer:
    """This will wire a worker from its opened resources and its price book."""
    return WorkerContainer(**handed_in)
