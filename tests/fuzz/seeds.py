"""`python -m tests.fuzz.seeds`: write the samples that fuzzing starts from, `corpus/TARGET/sample-*`.

They are made of what the other tests send: good values, and a few that are not. What fuzzing found stands beside them
as `found-*` and stays.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.adapters.platforms.shopify.shop import GID, a_node, a_shopify_purchase
from tests.adapters.platforms.stripe.account import a_session, a_stripe_purchase
from tests.fuzz.target import BETWEEN, CORPUS
from tests.hostile.malformed_events import CHARGE, EVENT, MERCHANT, NOTICE

from billing_core.testing import MOMENT

NOW_S = int(MOMENT.timestamp())
_KEY = {"kty": "EC", "crv": "P-256", "kid": "one", "alg": "ES256", "use": "sig", "key_ops": ["verify"]}
_POINT = {"x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}


def main() -> None:
    """This will write every sample anew."""
    for name, samples in SAMPLES.items():
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("sample-*"):
            old.unlink()
        for place, sample in enumerate(samples):
            (folder / f"sample-{place:02}").write_bytes(sample)


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _parts(*each: bytes) -> bytes:
    return BETWEEN.join(each)


def _tokens() -> Iterator[bytes]:
    claims = {
        "iss": "issuer",
        "aud": "billing",
        "iat": NOW_S,
        "exp": NOW_S + 600,
        "sub": "user-1",
        "merchant_id": "merchant-1",
        "platform": "sandbox",
        "scope": "billing:read billing:write",
    }
    several = claims | {"aud": ["other", "billing"], "nbf": NOW_S, "merchant_id": "A.b_c:d-1", "sub": "Jörg"}
    for letter, algorithm in (("s", "HS256"), ("k", "EdDSA")):
        for header in ({"alg": algorithm}, {"alg": algorithm, "typ": "at+jwt", "kid": "one", "x": [1.5]}):
            yield letter.encode() + _parts(_json(header), _json(claims))
        yield letter.encode() + _parts(_json({"alg": algorithm}), _json(several))
    yield b"w" + b"eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJpc3N1ZXIifQ.AAAA"
    yield b"c" + _json({"aud": ["billing"], "exp": NOW_S + 1})
    yield b"c" + _json({"scope": "metrics:read", "nbf": NOW_S})
    yield b"j" + _json({"keys": [_KEY | _POINT]})
    yield b"j" + _json({"keys": [{"kty": "RSA", "kid": "two", "n": "A" * 342, "e": "AQAB"}]})
    ed25519 = {"kty": "OKP", "crv": "Ed25519", "kid": "x", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    yield b"j" + _json({"keys": [ed25519]})


def _cloud_event(kind: str, data: Mapping[str, Any], **more: Any) -> bytes:
    return _json({"specversion": "1.0", "id": "event-1", "source": "x", "type": kind, "data": data, **more})


def _events() -> Iterator[bytes]:
    merchant = MERCHANT | {"platform_account_id": "account-1", "platform_domain": "shop.example", "currency": "usd"}
    trace = {"correlationid": "c-1", "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}
    for letter in (b"e", b"m"):
        yield letter + _json(merchant)
        yield letter + _cloud_event("evt.merchant.created", MERCHANT, **trace)
        yield letter + _parts(b"Nats-Msg-Id: message-1\nX-Correlation-Id: c-1", _json(MERCHANT))
    stripe = {**EVENT, "type": "charge.refunded", "data": {"object": {"object": "charge", "payment_intent": "pi_1"}}}
    shopify = {"app_purchase_one_time": CHARGE}
    for platform, payload in (("sandbox", NOTICE), ("shopify", shopify), ("stripe", EVENT), ("stripe", stripe)):
        yield b"n" + _json({"platform": platform, "payload": payload, "topic": "x"})
    started = {
        "merchant_id": "m-1",
        "platform": "sandbox",
        "trial_id": "0199aaaa-0000-7000-8000-000000000000",
        "credits": 500,
        "started_at": "2026-03-01T09:00:00.000000Z",
        "ends_at": "2026-03-15T09:00:00.000000Z",
    }
    envelope = {"id": started["trial_id"], "subject": "m-1", "time": started["started_at"], "sequence": 1, **trace}
    yield b"o" + _cloud_event("evt.billing.trial.started", started, **envelope)
    for stamp in (
        "$JS.ACK.MERCHANT.durable.1.2.3.1700000000000000000.0",
        "$JS.ACK._.hash.MERCHANT.durable.2.2.3.17.0.x",
    ):
        yield b"d" + _parts(b"evt.merchant.created", stamp.encode(), _json(MERCHANT))


def _shopify() -> Iterator[bytes]:
    purchase = a_shopify_purchase()
    node = a_node(name=f"1000 credits - {purchase.short_reference}")
    charges = {"nodes": [node], "pageInfo": {"hasNextPage": False, "endCursor": None}}
    payload = {
        "appPurchaseOneTime": {"id": GID},
        "confirmationUrl": "https://shop-1.myshopify.com/admin/charges/1/confirm?signature=sample",
        "userErrors": [],
    }
    refused = {"appPurchaseOneTime": None, "confirmationUrl": None, "userErrors": [{"message": "No", "field": None}]}
    throttled = {"requestedQueryCost": 10, "throttleStatus": {"currentlyAvailable": 4, "restoreRate": 50.0}}
    transaction = {
        "id": "gid://partners/AppSaleAdjustment/1",
        "chargeId": GID,
        "grossAmount": {"amount": "-10.0", "currencyCode": "USD"},
        "netAmount": {"amount": "-8.0", "currencyCode": "USD"},
        "shop": {"id": "gid://partners/Shop/1"},
    }
    page = {"edges": [{"cursor": "c", "node": transaction}], "pageInfo": {"hasNextPage": False}}
    yield b"s" + _parts(b"Kml0IGlzIG5vdCBvbmU=", _json({"app_purchase_one_time": CHARGE}))
    yield b"w" + _parts(b"app_purchases_one_time/update", b"delivery-1", _json({"app_purchase_one_time": CHARGE}))
    yield b"n" + _json({"app_purchase_one_time": CHARGE | {"name": f"1000 credits - {purchase.short_reference}"}})
    for told in (payload, refused):
        yield b"c" + _parts(b"200", b"", _json({"data": {"appPurchaseOneTimeCreate": told}}))
    error = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
    for letter in (b"c", b"l"):
        yield letter + _parts(b"200", b"", _json({"errors": [error], "extensions": {"cost": throttled}}))
        yield letter + _parts(b"429", b"2.0", b"")
        yield letter + _parts(b"502", b"", b"<html>Bad gateway</html>")
    yield b"l" + _parts(b"200", b"", _json({"data": {"node": a_node()}}))
    yield b"l" + _parts(b"200", b"", _json({"data": {"node": None}}))
    yield b"f" + _parts(b"200", b"", _json({"data": {"currentAppInstallation": {"oneTimePurchases": charges}}}))
    yield b"r" + _parts(b"200", b"", _json({"data": {"transactions": page}}))
    yield b"t" + _parts(b"200", b"", _json({"access_token": "shpat_other", "expires_in": 3600}))


def _stripe() -> Iterator[bytes]:
    purchase = a_stripe_purchase()
    charge = {"id": "ch_1", "object": "charge", "amount_refunded": 3500, "currency": "usd", "disputed": True}
    payment = {"id": "pi_1", "object": "payment_intent", "status": "succeeded", "latest_charge": charge}
    paid = {"status": "complete", "payment_status": "paid", "client_reference_id": str(purchase.purchase_id)}
    refused = {"error": {"type": "invalid_request_error", "code": "parameter_invalid", "message": "No", "param": "x"}}
    disputed = {"object": "event", "id": "evt_2", "type": "charge.dispute.created"}
    disputed["data"] = {"object": {"object": "dispute", "payment_intent": "pi_1", "metadata": {}}}  # type: ignore[assignment]
    yield b"s" + _parts(f"t={NOW_S},v1={'0' * 64},v0=x".encode(), _json(EVENT))
    yield b"n" + _json(EVENT)
    yield b"n" + _json(disputed)
    yield b"c" + _parts(b"200", b"request-id: req_1", _json(a_session()))
    yield b"c" + _parts(b"500", b"idempotent-replayed: true", _json(refused))
    for letter in (b"c", b"l"):
        yield letter + _parts(b"400", b"request-id: req_1", _json(refused))
        yield letter + _parts(b"429", b"retry-after: 2", _json({"error": {"message": "Slower"}}))
        yield letter + _parts(b"502", b"", b"<html>Bad gateway</html>")
    yield b"l" + _parts(b"200", b"", _json(a_session(payment_intent=payment, **paid)))
    yield b"l" + _parts(b"200", b"", _json(a_session()))
    yield b"l" + _parts(b"404", b"", _json({"error": {"code": "resource_missing", "message": "No such session"}}))
    listed = {"object": "list", "data": [a_session(**paid)], "has_more": False, "url": "/v1/checkout/sessions"}
    yield b"f" + _parts(b"200", b"", _json(listed))


SAMPLES: Mapping[str, tuple[bytes, ...]] = {
    "cursors": (b"AZmqqgAAcACAAAAAAAAAAA", b"AAAAAAAAAAAAAAAAAAAAAB", b"", b"../../etc/passwd"),
    "events": tuple(_events()),
    "idempotency_keys": (
        b"key-1",
        b'"key-1"',
        rb'"a\"b\\c"',
        b"k" * 255,
        b'"' + b"k" * 255 + b'"',
        b' "a" ',
        b'"a";b=1',
    ),
    "json_texts": (
        b"{}",
        b'{"pack":"large","return_url":"https://shop.example/billing","currency":null}',
        rb'{"a":[1,-1.5e3,true,null],"\u0062":{"c":"\ud83d\ude00"}}',
        rb'{"a":"\ud800","b":"\u0000","b":NaN}',
        b"[" * 50 + b"1" + b"]" * 50,
        '[9223372036854775807,-0.0,0.1,"é\u2028"]'.encode(),
    ),
    "return_urls": (
        b"https://shop.example/back?id=1&x=%20#part",
        b"HTTPS://SHOP.example:8443/",
        b"http://localhost:3000/back",
        b"https://[::1]/",
        b"https://user@shop.example/",
        b"https://evil.example\\@shop.example/",
        b"https://shop.example.evil.example:443/",
    ),
    "shopify": tuple(_shopify()),
    "stripe": tuple(_stripe()),
    "tokens": tuple(_tokens()),
}

if __name__ == "__main__":
    main()
