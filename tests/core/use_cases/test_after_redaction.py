"""After a redaction: a shop that comes back is known again, and what is paid late is still its."""

from typing import Any

import pytest
from tests.core.use_cases.gone_shop import (
    BY,
    GID,
    LONG_AFTER,
    MERCHANT_ID,
    NEW_ID,
    OTHER_GID,
    THIRD_GID,
    a_gone_shop,
    a_shop,
    named_in,
    some_billing,
)

from billing_core.errors import (
    TrialAlreadyUsed,
)
from billing_core.testing import InMemoryBilling, a_caller, a_merchant_created, a_purchase_updated
from billing_core.use_cases.inbound import Done, Parked


@pytest.fixture
def billing() -> InMemoryBilling:
    """Billing that sells to shops."""
    return some_billing()


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


async def _notified(billing: InMemoryBilling, reference: str, account: str | None, **data: Any) -> Any:
    payload = {"reference": reference} | ({} if account is None else {"account": account})
    (outcome,) = await billing.handle_webhooks([a_purchase_updated(platform="shopify", payload=payload, **data)])
    return outcome
