"""Every job, wired from its ports, in the order one tick runs them."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from billing_core.domain.packs import PriceBook
from billing_core.domain.pseudonyms import Pseudonyms
from billing_core.ports.clock import Clock
from billing_core.ports.idempotency import ReplayCache
from billing_core.ports.platforms import PaymentPlatform, RefundSource
from billing_core.ports.publishing import EventPublisher
from billing_core.ports.storage import Housekeeping, JobRuns, Leadership, OpenUnitOfWork, Outbox
from billing_core.use_cases.archive_purchases import ArchivePurchases
from billing_core.use_cases.ask_platforms import AskPlatforms
from billing_core.use_cases.check_purchases import CheckPurchases, ExpirePurchases, ReconcilePurchases
from billing_core.use_cases.expire_trials import ExpireTrials, RemindTrials
from billing_core.use_cases.follow_refunds import FollowRefunds
from billing_core.use_cases.jobs import Job, ScheduledJob
from billing_core.use_cases.purge_idempotency import PurgeIdempotency
from billing_core.use_cases.relay_events import RelayEvents
from billing_core.use_cases.settle_purchases import SettlePurchases

_OFTEN, _HOURLY, _DAILY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def scheduled_jobs(
    *,
    units: OpenUnitOfWork,
    outbox: Outbox,
    publisher: EventPublisher,
    housekeeping: Housekeeping,
    replays: ReplayCache,
    leadership: Leadership,
    runs: JobRuns,
    platforms: Mapping[str, PaymentPlatform],
    refund_sources: Sequence[RefundSource],
    price_book: PriceBook,
    clock: Clock,
    pseudonyms: Pseudonyms | None = None,
    relay_lanes: int = 1,
) -> tuple[ScheduledJob, ...]:
    """This will give every job with its name and interval (contract §6)."""
    settle = SettlePurchases(units=units, price_book=price_book, clock=clock, pseudonyms=pseudonyms)
    ask = AskPlatforms(platforms=platforms)
    check = CheckPurchases(units=units, ask=ask, settle=settle, platforms=platforms)
    relay = RelayEvents(outbox=outbox, publisher=publisher, leadership=leadership, clock=clock, lanes=relay_lanes)
    reconcile = ReconcilePurchases(units=units, check=check, clock=clock)
    expire = ExpirePurchases(units=units, check=check, clock=clock)
    follow = FollowRefunds(
        sources=refund_sources, units=units, ask=ask, settle=settle, runs=runs, clock=clock, pseudonyms=pseudonyms
    )
    return (
        _job(relay, _OFTEN, "publish what waits in the outbox (workers also do so all the time)"),
        _job(reconcile, _OFTEN, "ask platforms about open purchases whose notice may be lost"),
        _job(expire, _OFTEN, "end purchases nobody paid in time, after asking their platform"),
        *([_job(follow, _HOURLY, "take credits back for refunds that no notice tells of")] if refund_sources else []),
        _job(RemindTrials(units=units, clock=clock), _OFTEN, "announce trials that end soon"),
        _job(ExpireTrials(units=units, clock=clock), _DAILY, "expire trials whose end has come"),
        _job(ArchivePurchases(units=units, clock=clock), _DAILY, "move purchases that ended 90 days ago away"),
        _job(
            PurgeIdempotency(housekeeping=housekeeping, replays=replays, clock=clock),
            _HOURLY,
            "forget keys older than 24 hours",
        ),
    )


class _NamedJob(Job, Protocol):
    name: str


def _job(run: _NamedJob, every: timedelta, about: str) -> ScheduledJob:
    return ScheduledJob(name=run.name, every=every, run=run, about=about)
