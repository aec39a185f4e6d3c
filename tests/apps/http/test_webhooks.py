"""The webhook door: who may knock, what is passed on, and what is answered."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.apps.http.door import Door, assert_problem, open_door
from tests.apps.http.vendors import (
    DELIVERY,
    EVENT,
    OLD_SHOPIFY_SECRET,
    OLD_STRIPE_SECRET,
    SHOPIFY,
    SHOPIFY_SECRET,
    STRIPE,
    STRIPE_SECRET,
    a_body,
    knock,
    messages,
    open_settings,
    shopify_headers,
    some_billing,
    stripe_headers,
)

from billing_core.messages import InboundMessage, open_envelope

BODY = a_body()
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Sign = Callable[..., dict[str, str]]
SIGNATURES = {SHOPIFY: "X-Shopify-Hmac-Sha256", STRIPE: "Stripe-Signature"}
both = pytest.mark.parametrize(("path", "sign"), [(SHOPIFY, shopify_headers), (STRIPE, stripe_headers)])


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """A running app whose door is open to both vendors."""
    async with open_door(some_billing(), open_settings()) as opened:
        yield opened


class TestWhoMayKnock:
    @both
    async def test_a_signed_webhook_needs_nothing_else(self, door: Door, path: str, sign: Sign) -> None:
        """No token, no key, no X-Platform: 200 with an empty object, and one message."""
        answer = await knock(door, path, BODY, sign(BODY))

        assert (answer.status_code, answer.content) == (200, b"{}")
        assert answer.headers["content-type"] == "application/json"
        assert len(messages(door)) == 1

    @pytest.mark.parametrize(
        ("path", "sign", "secret"),
        [(SHOPIFY, shopify_headers, OLD_SHOPIFY_SECRET), (STRIPE, stripe_headers, OLD_STRIPE_SECRET)],
    )
    async def test_the_former_secret_holds_too(self, door: Door, path: str, sign: Sign, secret: str) -> None:
        """While a secret is being replaced, both sign."""
        assert (await knock(door, path, BODY, sign(BODY, secret=secret))).status_code == 200

    @pytest.mark.parametrize(
        ("path", "sign", "secret"),
        [(SHOPIFY, shopify_headers, OLD_SHOPIFY_SECRET), (STRIPE, stripe_headers, OLD_STRIPE_SECRET)],
    )
    async def test_a_former_secret_ends(self, path: str, sign: Sign, secret: str) -> None:
        """Once it is taken out of the configuration it signs no more."""
        settings = open_settings(shopify_client_secret_previous=None, stripe_webhook_secret_previous=None)
        async with open_door(some_billing(), settings) as door:
            answer = await knock(door, path, BODY, sign(BODY, secret=secret))

        assert_problem(answer, 401, "UNAUTHENTICATED")

    @both
    @pytest.mark.parametrize(
        "change",
        [
            lambda body, headers, name: (body.replace(b"pay-1", b"pay-2"), headers),
            lambda body, headers, name: (body + b" ", headers),
            lambda body, headers, name: (body, {k: v for k, v in headers.items() if k != name}),
            lambda body, headers, name: (body, [*headers.items(), (name, headers[name])]),
            lambda body, headers, name: (body, headers | {name: ""}),
            lambda body, headers, name: (body, headers | {name: "nonsense"}),
            lambda body, headers, name: (body, headers | {name: headers[name].upper()}),
            lambda body, headers, name: (b"no JSON", headers),
        ],
        ids=["a byte", "a space", "no signature", "two signatures", "empty", "nonsense", "upper case", "other body"],
    )
    async def test_anything_else_is_refused_alike(
        self, door: Door, path: str, sign: Sign, change: Callable[..., Any]
    ) -> None:
        """A tampered body and a missing, doubled or wrong signature are the same 401, and nothing is published."""
        body, headers = change(BODY, sign(BODY), SIGNATURES[path])

        answer = await knock(door, path, body, headers)

        problem = assert_problem(answer, 401, "UNAUTHENTICATED")
        assert problem["detail"] == "The webhook's signature is missing or not accepted."
        assert answer.headers["www-authenticate"] == 'Signature realm="webhooks"'
        assert messages(door) == []

    @pytest.mark.parametrize(
        ("path", "sign", "how"),
        [
            (SHOPIFY, shopify_headers, {"secret": STRIPE_SECRET}),
            (STRIPE, stripe_headers, {"secret": SHOPIFY_SECRET}),
            (STRIPE, stripe_headers, {"age_s": 301}),
            (STRIPE, stripe_headers, {"age_s": -400}),
        ],
        ids=["Stripe's secret", "Shopify's secret", "stale", "of the future"],
    )
    async def test_no_other_signature_will_do(self, door: Door, path: str, sign: Sign, how: Mapping[str, Any]) -> None:
        """Not that of the other vendor's secret, and none of Stripe's from another time."""
        assert_problem(await knock(door, path, BODY, sign(BODY, **how)), 401, "UNAUTHENTICATED")
        assert messages(door) == []

    @both
    async def test_a_merchants_token_opens_nothing(self, door: Door, path: str, sign: Sign) -> None:
        """Only the vendor's signature counts."""
        assert_problem(await door.post(path, BODY), 401, "UNAUTHENTICATED")


