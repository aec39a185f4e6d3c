"""The jobs a worker runs, and how often."""

from datetime import timedelta

from billing_core.testing import InMemoryBilling
from billing_core.use_cases.jobs import RunDueJobs, ScheduledJob
from billing_core.use_cases.schedule import scheduled_jobs


def _jobs(billing: InMemoryBilling) -> tuple[ScheduledJob, ...]:
    return scheduled_jobs(
        units=billing.storage.units,
        outbox=billing.storage.outbox,
        publisher=billing.publisher,
        housekeeping=billing.storage.housekeeping,
        replays=billing.replays,
        leadership=billing.storage.leadership,
        runs=billing.storage.runs,
        platforms=billing.platforms,
        refund_sources=(),
        price_book=billing.price_book,
        clock=billing.clock,
    )


class TestScheduledJobs:
    async def test_every_job_of_the_contract_is_there_with_its_interval(self, billing: InMemoryBilling) -> None:
        """Daily, hourly, or every minute (contract 6)."""
        minute, hour, day = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

        assert {job.name: job.every for job in _jobs(billing)} == {
            "relay-events": minute,
            "reconcile-purchases": minute,
            "expire-purchases": minute,
            "remind-trials": minute,
            "expire-trials": day,
            "archive-purchases": day,
            "purge-idempotency": hour,
        }

    async def test_one_run_catches_up_with_days_of_downtime(self, billing: InMemoryBilling) -> None:
        """Everything that became due meanwhile is done, and told (market.md 29)."""
        caller = await billing.register()
        await billing.activate_trial(caller, "trial")
        await billing.buy(caller)
        billing.clock.advance(timedelta(days=20))
        run_due = RunDueJobs(
            jobs=_jobs(billing),
            leadership=billing.storage.leadership,
            runs=billing.storage.runs,
            clock=billing.clock,
        )

        outcomes = await run_due()
        kinds = [event.type.removeprefix("evt.billing.") for event in await billing.events()]

        assert [outcome.error for outcome in outcomes] == [None] * 7
        assert kinds == ["trial.started", "purchase.created", "purchase.expired", "trial.expired"]
