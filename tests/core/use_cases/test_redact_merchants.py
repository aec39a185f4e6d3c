"""A redacted merchant is nobody one could name, and the ledger is what it was."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.use_cases.gone_shop import (
    BY,
    DOMAIN,
    GID,
    MERCHANT_ID,
    RETURN_URL,
    THIRD_GID,
    a_gone_shop,
    a_shop,
    named_in,
    redacting,
    some_billing,
)

from billing_core.domain.pseudonyms import REDACTED, Pseudonyms, is_pseudonym
from billing_core.domain.purchases import Purchase
from billing_core.domain.sales import Period, SalesQuestion
from billing_core.errors import (
    MerchantNotFound,
    PurchasesStillPayable,
    RedactionNotConfigured,
)
from billing_core.messages import decode_event
from billing_core.testing import InMemoryBilling, a_merchant_created
from billing_core.testing.memory.tables import Tables
from billing_core.testing.strategies import purchases
from billing_core.use_cases.create_purchase import PurchaseRequest

EVER = Period(since=datetime(1970, 1, 1, tzinfo=UTC), until=datetime(2200, 1, 1, tzinfo=UTC))


@pytest.fixture
def billing() -> InMemoryBilling:
    """Billing that sells to shops."""
    return some_billing()


async def ledger(billing: InMemoryBilling) -> Any:
    """Everything that must be as it was: figures, statuses, references, claims, history and events, without names."""
    tables = billing.storage.tables
    overviews = [await billing.storage.records.overview(each) for each in sorted(tables.merchants)]
    events = [json.loads(row.event.body) for row in tables.outbox.values()]
    words = ("correlationid", "traceparent")
    return {
        "sales": await billing.storage.reports.sales(SalesQuestion(period=EVER, test=True)),
        "totals": [each.totals.counts if each else None for each in overviews],
        "credits": [(each.totals.credits_purchased, each.totals.credits_reversed) for each in overviews if each],
        "payments": dict(tables.payment_claims),
        "claims": sorted(str(each) for each in tables.trial_claims.values()),
        "sequences": dict(tables.sequences),
        "history": {key: (each.what, each.status_after, each.at) for key, each in tables.changes.items()},
        "grants": {key: (each.credits, each.actor, each.granted_at) for key, each in tables.grants.items()},
        "events": [
            {name: value for name, value in each.items() if name not in words}
            | {"data": {name: value for name, value in each["data"].items() if name != "reason"}}
            for each in events
        ],
    }


class TestRedaction:
    async def test_nothing_of_its_identity_is_left_anywhere(self, billing: InMemoryBilling) -> None:
        """Not in any table, nor in the cache of answers, however it was written."""
        shop = await a_gone_shop(billing)
        assert set(named_in(billing)) >= {"merchants", "trials", "purchases", "archive", "parked", "keys", "cache"}

        redaction = await billing.redact_merchants.merchant(MERCHANT_ID, BY)

        assert named_in(billing) == {}
        assert redaction.before == shop.merchant
        assert is_pseudonym(redaction.after.platform_account_id)
        assert {name: many > 0 for name, many in redaction.figures.items()} == dict.fromkeys(redaction.figures, True)

    async def test_the_ledger_is_what_it_was(self, billing: InMemoryBilling) -> None:
        """Amounts, credits, statuses, claims, the order of events and who did what when."""
        await a_gone_shop(billing)
        before = await ledger(billing)

        await billing.redact_merchants.merchant(MERCHANT_ID, BY)

        assert await ledger(billing) == before

    async def test_nobody_else_is_touched(self, billing: InMemoryBilling) -> None:
        """Another shop's rows are byte for byte what they were."""
        other = a_shop("m-other", platform_account_id=THIRD_GID, platform_domain="other.myshopify.com")
        caller = await billing.register(other)
        await billing.activate_trial(caller, "trial")
        await billing.pay(await billing.buy(caller))
        await a_gone_shop(billing)
        tables = billing.storage.tables
        whose = {"merchants", "trials", "purchases", "archive", "grants", "changes", "keys"}
        before = {name: _rows_of(tables, name, "m-other") for name in whose}

        await billing.redact_merchants.merchant(MERCHANT_ID, BY)

        assert {name: _rows_of(tables, name, "m-other") for name in whose} == before
        assert ("shopify", THIRD_GID) in tables.trial_claims

    async def test_its_events_are_still_events(self, billing: InMemoryBilling) -> None:
        """Under the same ids, for whoever has to be told them again."""
        await a_gone_shop(billing)
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)

        kept = await billing.storage.data.events(MERCHANT_ID, 0, 99)

        assert [decode_event(each.event.body).id for each in kept] == [each.event.event_id for each in kept]
        assert len(kept) > 5

    async def test_it_is_recorded_once(self, billing: InMemoryBilling) -> None:
        """By whom, why and with which key, under the pseudonym."""
        await a_gone_shop(billing)
        for _ in range(2):
            await billing.redact_merchants.merchant(MERCHANT_ID, BY)

        (record,) = await billing.storage.data.privacy_records(MERCHANT_ID)

        assert (record.what, record.actor, record.reason) == ("redacted", BY.actor, BY.reason)
        assert record.account == billing.storage.tables.merchants[MERCHANT_ID].platform_account_id
        assert billing.pseudonyms is not None
        assert record.key_id == billing.pseudonyms.key_id

    async def test_the_record_of_it_does_not_name_the_shop(self, billing: InMemoryBilling) -> None:
        """It is kept for ever, whatever the operator wrote."""
        await a_gone_shop(billing)

        await billing.redact_merchants.merchant(MERCHANT_ID, replace(BY, reason=f"asked to by jane@{DOMAIN}"))

        (record,) = await billing.storage.data.privacy_records(MERCHANT_ID)
        assert record.reason == REDACTED
        assert named_in(billing) == {}

    async def test_twice_is_once(self, billing: InMemoryBilling) -> None:
        """The second time there is nothing left to change."""
        await a_gone_shop(billing)
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)
        after = repr(billing.storage.tables)

        again = await billing.redact_merchants.merchant(MERCHANT_ID, BY)

        assert again.changed == 0
        assert repr(billing.storage.tables) == after

    async def test_what_came_since_is_redacted_the_next_time(self, billing: InMemoryBilling) -> None:
        """A message that was parked afterwards, and that is recorded too."""
        await a_gone_shop(billing)
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)
        await billing.register_merchants([a_merchant_created(a_shop(), platform="elsewhere", email="jane@x.example")])

        again = await billing.redact_merchants.merchant(MERCHANT_ID, BY)

        assert (again.changed, again.figures["parked"]) == (1, 1)
        assert named_in(billing) == {}
        assert len(await billing.storage.data.privacy_records(MERCHANT_ID)) == 2

    async def test_parked_messages_wait_no_more(self, billing: InMemoryBilling) -> None:
        """There is nothing left of them to send again; what was given up before keeps who did."""
        await a_gone_shop(billing)
        async with billing.storage.units() as uow:
            given_up, *waiting = await uow.parked.list(9)
        await billing.drop_parked([given_up.parked_id], replace(BY, actor="operator:jo", reason="never of use"))

        await billing.redact_merchants.merchant(MERCHANT_ID, BY)

        parked = billing.storage.tables.parked
        assert {each.body for each in parked.values()} == {b""}
        assert [parked[each.parked_id].waits for each in waiting] == [False] * len(waiting)
        dropped = parked[given_up.parked_id].dropped
        assert dropped is not None
        assert (dropped.by, dropped.reason) == ("operator:jo", "never of use")

    async def test_a_reason_that_names_the_shop_goes_too(self, billing: InMemoryBilling) -> None:
        """Why a parked message was given up may name whom it was from."""
        await a_gone_shop(billing)
        async with billing.storage.units() as uow:
            (given_up, *_) = await uow.parked.list(9)
        await billing.drop_parked([given_up.parked_id], replace(BY, reason=f"sent by {GID}"))

        await billing.redact_merchants.merchant(MERCHANT_ID, BY)

        assert named_in(billing) == {}

    async def test_a_dry_run_tells_the_same_and_changes_nothing(self, billing: InMemoryBilling) -> None:
        """Not the claim either, nor the record of it."""
        await a_gone_shop(billing)
        before = repr(billing.storage.tables)

        dry = await billing.redact_merchants.merchant(MERCHANT_ID, BY, dry_run=True)
        after_dry = repr(billing.storage.tables)
        done = await billing.redact_merchants.merchant(MERCHANT_ID, BY)

        assert after_dry == before
        assert dry == done

    @pytest.mark.parametrize("page", [1, 2, 3])
    async def test_it_is_the_same_in_pages_of_any_size(self, billing: InMemoryBilling, page: int) -> None:
        """Nothing falls between two pages."""
        await a_gone_shop(billing)
        await redacting(billing, billing.storage.data, page=page).merchant(MERCHANT_ID, BY)

        assert named_in(billing) == {}

    @given(st.lists(purchases(), max_size=8))
    async def test_no_purchase_changes_what_was_sold(self, bought: list[Purchase]) -> None:
        """Of any purchases there could be: sums, credits and claims are equal before and after."""
        billing, merchant = some_billing(), a_shop()
        await billing.register(merchant)
        unique = {each.short_reference: each for each in bought}.values()
        mine = [_owned(each, merchant.merchant_id) for each in unique]
        async with billing.storage.units() as uow:
            await uow.purchases.add(mine)
            await uow.commit()
        before = await ledger(billing)

        await billing.redact_merchants.merchant(MERCHANT_ID, BY)

        assert await ledger(billing) == before
        assert named_in(billing) == {}


