"""The worker's wiring: one flat, synchronous container. What must be opened is opened before and handed in."""

from collections.abc import MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from dependency_injector import containers, providers

from billing_adapters.clock import SystemClock, new_id
from billing_adapters.nats.consumer import NatsConsumer
from billing_adapters.nats.publisher import NatsEventPublisher
from billing_adapters.platforms.watched import watched
from billing_adapters.postgres.figures import PostgresFigures
from billing_adapters.postgres.housekeeping import PostgresHousekeeping
from billing_adapters.postgres.job_runs import PostgresJobRuns
from billing_adapters.postgres.leadership import PostgresLeadership
from billing_adapters.postgres.outbox import OutboxBell, PostgresOutbox
from billing_adapters.postgres.privacy import PostgresMerchantData
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_adapters.redis.replay_cache import RedisReplayCache
from billing_adapters.resources import Resources
from billing_adapters.tracing import traced
from billing_core.domain.packs import PriceBook
from billing_core.domain.pseudonyms import Pseudonyms
from billing_core.messages import MERCHANT_CREATED, PURCHASE_UPDATED
from billing_core.use_cases import handle_webhooks, register_merchants
from billing_core.use_cases.answer_privacy_requests import AnswerPrivacyRequests
from billing_core.use_cases.ask_platforms import AskPlatforms
from billing_core.use_cases.consume_messages import ConsumeMessages
from billing_core.use_cases.handle_webhooks import HandleWebhooks
from billing_core.use_cases.jobs import RunDueJobs, ScheduledJob
from billing_core.use_cases.redact_merchants import RedactMerchants
from billing_core.use_cases.register_merchants import RegisterMerchants
from billing_core.use_cases.relay_events import RelayEvents
from billing_core.use_cases.schedule import scheduled_jobs
from billing_core.use_cases.settle_purchases import SettlePurchases
from billing_worker.consuming import Consume, Consumption
from billing_worker.measuring import Measuring
from billing_worker.metrics import WorkerMetrics
from billing_worker.relaying import Relaying
from billing_worker.scheduling import Scheduling

if TYPE_CHECKING:
    from billing_adapters.opentelemetry.tracing import Tracing


def _consume(tracing: "Tracing | None", consume: Consume, consumer: str) -> Consume:
    if tracing is None:
        return consume
    from billing_worker.tracing import TracedConsume

    return TracedConsume(consume, tracing, consumer=consumer)


def _jobs(
    tracing: "Tracing | None", jobs: Sequence[ScheduledJob], traces: MutableMapping[str, str]
) -> Sequence[ScheduledJob]:
    if tracing is None:
        return jobs
    from billing_worker.tracing import traced_jobs

    return traced_jobs(jobs, tracing, traces)


class WorkerContainer(containers.DeclarativeContainer):
    """Everything a worker runs."""

    resources: providers.Dependency[Resources] = providers.Dependency(instance_of=Resources)
    price_book: providers.Dependency[PriceBook] = providers.Dependency(instance_of=PriceBook)
    metrics: providers.Dependency[WorkerMetrics] = providers.Dependency(instance_of=WorkerMetrics)
    pseudonyms: providers.Dependency[Pseudonyms | None] = providers.Dependency(default=providers.Object(None))
    relay_lanes: providers.Dependency[int] = providers.Dependency(default=providers.Object(1))

    clock = providers.Singleton(SystemClock)
    ids = providers.Object(new_id)

    database = resources.provided.database
    tracing = resources.provided.tracing
    platforms = providers.Singleton(watched, resources.provided.platforms.by_name, metrics.provided.process, tracing)
    units = providers.Singleton(PostgresUnits, database)
    outbox = providers.Singleton(PostgresOutbox, database)
    bell = providers.Singleton(OutboxBell, database)
    housekeeping = providers.Singleton(PostgresHousekeeping, database)
    leadership = providers.Singleton(PostgresLeadership, database)
    job_runs = providers.Singleton(PostgresJobRuns, database)
    figures = providers.Singleton(PostgresFigures, database)
    replays = providers.Singleton(traced, tracing, providers.Singleton(RedisReplayCache, resources.provided.redis))
    publisher = providers.Singleton(traced, tracing, providers.Singleton(NatsEventPublisher, resources.provided.nats))

    register = providers.Singleton(
        traced,
        tracing,
        providers.Singleton(
            RegisterMerchants, units=units, platforms=platforms, clock=clock, new_id=ids, pseudonyms=pseudonyms
        ),
    )
    ask = providers.Singleton(AskPlatforms, platforms=platforms)
    settle = providers.Singleton(
        traced,
        tracing,
        providers.Singleton(SettlePurchases, units=units, price_book=price_book, clock=clock, pseudonyms=pseudonyms),
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
        platforms=resources.provided.platforms.by_name,  # it reads what they sent, and asks none of them
        redact=redact,
        clock=clock,
        new_id=ids,
        pseudonyms=pseudonyms,
    )
    webhooks = providers.Singleton(
        traced,
        tracing,
        providers.Singleton(
            HandleWebhooks,
            units=units,
            platforms=platforms,
            ask=ask,
            settle=settle,
            clock=clock,
            new_id=ids,
            privacy=privacy,
            pseudonyms=pseudonyms,
        ),
    )
    relay = providers.Singleton(
        RelayEvents, outbox=outbox, publisher=publisher, leadership=leadership, clock=clock, lanes=relay_lanes
    )
    traces: providers.Singleton[dict[str, str]] = providers.Singleton(dict)
    untraced_jobs = providers.Singleton(
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
        relay_lanes=relay_lanes,
    )
    jobs = providers.Singleton(_jobs, tracing, untraced_jobs, traces)
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
            _consume,
            tracing,
            providers.Singleton(
                ConsumeMessages, source=register_merchants.SOURCE, handle=register, units=units, clock=clock, new_id=ids
            ),
            register_merchants.SOURCE,
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
            _consume,
            tracing,
            providers.Singleton(
                ConsumeMessages, source=handle_webhooks.SOURCE, handle=webhooks, units=units, clock=clock, new_id=ids
            ),
            handle_webhooks.SOURCE,
        ),
        metrics=metrics,
    )
    relaying = providers.Singleton(Relaying, relay=relay, bell=bell, metrics=metrics)
    scheduling = providers.Singleton(Scheduling, run_due_jobs=run_due_jobs, metrics=metrics, traces=traces)
    measuring = providers.Singleton(
        Measuring,
        figures=figures,
        nats=resources.provided.nats,
        jobs=jobs,
        leadership=leadership,
        metrics=metrics.provided.standing,
    )
    loops = providers.List(merchants, purchases, relaying, scheduling, measuring)


def build_container(**handed_in: Any) -> WorkerContainer:
    """This will wire a worker from its opened resources, its price book and its metrics."""
    return WorkerContainer(**handed_in)
