"""A redacted merchant is nobody one could name, and the ledger is what it was."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.use_cases.gone_shop import (
    BY,
    DAY,
    GID,
    IDENTITY,
    LONG_AFTER,
    MERCHANT_ID,
    NEW_ID,
    OTHER_GID,
    RETURN_URL,
    THIRD_GID,
    a_gone_shop,
    a_shop,
    some_billing,
)

from billing_core.domain.pseudonyms import Pseudonyms, is_pseudonym
from billing_core.domain.purchases import Purchase
from billing_core.domain.sales import Period, SalesQuestion
from billing_core.errors import (
    MerchantNotFound,
    PurchasesStillPayable,
    RedactionNotConfigured,
    StorageConflict,
    TrialAlreadyUsed,
)
from billing_core.messages import decode_event
from billing_core.testing import InMemoryBilling, a_caller, a_merchant_created, a_purchase_updated
from billing_core.testing.memory.tables import Tables
from billing_core.testing.strategies import purchases
from billing_core.use_cases.create_purchase import PurchaseRequest
from billing_core.use_cases.inbound import Done, Parked
from billing_core.use_cases.redact_merchants import MOST_ROUNDS, RedactMerchants, _Sweep

EVER = Period(since=datetime(1970, 1, 1, tzinfo=UTC), until=datetime(2200, 1, 1, tzinfo=UTC))


@pytest.fixture
def billing() -> InMemoryBilling:
    """Billing that sells to shops."""
    return some_billing()


def named_in(billing: InMemoryBilling) -> Mapping[str, Sequence[str]]:
    """Where something of the shop's identity still stands: the names, by table, and in the cache."""
    tables = {each.name: getattr(billing.storage.tables, each.name) for each in fields(Tables)}
    texts = {name: repr(rows).lower() for name, rows in tables.items() if name != "runs"}
    texts["cache"] = repr(billing.replays._remembered).lower()
    found = {table: [name for name in IDENTITY if name.lower() in text] for table, text in texts.items()}
    return {table: names for table, names in found.items() if names}


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
        await _redacting(billing, billing.storage.data, page=page).merchant(MERCHANT_ID, BY)

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


class TestComingBack:
    async def test_under_its_own_id_it_gets_no_second_trial(self, billing: InMemoryBilling) -> None:
        """It is known again by its pseudonym, has its names again, and can buy."""
        shop = await a_gone_shop(billing)
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)

        outcome = await billing.register_merchants([a_merchant_created(shop.merchant)])

        assert outcome == [Done()]
        assert billing.storage.tables.merchants[MERCHANT_ID] == shop.merchant
        with pytest.raises(TrialAlreadyUsed):
            await billing.activate_trial(shop.caller, "k-2")
        await billing.pay(await billing.buy(shop.caller))
        assert list(billing.storage.tables.trial_claims) == [shop.account]

    async def test_under_another_id_it_gets_no_second_trial(self, billing: InMemoryBilling) -> None:
        """Nor is it told that it could have one."""
        await a_gone_shop(billing)
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)
        caller = await billing.register(a_shop(NEW_ID))

        shown = [(await billing.read.trial(caller)).status, (await billing.read.overview(caller)).trial.status]

        assert shown == ["refused", "refused"]
        with pytest.raises(TrialAlreadyUsed):
            await billing.activate_trial(caller, "k-2")

    async def test_gone_and_back_many_times_it_has_had_one_trial(self, billing: InMemoryBilling) -> None:
        """However often, and under however many ids."""
        await a_gone_shop(billing)
        for number in range(3):
            await billing.redact_merchants.shops([("shopify", GID)], BY)
            caller = await billing.register(a_shop(f"m-again-{number}"))
            with pytest.raises(TrialAlreadyUsed):
                await billing.activate_trial(caller, "k")

        assert len(billing.storage.tables.trial_claims) == 1

    async def test_a_shop_that_had_no_trial_may_still_have_its_one(self, billing: InMemoryBilling) -> None:
        """Nothing was claimed, so nothing is remembered."""
        await billing.register(a_shop())
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)
        caller = await billing.register(a_shop(NEW_ID))

        answered = await billing.activate_trial(caller, "k")

        assert answered.answer.outcome == "created"

    async def test_an_old_announcement_told_again_brings_nothing_back(self, billing: InMemoryBilling) -> None:
        """Streams are read again after a restore; who was redacted stays it."""
        announcement = a_merchant_created(a_shop(), message_id="first")
        await billing.register_merchants([announcement])
        await billing.activate_trial(a_caller(a_shop()), "k")
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)
        after = repr(billing.storage.tables.merchants) + repr(billing.storage.tables.trial_claims)

        outcome = await billing.register_merchants([announcement])

        assert outcome == [Done()]
        assert repr(billing.storage.tables.merchants) + repr(billing.storage.tables.trial_claims) == after

    async def test_another_shop_under_its_id_is_refused_as_ever(self, billing: InMemoryBilling) -> None:
        """The pseudonym knows the one shop alone; and nobody is announced by a pseudonym."""
        await a_gone_shop(billing)
        redaction = await billing.redact_merchants.merchant(MERCHANT_ID, BY)

        outcomes = await billing.register_merchants(
            [
                a_merchant_created(a_shop(), platform_account_id=OTHER_GID),
                a_merchant_created(a_shop("m-3"), platform_account_id=redaction.after.platform_account_id),
            ]
        )

        assert [type(each) for each in outcomes] == [Parked, Parked]
        assert billing.storage.tables.merchants == {MERCHANT_ID: redaction.after}

    async def test_without_its_key_a_worker_knows_nobody_again(self, billing: InMemoryBilling) -> None:
        """It parks the announcement instead of giving anything away."""
        await a_gone_shop(billing)
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)
        keyless = some_billing(billing.clock, storage=billing.storage, pseudonyms=None)

        (outcome,) = await keyless.register_merchants([a_merchant_created(a_shop())])

        assert isinstance(outcome, Parked)