class TestRefusals:
    async def test_an_unknown_merchant_cannot_be_redacted(self, billing: InMemoryBilling) -> None:
        """Billing has not heard of it."""
        with pytest.raises(MerchantNotFound):
            await billing.redact_merchants.merchant("nobody", BY)

    async def test_without_a_key_nothing_is_redacted(self) -> None:
        """And told which variable to set."""
        billing = some_billing(pseudonyms=None)
        await a_gone_shop(billing)
        before = repr(billing.storage.tables)

        with pytest.raises(RedactionNotConfigured, match="set BILLING_REDACTION_KEY"):
            await billing.redact_merchants.merchant(MERCHANT_ID, BY)

        assert repr(billing.storage.tables) == before

    async def test_under_another_key_than_before_nothing_is_redacted(self, billing: InMemoryBilling) -> None:
        """Shops would be known by two pseudonyms, and so not at all."""
        await a_gone_shop(billing)
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)
        other = some_billing(billing.clock, storage=billing.storage, pseudonyms=Pseudonyms(b"another" * 8))

        with pytest.raises(RedactionNotConfigured, match="not the key that was used before"):
            await other.redact_merchants.merchant(MERCHANT_ID, BY)

    @pytest.mark.parametrize("dry_run", [True, False])
    async def test_a_purchase_that_can_still_be_paid_puts_it_off(self, billing: InMemoryBilling, dry_run: bool) -> None:
        """Until its deadline: its page names the shop, and its platform is asked by name."""
        caller = await billing.register(a_shop())
        purchase = await billing.buy(caller)
        before = repr(billing.storage.tables)

        with pytest.raises(PurchasesStillPayable, match=r"can be paid until 2026-03-04T09:30:15\.123456Z"):
            await billing.redact_merchants.merchant(MERCHANT_ID, BY, dry_run=dry_run)
        assert repr(billing.storage.tables) == before
        billing.clock.set(purchase.expires_at)
        await billing.redact_merchants.merchant(MERCHANT_ID, BY, dry_run=dry_run)

    async def test_a_redacted_merchant_buys_and_starts_nothing(self, billing: InMemoryBilling) -> None:
        """Until it is announced again it is as unknown as before it was."""
        shop = await a_gone_shop(billing)
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)

        with pytest.raises(MerchantNotFound):
            await billing.create_purchase(shop.caller, "k-1", PurchaseRequest(pack="large", return_url=RETURN_URL))
        with pytest.raises(MerchantNotFound):
            await billing.activate_trial(shop.caller, "k-2")
        assert (await billing.read.purchase(shop.caller, shop.paid.id)).id == shop.paid.id


def _rows_of(tables: Tables, name: str, merchant_id: str) -> list[str]:
    rows = getattr(tables, name).values()
    return [repr(each) for each in rows if getattr(each, "merchant_id", None) == merchant_id]


def _owned(purchase: Purchase, merchant_id: str) -> Purchase:
    """The purchase as the shop's, and past its deadline."""
    early = purchase.created_at - timedelta(days=36_500)
    return replace(
        purchase,
        merchant_id=merchant_id,
        platform="shopify",
        platform_account_id=GID,
        return_url=RETURN_URL,
        expires_at=early,
    )
