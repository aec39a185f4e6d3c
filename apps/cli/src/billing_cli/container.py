"""The command line's wiring: one flat, synchronous container around the resources a command opens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from dependency_injector import containers, providers

from billing_adapters.clock import SystemClock, new_id
from billing_adapters.nats.publisher import NatsEventPublisher, NatsMessageSender
from billing_adapters.postgres.housekeeping import PostgresHousekeeping
from billing_adapters.postgres.job_runs import PostgresJobRuns
from billing_adapters.postgres.leadership import PostgresLeadership
from billing_adapters.postgres.outbox import PostgresOutbox
from billing_adapters.postgres.privacy import PostgresMerchantData
from billing_adapters.postgres.published import PostgresPublishedEvents
from billing_adapters.postgres.records import PostgresRecords
from billing_adapters.postgres.reports import PostgresReports
from billing_adapters.postgres.support import PostgresSupport
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_adapters.redis.replay_cache import RedisReplayCache
from billing_adapters.resources import Resources, open_resources
from billing_adapters.settings import Settings, load_settings
from billing_cli.quiet import quiet_logs
from billing_core.use_cases.ask_platforms import AskPlatforms
from billing_core.use_cases.check_purchases import CheckPurchases
from billing_core.use_cases.drop_parked import DropParked
from billing_core.use_cases.export_merchant import ExportMerchant
from billing_core.use_cases.export_purchases import ExportPurchases
from billing_core.use_cases.grant_credits import GrantCredits
from billing_core.use_cases.operate_purchases import OperatePurchases
from billing_core.use_cases.operate_trials import OperateTrials
from billing_core.use_cases.redact_merchants import RedactMerchants
from billing_core.use_cases.replay_parked import ReplayParked
from billing_core.use_cases.report_sales import ReportSales
from billing_core.use_cases.schedule import scheduled_jobs
from billing_core.use_cases.settle_purchases import SettlePurchases


class CliContainer(containers.DeclarativeContainer):
    """Everything a command may use; nothing is built before it is asked for."""

    settings: providers.Dependency[Settings] = providers.Dependency(instance_of=Settings)
    resources: providers.Dependency[Resources] = providers.Dependency(instance_of=Resources)

    clock = providers.Singleton(SystemClock)
    pseudonyms = settings.provided.pseudonyms
    price_book = providers.Singleton(Settings.load_price_book, settings)

    database = resources.provided.database
    platforms = resources.provided.platforms.by_name
    units = providers.Singleton(PostgresUnits, database)
    records = providers.Singleton(PostgresRecords, database)
    support = providers.Singleton(PostgresSupport, database)
    reports = providers.Singleton(PostgresReports, database)
    data = providers.Singleton(PostgresMerchantData, database)
    outbox = providers.Singleton(PostgresOutbox, database)
    published = providers.Singleton(PostgresPublishedEvents, database)
    housekeeping = providers.Singleton(PostgresHousekeeping, database)
    leadership = providers.Singleton(PostgresLeadership, database)
    job_runs = providers.Singleton(PostgresJobRuns, database)
    replays = providers.Singleton(RedisReplayCache, resources.provided.redis)
    publisher = providers.Singleton(NatsEventPublisher, resources.provided.nats)
    sender = providers.Singleton(NatsMessageSender, resources.provided.nats)

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
        relay_lanes=settings.provided.relay_lanes,
    )
    ask = providers.Singleton(AskPlatforms, platforms=platforms)
    settle = providers.Singleton(
        SettlePurchases, units=units, price_book=price_book, clock=clock, pseudonyms=pseudonyms
    )
    check = providers.Singleton(CheckPurchases, units=units, ask=ask, settle=settle, platforms=platforms)
    operate = providers.Singleton(
        OperatePurchases, units=units, platforms=platforms, ask=ask, check=check, settle=settle, clock=clock
    )
    operate_trials = providers.Singleton(OperateTrials, units=units, price_book=price_book, clock=clock, new_id=new_id)
    grant_credits = providers.Singleton(GrantCredits, units=units, price_book=price_book)
    report_sales = providers.Singleton(ReportSales, reports=reports)
    export_purchases = providers.Singleton(ExportPurchases, reports=reports)
    export_merchant = providers.Singleton(ExportMerchant, data=data, clock=clock)
    redact_merchants = providers.Singleton(
        RedactMerchants, units=units, data=data, replays=replays, clock=clock, new_id=new_id, pseudonyms=pseudonyms
    )
    replay_parked = providers.Singleton(ReplayParked, units=units, sender=sender, clock=clock)
    drop_parked = providers.Singleton(DropParked, units=units, clock=clock)


def build_container(**handed_in: Any) -> CliContainer:
    """This will wire a command from its settings and opened resources."""
    return CliContainer(**handed_in)


@asynccontextmanager
async def open_container() -> AsyncIterator[CliContainer]:
    """This will read the configuration, open the resources, and give the wired container.

    Raises InvalidConfiguration. A server that is away is no error before it is needed.
    """
    quiet_logs()
    settings = load_settings()
    async with open_resources(settings, app="cli", every_merchant=True) as resources:
        yield build_container(settings=settings, resources=resources)
