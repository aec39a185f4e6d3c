"""The jobs a worker runs, and how often."""

from datetime import timedelta

from tests.core.use_cases.stored_purchases import a_bought_one, reference_of, stored

from billing_core.domain.purchases import PurchaseStatus
from billing_core.testing import FixedClock, InMemoryBilling, ScriptedPlatform
from billing_core.use_cases.jobs import RunDueJobs, ScheduledJob
from billing_core.use_cases.schedule import scheduled_jobs


def _jobs(billing: InMemoryBilling, *refund_sources: ScriptedPlatform) -> tuple[ScheduledJob, ...]:
    return scheduled_jobs(
        units=billing.storage.units,
        outbox=billing.storage.outbox,
        publisher=billing.publisher,
        housekeeping=billing.storage.housekeeping,
        replays=billing.replays,
        leadership=billing.storage.leadership,
        runs=billing.storage.runs,
        platforms=billing.platforms,
        refund_sources=refund_sources,
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

    async def test_refunds_are_followed_every_hour_where_a_source_tells_them(self, clock: FixedClock) -> None:
        """Found among the jobs by its name, it takes the credits back like any of them: wired, on time, and noted."""
        source = ScriptedPlatform(tells_refunds=False)
        billing = InMemoryBilling(clock=clock, platforms=[source])
        purchase = await a_bought_one(billing)
        await billing.pay(purchase)
        source.refund(reference_of(purchase), 6999)

        (follow,) = [job for job in _jobs(billing, source) if job.name == "follow-refunds"]
        report = await follow.run()

        assert (follow.every, report.done) == (timedelta(hours=1), 1)
        assert stored(billing, purchase).status is PurchaseStatus.REFUNDED

    async def test_every_job_says_what_it_does(self, billing: InMemoryBilling) -> None:
        """Operators read it beside the name."""
        told = [job.about for job in _jobs(billing, ScriptedPlatform(tells_refunds=False))]

        assert len(told) == 8
        assert all(told)
