"""Thirty-two at once, through the real use cases: every "once" holds, and every number follows its commit."""

import asyncio
import json
from collections import Counter

from tests.cases.workers import Workers
from tests.faults.crowd import WAYS, at_once, register

from billing_adapters.clock import SystemClock, new_id
from billing_adapters.postgres.database import Database
from billing_adapters.postgres.outbox import PostgresOutbox
from billing_adapters.postgres.records import PostgresRecords
from billing_adapters.postgres.requests import PostgresPurchaseRequests
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_core.domain.idempotency import Answer
from billing_core.domain.packs import default_price_book
from billing_core.domain.purchases import PurchaseStatus
from billing_core.domain.return_urls import ReturnUrlPolicy
from billing_core.errors import GrantCapExceeded, IdempotencyKeyInUse, TrialAlreadyUsed, TrialStillRunning
from billing_core.ports.records import PurchaseFilter
from billing_core.testing import InMemoryReplayCache, ScriptedPlatform
from billing_core.testing.builders import a_caller, a_merchant, a_purchase, a_report, a_trial, an_origin
from billing_core.use_cases.activate_trial import ActivateTrial
from billing_core.use_cases.create_purchase import CreatePurchase, PurchaseRequest
from billing_core.use_cases.grant_credits import GrantCredits, GrantOutcome
from billing_core.use_cases.operate_trials import OperateTrials, TrialOutcome
from billing_core.use_cases.settle_purchases import Settlement, SettlePurchases


def _activate(database: Database) -> ActivateTrial:
    return ActivateTrial(
        units=PostgresUnits(database),
        replays=InMemoryReplayCache(),
        price_book=default_price_book(),
        clock=SystemClock(),
        new_id=new_id,
    )


def _operate(database: Database) -> OperateTrials:
    return OperateTrials(
        units=PostgresUnits(database), price_book=default_price_book(), clock=SystemClock(), new_id=new_id
    )


