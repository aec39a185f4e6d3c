"""What others do to a merchant in the moment it is redacted."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from tests.core.use_cases.gone_shop import (
    BY,
    DAY,
    MERCHANT_ID,
    a_gone_shop,
    a_shop,
    named_in,
    redacting,
    some_billing,
)

from billing_core.errors import (
    PurchasesStillPayable,
    StorageConflict,
)
from billing_core.testing import InMemoryBilling, a_merchant_created
from billing_core.use_cases.sweep_rows import MOST_ROUNDS, Sweep


@pytest.fixture
def billing() -> InMemoryBilling:
    """Billing that sells to shops."""
    return some_billing()


class TestRaces:
    async def test_what_changes_again_and_again_is_left_to_the_next_time(self, billing: InMemoryBilling) -> None:
        """Whoever writes as fast as we redact does not keep us for ever."""
        saved: list[object] = []

        async def pages() -> AsyncIterator[list[int]]:
            yield [1]

        async def save(_: object, rows: object) -> None:
            saved.append(rows)

        changed = await Sweep(billing.storage.units, dry_run=False)(pages, lambda row: row + 1, save)

        assert changed == len(saved) == MOST_ROUNDS

    async def test_a_merchant_announced_again_in_the_same_moment_is_left_alone(self, billing: InMemoryBilling) -> None:
        """Its account has its name again: whoever asked looks at it again."""
        await a_gone_shop(billing)
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)
        data = billing.storage.data

        class Late:
            """Tells of the merchant as it was when it was asked, and lets it come back."""

            def __getattr__(self, name: str) -> Any:
                return getattr(data, name)

            async def merchant(self, merchant_id: str) -> Any:
                before = await data.merchant(merchant_id)
                await billing.register_merchants([a_merchant_created(a_shop())])
                return before

        with pytest.raises(StorageConflict):
            await redacting(billing, Late()).merchant(MERCHANT_ID, BY)

        assert not billing.storage.tables.merchants[MERCHANT_ID].is_redacted

    async def test_a_purchase_opened_while_parked_messages_are_emptied_puts_it_off(
        self, billing: InMemoryBilling
    ) -> None:
        """What is true when its record is held counts."""
        caller = await billing.register(a_shop())
        data = billing.storage.data

        class Buying:
            """Has the merchant buy something in between."""

            def __getattr__(self, name: str) -> Any:
                return getattr(data, name)

            async def parked(self, *wanted: Any) -> Any:
                await billing.buy(caller)
                return await data.parked(*wanted)

        with pytest.raises(PurchasesStillPayable):
            await redacting(billing, Buying()).merchant(MERCHANT_ID, BY)

        assert not billing.storage.tables.merchants[MERCHANT_ID].is_redacted

    async def test_a_purchase_archived_meanwhile_is_redacted_in_the_next_round(self, billing: InMemoryBilling) -> None:
        """What was not where it was looked for is found when everything is looked through again."""
        shop = await a_gone_shop(billing)
        billing.clock.advance(91 * DAY)
        data, archive = billing.storage.data, billing.archive_purchases

        class Archiving:
            """Tells nothing of what is being moved the first time it is asked."""

            def __init__(self) -> None:
                self.asked = 0

            def __getattr__(self, name: str) -> Any:
                return getattr(data, name)

            async def purchases(self, merchant_id: str, after: UUID | None, limit: int) -> Any:
                self.asked += 1
                found = await data.purchases(merchant_id, after, limit)
                if self.asked == 1:
                    await archive()
                    return [each for each in found if each.purchase.purchase_id != shop.paid.id]
                return found

        await redacting(billing, Archiving()).merchant(MERCHANT_ID, BY)

        assert named_in(billing) == {}
