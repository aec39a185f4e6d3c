"""Shopify and Stripe, played by their stand-ins: the whole service, real processes, from click to credits and back."""

import asyncio
import base64
import hashlib
import hmac
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from nats.aio.client import Client
from tests.e2e.conftest import Service, start_service, wait_until

SHOPIFY_SECRET = "sample-shopify-client-secret"
STRIPE_SECRET = "whsec_sample"
ACCOUNTS = {"shopify": "gid://shopify/Shop/548380009", "stripe": "account-1"}
WANTED = {"pack": "large", "return_url": "https://shop.example/billing"}
PATIENCE_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The service, the two stand-ins' base URLs, and each platform's merchant with its token."""

    service: Service
    stand_ins: dict[str, str]
    tokens: dict[str, str]

    def ask(self, platform: str, method: str, path: str, **more: Any) -> httpx2.Response:
        """This will ask the API as the platform's merchant."""
        headers = {
            "Authorization": f"Bearer {self.tokens[platform]}",
            "X-Platform": platform,
            **more.pop("headers", {}),
        }
        return self.service.client.request(method, path, headers=headers, **more)

    def control(self, platform: str, verb: str, **arguments: Any) -> Any:
        """This will play the platform's customers, or its network."""
        answer = httpx2.post(f"{self.stand_ins[platform]}/_control/{verb}", json=arguments)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def buy(self, platform: str, pack: str = "large") -> dict[str, Any]:
        """This will open a purchase; each test has a pack of its own, as an open one would be handed out again."""
        key = {"Idempotency-Key": str(uuid.uuid4())}
        answer = self.ask(platform, "POST", "/api/billing/purchases", json=WANTED | {"pack": pack}, headers=key)
        assert answer.status_code == 201, answer.text
        purchase: dict[str, Any] = answer.json()
        return purchase

    def told(self, purchase: dict[str, Any]) -> list[dict[str, Any]]:
        """The credits events about the purchase, as NATS has them."""
        events = self.service.billing("events", "tail", "--since", "1h", "--no-follow")
        about = [event for event in events if event["data"].get("purchase_id") == purchase["id"]]
        return [event for event in about if event["type"].startswith("evt.billing.credits.")]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The service with both platforms and its webhook door open, and a merchant on each."""
    processes = [_stand_in("shopify"), _stand_in("stripe")]
    stand_ins = {name: url for _, told in processes for name, url in told.items()}
    try:
        running = start_service(
            tmp_path_factory.mktemp("platforms"),
            BILLING_PLATFORMS="sandbox,shopify,stripe",
            BILLING_SHOPIFY_BASE_URL=stand_ins["shopify"],
            BILLING_SHOPIFY_TOKEN_URL=f"{stand_ins['shopify']}/token",
            BILLING_SHOPIFY_CLIENT_SECRET=SHOPIFY_SECRET,
            BILLING_STRIPE_BASE_URL=stand_ins["stripe"],
            BILLING_STRIPE_SECRET_KEY="sk_test_sample",
            BILLING_STRIPE_WEBHOOK_SECRET=STRIPE_SECRET,
            BILLING_WEBHOOK_DOOR="on",
        )
        for service in running:
            tokens = {name: _announced(service, name) for name in ACCOUNTS}
            yield World(service=service, stand_ins=stand_ins, tokens=tokens)
    finally:
        for process, _ in processes:
            process.terminate()
            process.communicate(timeout=30)


class TestShopify:
    def test_a_charge_becomes_credits_by_the_webhook_door(self, world: World) -> None:
        """Approved at Shopify, told by its signed webhook, asked about, announced once."""
        purchase = world.buy("shopify")
        world.control("shopify", "approve", reference=purchase["platform_reference"])
        body = json.dumps(world.control("shopify", "notice", reference=purchase["platform_reference"])).encode()

        answers = [_deliver_shopify(world, body, f"delivery-{number}") for number in range(3)]

        assert {answer.status_code for answer in answers} == {200}
        wait_until(lambda: world.told(purchase), within_s=PATIENCE_S, what="the credits are announced")
        after = world.ask("shopify", "GET", f"/api/billing/purchases/{purchase['id']}").json()
        (told,) = world.told(purchase)
        assert purchase["checkout_url"].startswith("https://")
        assert (after["status"], after["test"], after["late"]) == ("completed", False, False)
        assert (told["data"]["credits"], told["data"]["price"]["amount"]) == (1000, "69.99")

    def test_a_body_shopify_did_not_sign_is_refused(self, world: World) -> None:
        """One byte more, and nothing is published."""
        purchase = world.buy("shopify", "small")
        body = json.dumps(world.control("shopify", "notice", reference=purchase["platform_reference"])).encode()

        answer = _deliver_shopify(world, body, "delivery-forged", signed=body + b" ")

        assert answer.status_code == 401


class TestStripe:
    def test_a_session_becomes_credits_and_a_refund_takes_them_back(self, world: World) -> None:
        """Paid, told over NATS; half refunded, told by the charge's event alone; the cumulative arithmetic holds."""
        purchase = world.buy("stripe")
        reference = purchase["platform_reference"]
        world.control("stripe", "pay", reference=reference)
        _publish(world, world.control("stripe", "event", reference=reference, type="checkout.session.completed"))
        wait_until(lambda: world.told(purchase), within_s=PATIENCE_S, what="the credits are announced")

        world.control("stripe", "refund", reference=reference, amount_minor=3500)
        _publish(world, world.control("stripe", "event", reference=reference, type="charge.refunded"))
        wait_until(lambda: len(world.told(purchase)) == 2, within_s=PATIENCE_S, what="the refund is announced")

        purchased, reversed_ = world.told(purchase)
        after = world.ask("stripe", "GET", f"/api/billing/purchases/{purchase['id']}").json()
        assert (purchased["data"]["credits"], reversed_["data"]["credits"]) == (1000, 501)
        assert (after["status"], after["credits_reversed"], after["test"]) == ("partially_refunded", 501, True)

    def test_a_lost_webhook_is_found_by_reconciling(self, world: World) -> None:
        """Paid, and nobody told us: the command asks, settles and shows what it found."""
        purchase = world.buy("stripe", "medium")
        world.control("stripe", "pay", reference=purchase["platform_reference"])

        (dry,) = world.service.billing("purchases", "reconcile", purchase["id"], "--dry-run")
        before = world.ask("stripe", "GET", f"/api/billing/purchases/{purchase['id']}").json()
        (real,) = world.service.billing("purchases", "reconcile", purchase["id"])

        after = world.ask("stripe", "GET", f"/api/billing/purchases/{purchase['id']}").json()
        assert (dry["data"][0]["status_after"], before["status"]) == ("completed", "pending")
        assert (real["data"][0]["status_after"], after["status"]) == ("completed", "completed")

    def test_a_platform_in_trouble_is_a_502_and_the_retry_goes_on(self, world: World) -> None:
        """Stripe answers a page for people: the problem says so, and the same key gets its one checkout."""
        world.control("stripe", "faults", fault="html", operation="create", times=9)
        key = {"Idempotency-Key": str(uuid.uuid4())}
        wanted = {**WANTED, "pack": "small"}

        failed = world.ask("stripe", "POST", "/api/billing/purchases", json=wanted, headers=key)
        retried = wait_until(
            lambda: _made(world.ask("stripe", "POST", "/api/billing/purchases", json=wanted, headers=key)),
            within_s=PATIENCE_S,
            what="the retry gets its checkout",
        )

        assert (failed.status_code, failed.json()["code"], failed.json()["retryable"]) == (502, "PLATFORM_ERROR", True)
        assert retried["checkout_url"].startswith("https://checkout.stripe.com/")


