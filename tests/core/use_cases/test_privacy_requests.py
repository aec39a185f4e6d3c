"""What platforms ask about people's data is done once, recorded, and never in the way of payments."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from tests.core.use_cases.gone_shop import BY, GID, MERCHANT_ID, NEW_ID, a_gone_shop, a_shop, some_billing

from billing_core.messages import InboundMessage
from billing_core.testing import InMemoryBilling, ScriptedPlatform, a_purchase_updated
from billing_core.testing.builders import again
from billing_core.use_cases.handle_webhooks import SOURCE, HandleWebhooks
from billing_core.use_cases.inbound import Done, Parked, Retry

CUSTOMER = {"account": GID, "customer": {"email": "joe@customer.example", "phone": "555-625-1199"}}


@pytest.fixture
def billing() -> InMemoryBilling:
    """Billing that sells to shops."""
    return some_billing()


def a_request(topic: str | None, payload: Mapping[str, Any] | None = None, **values: Any) -> InboundMessage:
    """What a platform asks under a topic of its own; of the shop that is gone, unless said otherwise."""
    told = {"account": GID} if payload is None else payload
    return a_purchase_updated(platform="shopify", topic=topic, payload=told, **values)


async def asked(billing: InMemoryBilling, *requests: InboundMessage) -> list[Any]:
    """What became of the requests."""
    return list(await billing.handle_webhooks(requests))


def recorded(billing: InMemoryBilling) -> list[tuple[str, str | None]]:
    """What was recorded, and about which merchant."""
    records = sorted(billing.storage.tables.privacy.values(), key=lambda each: each.record_id)
    return [(each.what, each.merchant_id) for each in records]


class TestCustomers:
    @pytest.mark.parametrize(
        ("topic", "what"),
        [
            ("customers/data_request", "customer data asked for"),
            ("customers/redact", "customer to be redacted"),
        ],
    )
    async def test_nothing_is_held_about_them_which_is_recorded(
        self, billing: InMemoryBilling, topic: str, what: str
    ) -> None:
        """Under the shop's pseudonym; of the customer not a word is kept."""
        await a_gone_shop(billing)

        outcomes = await asked(billing, a_request(topic, CUSTOMER))

        (record,) = billing.storage.tables.privacy.values()
        assert outcomes == [Done(note="nothing held about customers")]
        assert (record.what, record.reason, record.actor) == (what, "nothing held about customers", SOURCE)
        assert billing.pseudonyms is not None
        assert record.account == billing.pseudonyms.of_account("shopify", GID)
        assert "customer.example" not in repr(billing.storage.tables)
        assert not billing.storage.tables.merchants[MERCHANT_ID].is_redacted

    @pytest.mark.parametrize("payload", [{}, {"customer": CUSTOMER["customer"]}, {"account": 7}])
    async def test_one_that_names_no_shop_is_answered_all_the_same(
        self, billing: InMemoryBilling, payload: dict[str, Any]
    ) -> None:
        """Parked it would stay, with all it tells of a customer."""
        outcomes = await asked(billing, a_request("customers/redact", payload))

        assert outcomes == [Done(note="nothing held about customers")]
        assert billing.storage.tables.parked == {}
        assert [each.account for each in billing.storage.tables.privacy.values()] == [None]

    async def test_it_needs_no_key(self) -> None:
        """There is nothing to redact; the shop is not named in the record."""
        billing = some_billing(pseudonyms=None)

        outcomes = await asked(billing, a_request("customers/data_request", CUSTOMER))

        assert isinstance(outcomes[0], Done)
        assert [each.account for each in billing.storage.tables.privacy.values()] == [None]


