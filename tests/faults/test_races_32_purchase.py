"""Thirty-two at once over one purchase, round after round, on PostgreSQL."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from tests.faults.crowd import ROUNDS, WAYS, at_once, register, told_in

from billing_adapters.clock import SystemClock, new_id
from billing_adapters.postgres.database import Database
from billing_adapters.postgres.records import PostgresRecords
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_core.domain.packs import default_price_book
from billing_core.domain.payments import PaymentReport
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.ports.platforms import PlatformAccount
from billing_core.testing import ScriptedPlatform
from billing_core.testing.builders import a_merchant, a_purchase, a_purchase_updated
from billing_core.use_cases.ask_platforms import AskPlatforms
from billing_core.use_cases.check_purchases import CheckPurchases, ExpirePurchases, ReconcilePurchases
from billing_core.use_cases.handle_webhooks import HandleWebhooks
from billing_core.use_cases.inbound import Done
from billing_core.use_cases.settle_purchases import SettlePurchases


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
        await register(database, merchant)
        async with PostgresUnits(database)() as uow:
            await uow.purchases.add([purchase])
            await uow.purchases.claim([purchase])
            await uow.commit()
        await platform.create_checkout(purchase, PlatformAccount.of(merchant))
        platform.pays_after = chance.randint(1, WAYS // 2)
        outcomes = await at_once(lambda number: settlers.take_part(number, purchase))  # noqa: B023 - awaited here
        assert [each for each in outcomes if isinstance(each, BaseException)] == []
        settled = await records.purchase(merchant.merchant_id, purchase.purchase_id)
        assert settled is not None
        statuses[settled.status] += 1
        sold.append(merchant.merchant_id)

    told = await told_in(database)
    assert statuses == {PurchaseStatus.COMPLETED: ROUNDS}
    assert [told[each].count("evt.billing.credits.purchased") for each in sold] == [1] * ROUNDS
