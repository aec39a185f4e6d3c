"""Thirty-two at once over one purchase, one shop's trial, one idempotency key, round after round, on PostgreSQL.

Each round is another purchase, shop or key. `RACE_ROUNDS` in the environment asks for more rounds than a hundred.
"""

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeVar

from billing_adapters.clock import SystemClock, new_id
from billing_adapters.postgres.database import Database
from billing_adapters.postgres.outbox import PostgresOutbox
from billing_adapters.postgres.records import PostgresRecords
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_core.domain.merchants import Merchant
from billing_core.domain.packs import default_price_book
from billing_core.domain.payments import PaymentReport
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.domain.return_urls import ReturnUrlPolicy
from billing_core.errors import IdempotencyKeyInUse, StorageConflict, StorageUnavailable, TrialAlreadyUsed
from billing_core.ports.platforms import PlatformAccount
from billing_core.ports.storage import PurchaseFilter
from billing_core.testing import InMemoryReplayCache, ScriptedPlatform
from billing_core.testing.builders import a_caller, a_merchant, a_purchase, a_purchase_updated
from billing_core.use_cases.activate_trial import ActivateTrial
from billing_core.use_cases.answers import Answered
from billing_core.use_cases.ask_platforms import AskPlatforms
from billing_core.use_cases.check_purchases import CheckPurchases, ExpirePurchases, ReconcilePurchases
from billing_core.use_cases.create_purchase import CreatePurchase, PurchaseRequest
from billing_core.use_cases.handle_webhooks import HandleWebhooks
from billing_core.use_cases.inbound import Done
from billing_core.use_cases.settle_purchases import SettlePurchases

WAYS = 32
ROUNDS = int(os.environ.get("RACE_ROUNDS", "100"))
# Comings of one of the thirty-two: with eight connections and one row, each waits for the others.
TRIES = 500
T = TypeVar("T")


async def _at_once(work: Callable[[int], Awaitable[T]]) -> Sequence[T | BaseException]:
    """The work, thirty-two times at once; who is told to come again does, as callers do. A conflict is no answer:
    nothing here may end in a deadlock."""

    async def again(number: int) -> T:
        for _ in range(TRIES - 1):
            try:
                return await work(number)
            except StorageConflict:
                raise
            except (StorageUnavailable, IdempotencyKeyInUse):
                await asyncio.sleep(0.02)
        return await work(number)

    return await asyncio.gather(*(again(number) for number in range(WAYS)), return_exceptions=True)


async def _register(database: Database, *merchants: Merchant) -> None:
    async with PostgresUnits(database)() as uow:
        await uow.merchants.add(merchants)
        await uow.commit()