class TestClosed:
    @both
    @pytest.mark.parametrize(
        "settings",
        [
            {"webhook_door": False},
            {"platforms": ("sandbox",)},
            {
                "shopify_client_secret": None,
                "shopify_client_secret_previous": None,
                "stripe_webhook_secret": None,
                "stripe_webhook_secret_previous": None,
            },
            {
                "shopify_client_secret": "",
                "shopify_client_secret_previous": "",
                "stripe_webhook_secret": "",
                "stripe_webhook_secret_previous": "",
            },
        ],
        ids=["switched off", "not sold through", "no secret", "empty secret"],
    )
    async def test_a_closed_door_is_an_unknown_path(self, path: str, sign: Sign, settings: dict[str, Any]) -> None:
        """Switched off, for a platform that is not configured, or without a secret: 404, however well signed."""
        async with open_door(some_billing(), open_settings(**settings)) as door:
            answers = [await knock(door, path, BODY, sign(BODY, secret=each)) for each in ("", "another")]

        for answer in answers:
            assert_problem(answer, 404, "NOT_FOUND")

    async def test_a_secret_that_lacks_is_told_in_the_log(self) -> None:
        """Who switched the door on and forgot a secret learns why it stays closed."""
        settings = open_settings(stripe_webhook_secret=None, stripe_webhook_secret_previous=None)
        with capture_logs() as lines:
            async with open_door(some_billing(), settings):
                pass

        closed = [each["platform"] for each in lines if each["event"] == "webhook_door_closed"]
        assert closed == ["stripe"]

    @both
    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
    async def test_it_is_knocked_at_with_post(self, door: Door, path: str, sign: Sign, method: str) -> None:
        """Every other method is 405."""
        answer = await door.client.request(method, path, headers=sign(b""))

        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


