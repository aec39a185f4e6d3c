"""From the webhook door over real NATS to credits: the vendors' own bodies, on the webhook service's path."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from tests.apps.http.door import Door, assert_problem, open_door
from tests.apps.http.vendors import (
    SHOPIFY,
    STRIPE,
    knock,
    open_settings,
    shopify_headers,
    some_billing,
    stripe_headers,
)

from billing_adapters.nats.connection import NatsConnection, open_nats
from billing_adapters.nats.consumer import NatsConsumer
from billing_adapters.nats.publisher import NatsMessageSender
from billing_adapters.nats.streams import PURCHASE_UPDATED, ensure_streams
from billing_adapters.platforms.shopify import open_shopify
from billing_adapters.platforms.stripe_checkout import open_stripe
from billing_adapters.stand_ins.shopify import STATIC_SHOP, ShopifyStandIn
from billing_adapters.stand_ins.stripe import StripeStandIn
from billing_core.domain.return_urls import ReturnUrlPolicy
from billing_core.messages import InboundMessage
from billing_core.ports.platforms import PaymentPlatform
from billing_core.testing import InMemoryBilling, a_merchant
from billing_core.use_cases.ask_platforms import AskPlatforms
from billing_core.use_cases.create_purchase import CreatePurchase
from billing_core.use_cases.handle_webhooks import HandleWebhooks
from billing_core.use_cases.inbound import Done, Parked

DEADLINE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """One vendor: its path, how it signs, and the notices it sends about a charge or session."""

    path: str
    sign: Callable[..., dict[str, str]]
    platform: PaymentPlatform
    pay: Callable[[str], None]
    notice: Callable[[str], Mapping[str, Any]]
    no_news: Callable[[str], Mapping[str, Any]]


@asynccontextmanager
async def open_shopify_vendor(billing: InMemoryBilling) -> AsyncIterator[Vendor]:
    """Shopify, played by its stand-in."""
    shopify = ShopifyStandIn(clock=billing.clock)
    async with (
        shopify.open() as url,
        open_shopify(open_settings(shopify_base_url=url, shopify_access_token="shpat_sample")) as platform,
    ):
        yield Vendor(
            path=SHOPIFY,
            sign=shopify_headers,
            platform=platform,
            pay=shopify.approve,
            notice=shopify.notice,
            no_news=shopify.notice,  # as it stands before the merchant decides: PENDING
        )


@asynccontextmanager
async def open_stripe_vendor(billing: InMemoryBilling) -> AsyncIterator[Vendor]:
    """Stripe, played by its stand-in."""
    stripe = StripeStandIn(clock=billing.clock)
    async with (
        stripe.open() as url,
        open_stripe(open_settings(stripe_base_url=url, stripe_secret_key="sk_test_sample")) as platform,
    ):
        yield Vendor(
            path=STRIPE,
            sign=stripe_headers,
            platform=platform,
            pay=stripe.pay,
            notice=lambda reference: stripe.event(reference, "checkout.session.completed"),
            no_news=lambda reference: {**stripe.event(reference, "checkout.session.completed"), "type": "invoice.paid"},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A door in front of NATS, and the worker's side behind it."""

    door: Door
    vendor: Vendor
    connection: NatsConnection

    @property
    def billing(self) -> InMemoryBilling:
        """The core on both sides."""
        return self.door.billing

    async def buy(self) -> str:
        """This will open a purchase of a merchant on the vendor's platform, and give its platform reference."""
        merchant = a_merchant(
            platform=self.vendor.platform.name,
            platform_account_id=STATIC_SHOP,
            platform_domain="shop-1.myshopify.com",
        )
        purchase = await self.billing.buy(await self.billing.register(merchant))
        assert purchase.platform_reference is not None
        return purchase.platform_reference

    async def knock(self, body: bytes) -> int:
        """This will send the body as the vendor does, and give the answer's status."""
        return (await knock(self.door, self.vendor.path, body, self.vendor.sign(body))).status_code

    async def stored(self) -> int:
        """How many messages the stream has."""
        return (await self.connection.jetstream.stream_info(PURCHASE_UPDATED.stream)).state.messages

    async def consume(self) -> Sequence[InboundMessage]:
        """This will take what the worker's consumer is given."""
        plan = PURCHASE_UPDATED
        consumer = NatsConsumer(self.connection, stream=plan.stream, durable=plan.durable, subject=plan.subject)
        deliveries = await consumer.fetch(10, DEADLINE_S)
        for each in deliveries:
            await each.ack()
        return [each.message for each in deliveries]

    async def purchased(self) -> list[int]:
        """The credits of every `evt.billing.credits.purchased`."""
        events = [each.model_dump() for each in await self.billing.events()]
        return [each["data"]["credits"] for each in events if each["type"] == "evt.billing.credits.purchased"]


