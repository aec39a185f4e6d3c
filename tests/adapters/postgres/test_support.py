"""What operators ask, and what the other adapters rely on, beyond the storage ports."""

from dataclasses import replace
from datetime import timedelta

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.outbox import PostgresOutbox
from billing_adapters.postgres.support import Backlog, PostgresSupport
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_core.domain.packs import TrialTerms
from billing_core.domain.purchases import ARCHIVED_AFTER, PurchaseStatus
from billing_core.domain.reviews import NO_REVIEW, ReviewFinding
from billing_core.domain.trials import TrialStatus, start_trial
from billing_core.ports.storage import ParkedMessage
from billing_core.testing.builders import a_grant, a_merchant, a_purchase, a_trial, an_id, an_origin
from billing_core.testing.clock import MOMENT


class TestPostgresSupport:
    async def test_a_purchase_is_found_without_its_merchant(self, database: Database) -> None:
        """Live or archived, its id is enough; an unknown id finds nothing."""
        merchant = a_merchant()
        live, old = a_purchase(merchant), a_purchase(merchant, status=PurchaseStatus.EXPIRED)
        async with PostgresUnits(database)() as uow:
            await uow.merchants.add([merchant])
            await uow.purchases.add([live, old])
            assert await uow.purchases.archive(MOMENT + ARCHIVED_AFTER, 10) == 1
            await uow.commit()
        support = PostgresSupport(database)

        assert await support.find_purchase(live.purchase_id) == live
        assert await support.find_purchase(old.purchase_id) == old
        assert await support.find_purchase(an_id()) is None

    async def test_purchases_are_listed_by_what_is_asked(self, database: Database) -> None:
        """Merchant, status and review narrow the list, newest first, up to the limit."""
        one, other = a_merchant(), a_merchant()
        pending, expired = a_purchase(one), a_purchase(one, status=PurchaseStatus.EXPIRED)
        odd = replace(
            a_purchase(other), review=NO_REVIEW.adding(ReviewFinding(reason="the platform reports another amount"))
        )
        async with PostgresUnits(database)() as uow:
            await uow.merchants.add([one, other])
            await uow.purchases.add([pending, expired, odd])
            await uow.commit()
        support = PostgresSupport(database)

        assert await support.list_purchases() == [odd, expired, pending]
        assert await support.list_purchases(one.merchant_id, limit=1) == [expired]
        assert await support.list_purchases(status=PurchaseStatus.PENDING) == [odd, pending]
        assert await support.list_purchases(needs_review=True) == [odd]
        assert await support.list_purchases(needs_review=False) == [expired, pending]

    async def test_open_purchases_are_found_page_by_page(self, database: Database) -> None:
        """Oldest first: those of the merchant and the age asked for, after the last one seen; none that is over."""
        one, other = a_merchant(), a_merchant()
        first, over = a_purchase(one), a_purchase(one, status=PurchaseStatus.EXPIRED)
        second, third = a_purchase(other), a_purchase(one, created_at=MOMENT + timedelta(hours=1))
        async with PostgresUnits(database)() as uow:
            await uow.merchants.add([one, other])
            await uow.purchases.add([third, second, over, first])
            await uow.commit()
        support = PostgresSupport(database)

        assert await support.open_purchases() == [first, second, third]
        assert await support.open_purchases(one.merchant_id) == [first, third]
        assert await support.open_purchases(created_before=MOMENT) == [first, second]
        assert await support.open_purchases(limit=1) == [first]
        assert await support.open_purchases(after=first.purchase_id, limit=1) == [second]

    async def test_trials_and_history_are_found(self, database: Database) -> None:
        """All of a merchant's trials, newest first, and the history of one by its id alone."""
        merchant = a_merchant()
        refused = a_trial(merchant, status=TrialStatus.REFUSED, started_at=MOMENT - timedelta(days=1))
        started = start_trial(an_id(), merchant, TrialTerms(), MOMENT, an_origin())
        async with PostgresUnits(database)() as uow:
            await uow.merchants.add([merchant])
            await uow.trials.add([refused, started.trial])
            await uow.journal.record(started.changes)
            await uow.commit()
        support = PostgresSupport(database)

        assert await support.trials_of(merchant.merchant_id) == [started.trial, refused]
        assert [each.what for each in await support.find_history(started.trial.trial_id)] == ["started"]
        assert await support.find_history(an_id()) == []

    async def test_grants_are_found_newest_first(self, database: Database) -> None:
        """Those of the merchant alone, and the history of one by its id."""
        merchant, other = a_merchant(), a_merchant()
        older, newer = a_grant(merchant), a_grant(merchant, granted_at=MOMENT + timedelta(hours=1))
        async with PostgresUnits(database)() as uow:
            await uow.merchants.add([merchant, other])
            for each in (newer, older, a_grant(other)):
                await uow.grants.add(each)
            await uow.journal.record([older.change(an_origin())])
            await uow.commit()
        support = PostgresSupport(database)

        assert await support.grants_of(merchant.merchant_id) == [newer, older]
        assert [each.what for each in await support.find_history(older.grant_id)] == ["granted"]

    async def test_the_backlog_counts_what_waits(self, database: Database) -> None:
        """Published events are no backlog."""
        merchant = a_merchant()
        started = start_trial(an_id(), merchant, TrialTerms(), MOMENT, an_origin())
        support, outbox = PostgresSupport(database), PostgresOutbox(database)
        async with PostgresUnits(database)() as uow:
            await uow.merchants.add([merchant])
            await uow.journal.record(started.changes)
            await uow.commit()

        waiting = await support.unpublished_count_and_oldest()
        events = await outbox.unpublished(10)
        await outbox.mark_published([each.event_id for each in events], MOMENT)

        assert waiting.events == 1
        assert waiting.oldest_at is not None
        assert await support.unpublished_count_and_oldest() == Backlog(events=0, oldest_at=None)


class TestParkedMessages:
    async def test_nothing_a_stranger_wrote_stops_a_message_from_being_kept(self, database: Database) -> None:
        """NUL and lone surrogates in reason and subject are replaced, in headers kept, and the bytes are untouched."""
        message = ParkedMessage(
            parked_id=an_id(),
            source="source",
            message_id="m\0",
            subject="evt.\ud800",
            body=b"\0\xff\xd8",
            headers={"a\0": "\ud800"},
            reason="no \0 wanted \U0001f600" * 1000,
            parked_at=MOMENT,
        )

        async with PostgresUnits(database)() as uow:
            await uow.parked.add([message])
            kept = await uow.parked.get(message.parked_id)

        assert kept is not None
        assert (kept.body, kept.headers) == (message.body, message.headers)
        assert kept.reason == message.reason.replace("\0", "\ufffd")
        assert kept.message_id == "m\ufffd"