class TestBodies:
    @both
    @pytest.mark.parametrize(
        "body",
        [b"", b"[]", b'"text"', b"null", b"{}x", b'{"a": NaN}', b'{"a": 1}, "b": {}', b"[" * 60_000],
        ids=["empty", "list", "text", "null", "two", "NaN", "a member more", "60,000 brackets"],
    )
    async def test_what_is_no_json_object_is_refused(self, door: Door, path: str, sign: Sign, body: bytes) -> None:
        """However well signed; nothing is published."""
        assert_problem(await knock(door, path, body, sign(body)), 400, "INVALID_REQUEST")
        assert messages(door) == []

    async def test_what_is_no_text_is_refused(self, door: Door) -> None:
        """Shopify's signature is one of bytes, so the reader refuses them; Stripe's is one of text."""
        body = b'{"reference": "\xff"}'

        assert_problem(await knock(door, SHOPIFY, body), 400, "INVALID_REQUEST")
        assert_problem(await knock(door, STRIPE, body), 401, "UNAUTHENTICATED")

    @both
    @pytest.mark.parametrize("change", [{"Content_Type": "text/plain"}, {"Content_Encoding": "gzip"}])
    async def test_it_is_announced_as_json(self, door: Door, path: str, sign: Sign, change: dict[str, str]) -> None:
        """Another media type or encoding is 415, as elsewhere."""
        assert_problem(await knock(door, path, BODY, sign(BODY, **change)), 415, "UNSUPPORTED_MEDIA_TYPE")

    @both
    async def test_it_may_be_larger_than_a_merchants(self, door: Door, path: str, sign: Sign) -> None:
        """Up to 256 KiB; a byte more is 413, and other paths keep their 64 KiB."""
        fits = a_body(more="").replace(b'""', b'"' + b"x" * (256 * 1024 - len(a_body(more=""))) + b'"')
        too_large = fits.replace(b"xx", b"xxx", 1)

        answers = [await knock(door, path, each, sign(each)) for each in (fits, too_large)]
        elsewhere = await door.post("/api/billing/trials", b" " * (64 * 1024 + 1))

        assert answers[0].status_code == 200
        assert assert_problem(answers[1], 413, "PAYLOAD_TOO_LARGE")["detail"] == "The body may have at most 256 KiB."
        assert assert_problem(elsewhere, 413, "PAYLOAD_TOO_LARGE")["detail"] == "The body may have at most 64 KiB."

    @pytest.mark.parametrize("name", ["X-Shopify-Topic", "X-Shopify-Webhook-Id"])
    @pytest.mark.parametrize("values", [[], ["a", "a"], [""], ["a b"], ["ä"], ["x" * 201]])
    async def test_shopifys_headers_are_there_once(self, door: Door, name: str, values: list[str]) -> None:
        """Without its topic and its id, or with two of them, a delivery cannot be told from others: 400."""
        signed = [(key, value) for key, value in shopify_headers(BODY).items() if key != name]
        raw = [*((k.encode(), v.encode()) for k, v in signed), *((name.encode(), v.encode("latin-1")) for v in values)]

        answer = await door.client.post(SHOPIFY, content=BODY, headers=raw)

        assert name in assert_problem(answer, 400, "INVALID_REQUEST")["errors"][0]["detail"]
        assert messages(door) == []


class TestWhatIsPassedOn:
    @pytest.mark.parametrize(
        ("path", "platform", "delivery_id", "topic"),
        [
            (SHOPIFY, "shopify", DELIVERY, "app_purchases_one_time/update"),
            (STRIPE, "stripe", EVENT, "checkout.session.completed"),
        ],
    )
    async def test_the_message_is_the_webhook_services(
        self, door: Door, path: str, platform: str, delivery_id: str, topic: str
    ) -> None:
        """A CloudEvent of the contract, its id made from the delivery's, with correlation id and trace."""
        body = a_body(account="shop-1")
        sign = shopify_headers if path == SHOPIFY else stripe_headers
        traced = sign(body) | {"X-Correlation-Id": "corr-1", "traceparent": TRACE}

        await knock(door, path, body, traced)

        (sent,) = door.billing.sender.sent
        document = json.loads(sent.body)
        data = document.pop("data")
        message_id = f"{platform}:{delivery_id}"
        assert sent.subject == "evt.webhook.app.purchase_updated"
        assert sent.headers == {"Nats-Msg-Id": message_id, "Content-Type": "application/cloudevents+json"}
        assert document.pop("time") == data.pop("received_at")
        assert document == {
            "specversion": "1.0",
            "id": message_id,
            "type": "evt.webhook.app.purchase_updated",
            "source": "billing-webhook-door",
            "datacontenttype": "application/json",
            "correlationid": "corr-1",
            "traceparent": TRACE,
        }
        assert data == {
            "platform": platform,
            "delivery_id": delivery_id,
            "topic": topic,
            "platform_account_id": "shop-1",
            "payload": json.loads(body),
        }
        envelope = open_envelope(InboundMessage(subject=sent.subject, body=sent.body, headers=sent.headers))
        assert (envelope.message_id, envelope.correlation_id, envelope.traceparent) == (message_id, "corr-1", TRACE)

    @both
    async def test_the_payload_is_the_vendors_own_bytes(self, door: Door, path: str, sign: Sign) -> None:
        """Large integers, decimals, escapes and spaces arrive as they were written, byte for byte."""
        body = b' {"id": "evt_1", "reference": "pay-1",\n "n": 123456789012345678901234567890, "d": 1.10, "e": 1E400, \
"t": "\\u00e9\xc3\xa9"} '

        answer = await knock(door, path, body, sign(body))

        (sent,) = door.billing.sender.sent
        assert answer.status_code == 200
        assert sent.body.count(b'"payload": ' + body + b"}}") == 1

    @both
    async def test_no_news_for_billing_is_acknowledged(self, door: Door, path: str, sign: Sign) -> None:
        """A notice about something else is answered with 200, so that it is not sent again, and goes no further."""
        body = b'{"about": "subscriptions"}'

        answer = await knock(door, path, body, sign(body))

        assert (answer.status_code, messages(door)) == (200, [])

    async def test_other_topics_of_shopify_are_acknowledged(self, door: Door) -> None:
        """Whatever else the app is subscribed to is none of Billing's business."""
        answer = await knock(door, SHOPIFY, BODY, shopify_headers(BODY, X_Shopify_Topic="app/uninstalled"))

        assert (answer.status_code, messages(door)) == (200, [])

    @both
    async def test_what_cannot_be_understood_is_passed_on_to_be_parked(self, door: Door, path: str, sign: Sign) -> None:
        """A signed body without what a notice needs is not lost behind a 200: the consumer parks it."""
        body = b'{"surprise": true}'

        answer = await knock(door, path, body, sign(body))

        (message,) = messages(door)
        assert (answer.status_code, message["data"]["payload"]) == (200, {"surprise": True})

    @pytest.mark.parametrize("event_id", [None, 7, "", "a b", "x" * 201])
    async def test_an_event_without_an_id_is_known_by_its_body(self, door: Door, event_id: object) -> None:
        """Stripe sent it, so it is passed on, under the hash of its bytes."""
        body = a_body(id=event_id, type=["no text"])

        await knock(door, STRIPE, body)

        (message,) = messages(door)
        assert message["id"].startswith("stripe:sha256:")
        assert message["data"]["topic"] is None