async def _told(database: Database) -> Mapping[str, Sequence[str]]:
    """The kinds of each merchant's events, in order, whose numbers have no gap."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for event in await PostgresOutbox(database).unpublished(100 * ROUNDS):
        kinds[event.merchant_id].append(event.type)
        assert event.sequence == len(kinds[event.merchant_id])
    return kinds


def _forgetful() -> InMemoryReplayCache:
    """A cache that is away, so that everybody asks the truth."""
    cache = InMemoryReplayCache()
    cache.is_down = True
    return cache


class _Till(ScriptedPlatform):
    """A platform whose customer pays just after it was asked for the `pays_after`-th time."""

    pays_after = 0

    async def look_up(self, platform_reference: str, account: PlatformAccount, now: datetime) -> PaymentReport | None:
        """See `PaymentPlatform.look_up`."""
        report = await super().look_up(platform_reference, account, now)
        self.pays_after -= 1
        if self.pays_after == 0:
            self.pay(platform_reference)
        await asyncio.sleep(0)  # the answer is on its way while others ask
        return report


@dataclass(frozen=True, slots=True)
class _Settlers:
    """All who may find out that a purchase was paid, or say that it was not."""

    webhooks: HandleWebhooks
    reconcile: ReconcilePurchases
    expire: ExpirePurchases

    @classmethod
    def on(cls, database: Database, platform: ScriptedPlatform) -> "_Settlers":
        """Those of one process."""
        units, clock, platforms = PostgresUnits(database), SystemClock(), {platform.name: platform}
        ask = AskPlatforms(platforms=platforms)
        settle = SettlePurchases(units=units, price_book=default_price_book(), clock=clock)
        check = CheckPurchases(units=units, ask=ask, settle=settle, platforms=platforms)
        return cls(
            HandleWebhooks(units=units, platforms=platforms, ask=ask, settle=settle, clock=clock, new_id=new_id),
            ReconcilePurchases(units=units, check=check, clock=clock),
            ExpirePurchases(units=units, check=check, clock=clock),
        )

    async def take_part(self, number: int, purchase: Purchase) -> Any:
        """One of the thirty-two: two expire, two reconcile, the others are notices, each under an id of its own."""
        if number % 16 == 0:
            return await self.expire()
        if number % 16 == 1:
            return await self.reconcile()
        notice = a_purchase_updated(str(purchase.platform_reference), message_id=f"{purchase.purchase_id}-{number}")
        (outcome,) = await self.webhooks([notice])
        assert outcome == Done()
        return outcome


async def test_one_purchase_is_paid_once(database: Database) -> None:
    """Notices of one payment under different ids, the reconciler and the expiry job, while the customer pays past the
    deadline: credits are given once, whoever was told first that it was unpaid."""
    platform, chance = _Till(), Random(32)
    settlers, records, statuses, sold = _Settlers.on(database, platform), PostgresRecords(database), Counter[str](), []

    for _ in range(ROUNDS):
        merchant = a_merchant()
        purchase = a_purchase(merchant, purchase_id=new_id(), created_at=SystemClock().now() - timedelta(hours=50))
        await _register(database, merchant)
        async with PostgresUnits(database)() as uow:
            await uow.purchases.add([purchase])
            await uow.purchases.claim(purchase)
            await uow.commit()
        await platform.create_checkout(purchase, PlatformAccount.of(merchant))
        platform.pays_after = chance.randint(1, WAYS // 2)
        outcomes = await _at_once(lambda number: settlers.take_part(number, purchase))  # noqa: B023 - awaited here
        assert [each for each in outcomes if isinstance(each, BaseException)] == []
        settled = await records.purchase(merchant.merchant_id, purchase.purchase_id)
        assert settled is not None
        statuses[settled.status] += 1
        sold.append(merchant.merchant_id)

    told = await _told(database)
    assert statuses == {PurchaseStatus.COMPLETED: ROUNDS}
    assert [told[each].count("evt.billing.credits.purchased") for each in sold] == [1] * ROUNDS


async def test_one_shop_has_one_trial(database: Database) -> None:
    """Thirty-two merchants of one shop ask at once: one has its trial, and thirty-one are told that it had."""
    activate = ActivateTrial(
        units=PostgresUnits(database),
        replays=_forgetful(),
        price_book=default_price_book(),
        clock=SystemClock(),
        new_id=new_id,
    )

    for number in range(ROUNDS):
        merchants = [a_merchant(platform_account_id=f"shop-{number}") for _ in range(WAYS)]
        await _register(database, *merchants)
        outcomes = await _at_once(lambda way: activate(a_caller(merchants[way]), "key"))  # noqa: B023 - awaited here
        kinds = Counter(type(each) for each in outcomes)
        assert kinds == {Answered: 1, TrialAlreadyUsed: WAYS - 1}

    told = Counter(kind for kinds in (await _told(database)).values() for kind in kinds)
    assert told == {"evt.billing.trial.started": ROUNDS, "evt.billing.trial.refused": ROUNDS * (WAYS - 1)}


async def test_one_key_is_one_purchase(database: Database) -> None:
    """Thirty-two requests under one key, each coming again until it is answered: one purchase, one answer, and the
    platform is asked for one checkout."""
    platform = ScriptedPlatform()
    create = CreatePurchase(
        units=PostgresUnits(database),
        replays=_forgetful(),
        platforms={platform.name: platform},
        price_book=default_price_book(),
        return_urls=ReturnUrlPolicy(),
        clock=SystemClock(),
        new_id=new_id,
    )
    wanted, records = (
        PurchaseRequest(pack="large", return_url="https://shop.example/billing"),
        PostgresRecords(database),
    )

    for _ in range(ROUNDS):
        merchant = a_merchant()
        await _register(database, merchant)
        caller = a_caller(merchant)
        outcomes = await _at_once(lambda _: create(caller, "key", wanted))  # noqa: B023 - awaited here
        answers = {each.answer if isinstance(each, Answered) else each for each in outcomes}
        assert len(answers) == 1
        assert len(await records.purchases(PurchaseFilter(merchant_id=merchant.merchant_id))) == 1

    assert len(platform.calls_of("create_checkout")) == ROUNDS
    told = {tuple(kinds) for kinds in (await _told(database)).values()}
    assert told == {("evt.billing.purchase.created",)}