def _made(answer: httpx2.Response) -> dict[str, Any] | None:
    return answer.json() if answer.status_code == 201 else None


def _stand_in(platform: str) -> tuple["subprocess.Popen[str]", dict[str, str]]:
    """A running stand-in and its line."""
    command = [sys.executable, "-m", "billing_adapters.stand_ins", platform, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told: dict[str, str] = json.loads(process.stdout.readline())
    return process, told


def _announced(service: Service, platform: str) -> str:
    """A token of a merchant of the platform, announced and registered."""
    merchant_id = f"merchant-{platform}"
    data = {
        "merchant_id": merchant_id,
        "platform": platform,
        "platform_account_id": ACCOUNTS[platform],
        "platform_domain": "sample.myshopify.com",
    }
    _send(service, "evt.merchant.created", data)
    (token,) = service.billing("token", "--merchant", merchant_id, "--platform", platform)
    headers = {"Authorization": f"Bearer {token['token']}", "X-Platform": platform}
    wait_until(
        lambda: service.client.get("/api/billing", headers=headers).status_code == 200,
        within_s=PATIENCE_S,
        what=f"the merchant on {platform} is registered",
    )
    return str(token["token"])


def _publish(world: World, event: dict[str, Any]) -> None:
    """This will relay a Stripe event as a webhook service does."""
    data = {"platform": "stripe", "delivery_id": event["id"], "topic": event["type"], "payload": event}
    _send(world.service, "evt.webhook.app.purchase_updated", data)


def _send(service: Service, subject: str, data: dict[str, Any]) -> None:
    async def send() -> None:
        client = Client()
        await client.connect(service.environment["BILLING_NATS_URL"])
        try:
            await client.jetstream().publish(
                subject, json.dumps(data).encode(), headers={"Nats-Msg-Id": str(uuid.uuid4())}
            )
        finally:
            await client.close()

    asyncio.run(send())


def _deliver_shopify(world: World, body: bytes, delivery_id: str, *, signed: bytes | None = None) -> httpx2.Response:
    """This will deliver a webhook as Shopify does, signed over `signed` (default: the body)."""
    digest = hmac.digest(SHOPIFY_SECRET.encode(), body if signed is None else signed, hashlib.sha256)
    headers = {
        "Content-Type": "application/json",
        "X-Shopify-Topic": "app_purchases_one_time/update",
        "X-Shopify-Webhook-Id": delivery_id,
        "X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode(),
    }
    return world.service.client.post("/webhooks/shopify", content=body, headers=headers)