class TestOutages:
    @both
    async def test_nothing_is_acknowledged_that_was_not_published(self, door: Door, path: str, sign: Sign) -> None:
        """With NATS away the vendor hears 503 with Retry-After, without NATS's words."""
        door.billing.sender.is_down = True

        answer = await knock(door, path, BODY, sign(BODY))

        assert_problem(answer, 503, "SERVICE_UNAVAILABLE")
        assert answer.headers["retry-after"] == "5"
        assert "broker" not in answer.text

    async def test_a_broker_that_hangs_is_given_up(self) -> None:
        """One that neither confirms nor fails is an outage too."""

        class Hanging:
            async def send(self, subject: str, body: bytes, headers: Mapping[str, str]) -> None:
                await asyncio.Event().wait()

        async with open_door(some_billing(), open_settings(), sender=Hanging()) as door:
            answer = await knock(door, STRIPE, BODY)

        assert_problem(answer, 503, "SERVICE_UNAVAILABLE")


class TestWhatIsSeen:
    @both
    async def test_the_log_has_no_body_and_no_secret(self, door: Door, path: str, sign: Sign) -> None:
        """It names platform, delivery, topic and what became of it; refusals and outages tell no more."""
        body = a_body(private="words-of-the-payload")
        headers = sign(body)
        with capture_logs() as lines:
            await knock(door, path, body, headers)
            await knock(door, path, body, sign(body, secret="wrong"))
            door.billing.sender.is_down = True
            await knock(door, path, body, headers)

        assert [each["outcome"] for each in lines if each["event"] == "webhook"] == ["published"]
        assert len([each for each in lines if each["event"] == "webhook_not_published"]) == 1
        text = repr(lines)
        hidden = ["words-of-the-payload", SHOPIFY_SECRET, STRIPE_SECRET, headers[SIGNATURES[path]], "pay-1"]
        assert [each for each in hidden if each in text] == []

    async def test_metrics_know_the_two_paths(self, door: Door) -> None:
        """Routes, methods and status classes only: nothing a vendor sends becomes a series."""
        await knock(door, SHOPIFY, BODY, shopify_headers(BODY, X_Shopify_Topic="made/up"))
        await knock(door, "/webhooks/made-up", BODY)

        text = (await door.client.get("/metrics")).text

        assert 'billing_http_requests_total{method="POST",route="/webhooks/shopify",status="2xx"} 1.0' in text
        assert "made" not in text