class TestOneOfTwo:
    async def test_the_trial_of_a_shop_that_is_still_there_stays_claimed(self, billing: InMemoryBilling) -> None:
        """One of its merchants is redacted; the other goes on under the shop's name, without a second trial."""
        await a_gone_shop(billing)
        other = await billing.register(a_shop(NEW_ID))

        await billing.redact_merchants.merchant(MERCHANT_ID, BY)

        assert list(billing.storage.tables.trial_claims) == [("shopify", GID)]
        assert billing.storage.tables.merchants[NEW_ID].is_same_shop(a_shop(NEW_ID))
        with pytest.raises(TrialAlreadyUsed):
            await billing.activate_trial(other, "k")

    async def test_and_once_both_are_gone_too(self, billing: InMemoryBilling) -> None:
        """With the last one the name of the claim goes, and the shop is known again all the same."""
        await a_gone_shop(billing)
        await billing.register(a_shop(NEW_ID))
        for each in (MERCHANT_ID, NEW_ID):
            await billing.redact_merchants.merchant(each, BY)
        assert named_in(billing) == {}
        caller = await billing.register(a_shop("m-0003"))

        with pytest.raises(TrialAlreadyUsed):
            await billing.activate_trial(caller, "k")

    async def test_a_shop_is_redacted_under_every_id(self, billing: InMemoryBilling) -> None:
        """Those redacted before among them, and no other shop."""
        await a_gone_shop(billing)
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)
        await billing.register(a_shop(NEW_ID))
        await billing.register(other := a_shop("m-other", platform_account_id=THIRD_GID, platform_domain="o.example"))

        redactions = await billing.redact_merchants.shops([("shopify", GID), ("shopify", "nobody")], BY)

        assert [each.before.merchant_id for each in redactions] == [MERCHANT_ID, NEW_ID]
        assert named_in(billing) == {}
        assert billing.storage.tables.merchants["m-other"].is_same_shop(other)