@pytest.fixture
async def connection(nats_url: str) -> AsyncIterator[NatsConnection]:
    """NATS without any stream."""
    async with open_nats(nats_url, name="test") as opened:
        assert await opened.wait_connected(DEADLINE_S)
        yield opened


@pytest.fixture(params=[open_shopify_vendor, open_stripe_vendor], ids=["shopify", "stripe"])
async def deployment(request: pytest.FixtureRequest, connection: NatsConnection) -> AsyncIterator[Deployment]:
    """A door for one vendor, with all the streams."""
    await ensure_streams(connection, manage_all=True)
    billing = some_billing()
    async with request.param(billing) as vendor:
        platforms = {**billing.platforms, vendor.platform.name: vendor.platform}
        _sell_through(billing, platforms)
        sender = NatsMessageSender(connection)
        async with open_door(billing, open_settings(), sender=sender, platforms=platforms) as door:
            yield Deployment(door=door, vendor=vendor, connection=connection)


class TestWebhookDelivery:
    async def test_a_signed_notice_becomes_credits(self, deployment: Deployment) -> None:
        """The vendor's own bytes arrive at the worker's consumer untouched, and settle what they point at."""
        reference = await deployment.buy()
        deployment.vendor.pay(reference)
        body = _as_sent(deployment.vendor.notice(reference))

        status = await deployment.knock(body)
        (message,) = await deployment.consume()
        outcomes = await deployment.billing.handle_webhooks([message])

        assert (status, message.subject, outcomes) == (200, "evt.webhook.app.purchase_updated", [Done()])
        assert body in message.body
        assert json.loads(message.body)["data"]["platform_account_id"] == STATIC_SHOP
        assert await deployment.purchased() == [1000]

    async def test_a_delivery_sent_again_is_one_message_and_one_settlement(self, deployment: Deployment) -> None:
        """A vendor that missed our answer sends again under the same id, and JetStream knows it."""
        reference = await deployment.buy()
        deployment.vendor.pay(reference)
        body = _as_sent(deployment.vendor.notice(reference))

        statuses = [await deployment.knock(body) for _ in range(3)]
        messages = await deployment.consume()
        for _ in range(2):  # and the worker may be given it again
            await deployment.billing.handle_webhooks(messages)

        assert (statuses, await deployment.stored(), len(messages)) == ([200, 200, 200], 1, 1)
        assert await deployment.purchased() == [1000]

    async def test_no_news_stays_outside(self, deployment: Deployment) -> None:
        """A charge that waits for its merchant, and an event of another type, are acknowledged and not published."""
        reference = await deployment.buy()

        status = await deployment.knock(_as_sent(deployment.vendor.no_news(reference)))

        assert (status, await deployment.stored()) == (200, 0)

    async def test_what_the_vendor_could_not_have_sent_is_parked(self, deployment: Deployment) -> None:
        """Signed all the same, it arrives and is kept for people to look at."""
        status = await deployment.knock(b'{"surprise": 12345678901234567890.10}')

        (message,) = await deployment.consume()
        (outcome,) = await deployment.billing.handle_webhooks([message])

        assert (status, type(outcome)) == (200, Parked)
        assert len(deployment.billing.storage.tables.parked) == 1


async def test_without_its_stream_nothing_is_acknowledged(connection: NatsConnection) -> None:
    """Where no stream takes the message the vendor hears 503, and sends it again once there is one."""
    body = b'{"reference": "pay-1"}'
    async with open_door(some_billing(), open_settings(), sender=NatsMessageSender(connection)) as door:
        refused = await knock(door, SHOPIFY, body)
        await ensure_streams(connection, manage_all=True)
        accepted = await knock(door, SHOPIFY, body)

    assert_problem(refused, 503, "SERVICE_UNAVAILABLE")
    assert accepted.status_code == 200


def _sell_through(billing: InMemoryBilling, platforms: Mapping[str, PaymentPlatform]) -> None:
    """This will have Billing in memory ask these platforms."""
    units, clock, new_id = billing.storage.units, billing.clock, billing.new_id
    billing.create_purchase = CreatePurchase(
        requests=billing.storage.requests,
        units=units,
        replays=billing.replays,
        platforms=platforms,
        price_book=billing.price_book,
        return_urls=ReturnUrlPolicy(),
        clock=clock,
        new_id=new_id,
    )
    ask = AskPlatforms(platforms=platforms)
    billing.handle_webhooks = HandleWebhooks(
        units=units, platforms=platforms, ask=ask, settle=billing.settle, clock=clock, new_id=new_id
    )


def _as_sent(notice: Mapping[str, Any]) -> bytes:
    """The notice with spaces and numbers of its own, which reading and writing anew would change."""
    return json.dumps(notice, indent=2).encode()[:-1] + b', "n": 98765432109876543210, "d": 1.10 }'