class TestShops:
    async def test_every_merchant_of_the_shop_is_redacted(self, billing: InMemoryBilling) -> None:
        """Each is recorded, and that it was asked for."""
        await a_gone_shop(billing)
        await billing.register(a_shop(NEW_ID))

        outcomes = await asked(billing, a_request("shop/redact"))

        merchants = billing.storage.tables.merchants
        assert outcomes == [Done(note="2 merchant(s) of the shop redacted")]
        assert [merchants[each].is_redacted for each in (MERCHANT_ID, NEW_ID)] == [True, True]
        assert recorded(billing) == [
            ("redacted", MERCHANT_ID),
            ("redacted", NEW_ID),
            ("shop to be redacted", None),
        ]

    async def test_asked_twice_it_is_done_once(self, billing: InMemoryBilling) -> None:
        """In one batch, delivered again, and told anew."""
        await a_gone_shop(billing)
        request = a_request("shop/redact", message_id="shopify:1")

        first = await asked(billing, request, request)
        after = repr(billing.storage.tables)
        repeated = await asked(billing, again(request))

        assert [type(each) for each in (*first, *repeated)] == [Done] * 3
        assert repr(billing.storage.tables) == after
        await asked(billing, a_request("shop/redact"))
        assert [what for what, _ in recorded(billing)] == ["redacted", "shop to be redacted", "shop to be redacted"]

    async def test_a_shop_nobody_knows_is_none_to_redact(self, billing: InMemoryBilling) -> None:
        """It may never have come as far as Billing."""
        assert await asked(billing, a_request("shop/redact")) == [Done(note="0 merchant(s) of the shop redacted")]

    async def test_many_are_redacted_at_once(self, billing: InMemoryBilling) -> None:
        """Each shop's own request tells of its own merchants."""
        shops = [a_shop(f"m-{number}", platform_account_id=f"{GID}{number}") for number in range(3)]
        for each in shops:
            await billing.register(each)

        outcomes = await asked(
            billing, *(a_request("shop/redact", {"account": each.platform_account_id}) for each in shops[:2])
        )

        assert outcomes == [Done(note="1 merchant(s) of the shop redacted")] * 2
        known = billing.storage.tables.merchants
        assert [known[each.merchant_id].is_redacted for each in shops] == [True, True, False]

    async def test_a_purchase_that_may_still_be_paid_puts_it_off(self, billing: InMemoryBilling) -> None:
        """Nothing is recorded, and it is asked again: after an hour at most, and as soon as the deadline is over."""
        purchase = await billing.buy(await billing.register(a_shop()))
        request = a_request("shop/redact")

        early = await asked(billing, request)
        billing.clock.set(purchase.expires_at - timedelta(seconds=30))
        late = await asked(billing, again(request))
        billing.clock.set(purchase.expires_at - timedelta(microseconds=1))
        last = await asked(billing, again(request))
        recorded_by_then = recorded(billing)
        billing.clock.set(purchase.expires_at)
        done = await asked(billing, again(request))

        why = "the shop has a purchase that may still be paid"
        assert [*early, *late, *last] == [Retry(delay_s=each, reason=why) for each in (3600, 30, 1)]
        assert recorded_by_then == []
        assert done == [Done(note="1 merchant(s) of the shop redacted")]

    @pytest.mark.parametrize("payload", [{}, {"account": 7}])
    async def test_one_that_names_no_shop_is_parked(self, billing: InMemoryBilling, payload: dict[str, Any]) -> None:
        """Somebody must look: a shop waits to be redacted."""
        outcomes = await asked(billing, a_request("shop/redact", payload))

        assert outcomes == [Parked(reason="no request of shopify: it names no account")]
        assert len(billing.storage.tables.parked) == 1

    async def test_without_a_key_it_is_parked_with_the_remedy(self) -> None:
        """And done once the key is set and the message replayed."""
        keyless = some_billing(pseudonyms=None)
        await a_gone_shop(keyless)
        request = a_request("shop/redact")

        (outcome,) = await asked(keyless, request)
        billing = some_billing(keyless.clock, storage=keyless.storage)
        after = await asked(billing, again(request))

        assert isinstance(outcome, Parked)
        assert "set BILLING_REDACTION_KEY" in outcome.reason
        assert after == [Done(note="1 merchant(s) of the shop redacted")]

    async def test_on_another_platform_the_same_account_is_another_shop(self, billing: InMemoryBilling) -> None:
        """Accounts are a platform's own."""
        await a_gone_shop(billing)

        await asked(billing, a_purchase_updated(platform="stripe", topic="shop/redact", payload={"account": GID}))

        assert not billing.storage.tables.merchants[MERCHANT_ID].is_redacted


class TestBesidePayments:
    async def test_payments_of_the_same_batch_are_settled_first(self, billing: InMemoryBilling) -> None:
        """A payment and the end of its shop may come together, in any order."""
        shop = await a_gone_shop(billing)
        reference = str(shop.unpaid.platform_reference)
        billing.platform.pay(reference)
        notice = a_purchase_updated(reference, platform="shopify")

        outcomes = await asked(billing, a_request("shop/redact"), notice, a_request("customers/redact", CUSTOMER))

        assert [type(each) for each in outcomes] == [Done, Done, Done]
        assert billing.storage.tables.purchases[shop.unpaid.id].is_paid
        assert billing.storage.tables.merchants[MERCHANT_ID].is_redacted

    @pytest.mark.parametrize("topic", [None, "app_purchases_one_time/update", "shop/redacted", ""])
    async def test_any_other_topic_is_a_notice(self, billing: InMemoryBilling, topic: str | None) -> None:
        """As it always was: a topic changes nothing of what a payment is."""
        purchase = await billing.buy(await billing.register(a_shop()))
        billing.platform.pay(str(purchase.platform_reference))
        payload = {"reference": purchase.platform_reference}

        outcomes = await asked(billing, a_request(topic, payload))

        assert outcomes == [Done()]
        assert billing.storage.tables.purchases[purchase.id].is_paid

    async def test_a_platform_that_asks_nothing_sends_notices_alone(self, billing: InMemoryBilling) -> None:
        """Its messages are notices whatever their topic says, and where nobody answers, those of the others too."""
        silent = HandleWebhooks(
            units=billing.storage.units,
            platforms=billing.platforms,
            ask=billing.ask,
            settle=billing.settle,
            clock=billing.clock,
            new_id=billing.new_id,
        )

        (outcome,) = await silent([a_request("shop/redact")])

        assert isinstance(outcome, Parked)

    async def test_its_answer_outlives_a_crash_before_the_acknowledgement(self, billing: InMemoryBilling) -> None:
        """What was redacted before the worker died is not recorded twice."""
        await a_gone_shop(billing)
        request = a_request("shop/redact")
        await billing.redact_merchants.shops([("shopify", GID)], BY)

        assert await asked(billing, request) == [Done(note="1 merchant(s) of the shop redacted")]
        assert [what for what, _ in recorded(billing)] == ["redacted", "shop to be redacted"]


def test_the_scripted_platform_asks_as_shopify_does() -> None:
    """The kit's topics are the three of Shopify's."""
    assert list(ScriptedPlatform().privacy_topics) == ["customers/data_request", "customers/redact", "shop/redact"]