class TestPaymentsAfterwards:
    @pytest.mark.parametrize("account", [None, GID])
    async def test_a_late_payment_still_gives_its_credits(self, billing: InMemoryBilling, account: str | None) -> None:
        """Its notice is known by the platform's reference, whether it names the shop or not; nobody is asked."""
        shop = await a_gone_shop(billing)
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)
        reference = str(shop.unpaid.platform_reference)
        billing.platform.pay(reference)

        outcome = await _notified(billing, reference, account)

        settled = billing.storage.tables.purchases[shop.unpaid.id]
        assert outcome == Done()
        assert (settled.status, settled.needs_review) == ("completed", False)
        assert "evt.billing.credits.purchased" in [each.type for each in await billing.events()][-1:]
        assert named_in(billing) == {}

    async def test_the_platform_is_asked_under_the_name_its_notice_tells(self, billing: InMemoryBilling) -> None:
        """And at the domain, where the message has one: both are kept nowhere."""
        shop = await a_gone_shop(billing)
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)
        reference = str(shop.unpaid.platform_reference)

        await _notified(billing, reference, GID, platform_domain="janes-shop.myshopify.com")

        asked = billing.platform.calls_of("look_up")[-1].account
        assert asked is not None
        assert (asked.platform_account_id, asked.platform_domain) == (GID, "janes-shop.myshopify.com")
        assert named_in(billing) == {}

    async def test_another_accounts_notice_is_still_not_its_own(self, billing: InMemoryBilling) -> None:
        """It is parked, as before."""
        shop = await a_gone_shop(billing)
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)
        billing.platform.pay(str(shop.unpaid.platform_reference))

        outcome = await _notified(billing, str(shop.unpaid.platform_reference), OTHER_GID)

        assert outcome == Parked(reason="the notice names another account than the payment's")
        assert not billing.storage.tables.purchases[shop.unpaid.id].is_paid

    async def test_a_payment_by_another_account_still_needs_a_person(self, billing: InMemoryBilling) -> None:
        """A pseudonym is no way around the account's check."""
        shop = await a_gone_shop(billing)
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)
        billing.platform.pay(str(shop.unpaid.platform_reference), account_id=OTHER_GID)

        await _notified(billing, str(shop.unpaid.platform_reference), None)

        assert billing.storage.tables.purchases[shop.unpaid.id].needs_review

    async def test_a_refund_still_takes_credits_back(self, billing: InMemoryBilling) -> None:
        """Told by a notice, of a live purchase and of an archived one."""
        shop = await a_gone_shop(billing)
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)
        for each in (shop.paid, shop.old):
            billing.platform.refund(str(each.platform_reference), 500)

            assert await _notified(billing, str(each.platform_reference), GID) == Done()

        tables = billing.storage.tables
        assert [tables.purchases[each.id].refunded_minor for each in (shop.paid, shop.old)] == [2500, 500]

    async def test_a_refund_that_is_read_still_takes_credits_back(self) -> None:
        """The Partner API names the shop, which is known by its pseudonym."""
        billing = some_billing()
        billing.platform.tells_refunds = False
        billing._wire_jobs()
        shop = await a_gone_shop(billing)
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)
        billing.platform.refund(str(shop.paid.platform_reference), 500)

        await billing.follow_refunds()

        assert billing.storage.tables.purchases[shop.paid.id].refunded_minor == 2500

    async def test_what_is_open_is_still_looked_after(self, billing: InMemoryBilling) -> None:
        """A payment whose notice was lost is found; what nobody paid is ended."""
        caller = await billing.register(a_shop())
        paid, unpaid = await billing.buy(caller, "large"), await billing.buy(caller, "small")
        billing.clock.advance(LONG_AFTER)
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)
        billing.platform.pay(str(paid.platform_reference))

        await billing.expire_purchases()

        tables = billing.storage.tables
        assert [tables.purchases[each.id].status for each in (paid, unpaid)] == ["completed", "expired"]

    async def test_a_shop_that_came_back_still_owns_what_it_bought_before(self, billing: InMemoryBilling) -> None:
        """Old purchases go on under the pseudonym, new ones under the name; both settle."""
        shop = await a_gone_shop(billing)
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)
        await billing.register_merchants([a_merchant_created(shop.merchant)])

        assert await billing.pay(shop.unpaid) == Done()
        assert await billing.pay(await billing.buy(shop.caller)) == Done()

        assert [each.status for each in billing.storage.tables.purchases.values() if each.needs_review] == []
        assert billing.storage.tables.purchases[shop.unpaid.id].is_paid


class TestRaces:
    async def test_what_changes_again_and_again_is_left_to_the_next_time(self, billing: InMemoryBilling) -> None:
        """Whoever writes as fast as we redact does not keep us for ever."""
        saved: list[object] = []

        async def pages() -> AsyncIterator[list[int]]:
            yield [1]

        async def save(_: object, rows: object) -> None:
            saved.append(rows)

        changed = await _Sweep(billing.storage.units, dry_run=False)(pages, lambda row: row + 1, save)

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
            await _redacting(billing, Late()).merchant(MERCHANT_ID, BY)

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
            await _redacting(billing, Buying()).merchant(MERCHANT_ID, BY)

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

        await _redacting(billing, Archiving()).merchant(MERCHANT_ID, BY)

        assert named_in(billing) == {}


def _redacting(billing: InMemoryBilling, data: Any, **values: Any) -> RedactMerchants:
    """The use case, on what is told so of the merchant."""
    return RedactMerchants(
        units=billing.storage.units,
        data=data,
        replays=billing.replays,
        clock=billing.clock,
        new_id=billing.new_id,
        pseudonyms=billing.pseudonyms,
        **values,
    )


async def _notified(billing: InMemoryBilling, reference: str, account: str | None, **data: Any) -> Any:
    payload = {"reference": reference} | ({} if account is None else {"account": account})
    (outcome,) = await billing.handle_webhooks([a_purchase_updated(platform="shopify", payload=payload, **data)])
    return outcome


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