class TestTrials:
    async def test_one_shop_under_many_merchant_ids_gets_one_trial(self, database: Database) -> None:
        """Thirty-two merchants of one platform account ask at once: one has a trial, the others were refused."""
        merchants = [a_merchant(platform_account_id="shop-1") for _ in range(WAYS)]
        await register(database, *merchants)
        activate = _activate(database)

        outcomes = await at_once(lambda number: activate(a_caller(merchants[number]), "key"))

        kinds = Counter(type(outcome).__name__ for outcome in outcomes)
        assert kinds == {"Answered": 1, TrialAlreadyUsed.__name__: WAYS - 1}

    async def test_one_key_many_times_is_one_trial_and_one_answer(self, database: Database) -> None:
        """The first request starts the trial; every other gets its answer."""
        merchant = a_merchant()
        await register(database, merchant)
        activate = _activate(database)

        outcomes = await at_once(lambda _: activate(a_caller(merchant), "key"))

        answers = {getattr(outcome, "answer", outcome) for outcome in outcomes}
        assert {type(answer) for answer in answers} == {Answer}
        assert len(answers) == 1
        assert [event.type for event in await PostgresOutbox(database).unpublished(10)] == ["evt.billing.trial.started"]

    async def test_regrants_and_requests_at_once_give_one_more_trial(self, database: Database) -> None:
        """Operators regrant to each merchant id of a shop while all of them ask by themselves: one new trial, the claim
        is its, and nobody meets a deadlock."""
        merchants = [a_merchant(platform_account_id="shop-1") for _ in range(WAYS // 4)]
        await register(database, *merchants)
        activate, operate = _activate(database), _operate(database)
        await activate(a_caller(merchants[0]), "key")
        await operate.end(merchants[0].merchant_id, an_origin(reason="over"))

        async def ask(number: int) -> object:
            merchant = merchants[number // 2 % len(merchants)]
            if number % 2:
                return await activate(a_caller(merchant), f"key-{number}")
            return await operate.regrant(merchant.merchant_id, an_origin(reason="a bad start"))

        outcomes = await at_once(ask)

        kinds = Counter(type(outcome).__name__ for outcome in outcomes)
        assert kinds == {
            TrialOutcome.__name__: 1,
            TrialStillRunning.__name__: WAYS // 2 - 1,
            TrialAlreadyUsed.__name__: WAYS // 2,
        }
        events = [event.type for event in await PostgresOutbox(database).unpublished(99)]
        assert events.count("evt.billing.trial.started") == 2

    async def test_a_request_that_holds_its_merchant_is_not_kept_waiting_by_a_regrant(self, database: Database) -> None:
        """The regrant waits for the merchant before it changes the claim; the other way round both would wait."""
        merchant = a_merchant(platform_account_id="shop-1")
        await register(database, merchant)
        workers = Workers(database)
        operate = workers.one.operate_trials
        await workers.one.activate_trial(a_caller(merchant), "key")
        await operate.end(merchant.merchant_id, an_origin(reason="over"))

        async with workers.storage.units() as request:
            await request.merchants.lock(merchant.merchant_id)
            regrant = asyncio.create_task(operate.regrant(merchant.merchant_id, an_origin(reason="a bad start")))
            await workers.until_waiting(1, [regrant])
            granted = await request.trials.claim(a_trial(merchant))
            await request.commit()

        assert granted is False
        assert (await regrant).trial.merchant_id == merchant.merchant_id


class TestPurchases:
    async def test_one_key_many_times_is_one_purchase(self, database: Database) -> None:
        """Whoever comes while the first runs is told so; all others get the same purchase."""
        merchant, platform = a_merchant(), ScriptedPlatform()
        await register(database, merchant)
        create = CreatePurchase(
            requests=PostgresPurchaseRequests(database),
            units=PostgresUnits(database),
            replays=InMemoryReplayCache(),
            platforms={platform.name: platform},
            price_book=default_price_book(),
            return_urls=ReturnUrlPolicy(),
            clock=SystemClock(),
            new_id=new_id,
        )
        wanted = PurchaseRequest(pack="large", return_url="https://shop.example/billing")
        caller = a_caller(merchant, platform=merchant.platform)

        outcomes = await at_once(lambda _: create(caller, "key", wanted))

        failed = [each for each in outcomes if isinstance(each, BaseException)]
        answered = [each for each in outcomes if not isinstance(each, BaseException)]
        assert {type(each) for each in failed} <= {IdempotencyKeyInUse}
        assert len({json.loads(each.answer.document)["id"] for each in answered}) == 1
        found = await PostgresRecords(database).purchases(PurchaseFilter(merchant_id=merchant.merchant_id))
        assert len(found.purchases) == 1

    async def test_one_payment_told_many_times_gives_credits_once(self, database: Database) -> None:
        """Thirty-two workers settle the same payment under different message ids: one event."""
        merchant = a_merchant()
        purchase = a_purchase(merchant)
        await register(database, merchant)
        async with PostgresUnits(database)() as uow:
            await uow.purchases.add([purchase])
            await uow.purchases.claim([purchase])
            await uow.commit()
        settle = SettlePurchases(units=PostgresUnits(database), price_book=default_price_book(), clock=SystemClock())

        def settlement(number: int) -> Settlement:
            return Settlement(
                merchant_id=merchant.merchant_id,
                purchase_id=purchase.purchase_id,
                report=a_report(purchase),
                by=an_origin(),
                message_id=f"message-{number}",
            )

        outcomes = await at_once(lambda number: settle([settlement(number)]))

        assert [each for each in outcomes if isinstance(each, BaseException)] == []
        events = await PostgresOutbox(database).unpublished(100)
        assert [event.type for event in events] == ["evt.billing.credits.purchased"]
        settled = await PostgresRecords(database).purchase(merchant.merchant_id, purchase.purchase_id)
        assert settled is not None
        assert settled.status is PurchaseStatus.COMPLETED

    async def test_numbers_follow_commits_without_gaps(self, database: Database) -> None:
        """Batches over the same merchants in any order number every merchant's events 1, 2, 3 …, and none deadlocks."""
        merchants = [a_merchant() for _ in range(4)]
        await register(database, *merchants)
        settle = SettlePurchases(units=PostgresUnits(database), price_book=default_price_book(), clock=SystemClock())

        async def buy(number: int) -> None:
            order = merchants if number % 2 else merchants[::-1]
            purchases = [a_purchase(merchant) for merchant in order]
            async with PostgresUnits(database)() as uow:
                await uow.purchases.add(purchases)
                await uow.commit()
            reports = [(each, a_report(each)) for each in purchases]
            await settle(
                [
                    Settlement(
                        merchant_id=each.merchant_id, purchase_id=each.purchase_id, report=report, by=an_origin()
                    )
                    for each, report in reports
                ]
            )

        outcomes = await at_once(buy)

        assert [each for each in outcomes if isinstance(each, BaseException)] == []
        events = await PostgresOutbox(database).unpublished(1000)
        for merchant in merchants:
            numbers = [event.sequence for event in events if event.merchant_id == merchant.merchant_id]
            assert numbers == list(range(1, len(numbers) + 1))
            assert len(numbers) >= WAYS


class TestGrants:
    async def test_one_operator_at_many_merchants_stays_within_the_day(self, database: Database) -> None:
        """Thirty-two grants of 100 credits at once: ten find room for 1000, and each has its event."""
        merchants = [a_merchant() for _ in range(WAYS)]
        await register(database, *merchants)
        grant = GrantCredits(units=PostgresUnits(database), price_book=default_price_book())
        by = an_origin(actor="operator:ada", reason="sorry")

        outcomes = await at_once(lambda number: grant(merchants[number].merchant_id, 100, new_id(), by))

        kinds = Counter(type(outcome).__name__ for outcome in outcomes)
        assert kinds == {GrantOutcome.__name__: 10, GrantCapExceeded.__name__: WAYS - 10}
        assert len(await PostgresOutbox(database).unpublished(99)) == 10

    async def test_one_id_many_times_is_one_grant(self, database: Database) -> None:
        """By as many operators as there are: one event, and everybody is told of the same grant."""
        merchant, grant_id = a_merchant(), new_id()
        await register(database, merchant)
        grant = GrantCredits(units=PostgresUnits(database), price_book=default_price_book())

        outcomes = await at_once(
            lambda number: grant(
                merchant.merchant_id, 100, grant_id, an_origin(actor=f"operator:{number}", reason="sorry")
            )
        )

        assert len({outcome.grant for outcome in outcomes if isinstance(outcome, GrantOutcome)}) == 1
        assert len(await PostgresOutbox(database).unpublished(99)) == 1


class TestInbox:
    async def test_one_message_is_new_to_one_transaction(self, database: Database) -> None:
        """Thirty-two deliveries of the same hundred messages, in any order: each is new exactly once."""
        message_ids = [f"message-{number}" for number in range(100)]

        async def record(number: int) -> frozenset[str]:
            async with PostgresUnits(database)() as uow:
                new = await uow.inbox.record("source", message_ids[:: 1 if number % 2 else -1], SystemClock().now())
                await uow.commit()
                return new

        outcomes = await at_once(record)

        assert [each for each in outcomes if isinstance(each, BaseException)] == []
        new = [message for each in outcomes if not isinstance(each, BaseException) for message in each]
        assert Counter(new) == dict.fromkeys(message_ids, 1)
