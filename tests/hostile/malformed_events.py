"""The table of messages nobody can understand, by rule: the subject and the bytes."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from tests.hostile.bad_requests.bodies import DOCUMENTS

from billing_core.messages import MERCHANT_CREATED, PURCHASE_UPDATED

Sent = tuple[str, bytes]
SUBJECTS = (MERCHANT_CREATED, PURCHASE_UPDATED)
MERCHANT = {"merchant_id": "m-1", "platform": "sandbox"}
NOTICE = {
    "type": "checkout.paid",
    "id": "notice-1",
    "account": "m-1",
    "checkout": {"reference": "sbx_" + "0" * 48, "status": "paid", "amount_minor": 1, "currency": "USD"},
}
CHARGE = {
    "admin_graphql_api_id": "gid://shopify/AppPurchaseOneTime/1",
    "admin_graphql_api_shop_id": "gid://shopify/Shop/1",
    "name": "1000 credits",
    "status": "ACTIVE",
    "created_at": "2026-01-01T00:00:00-05:00",
    "updated_at": "2026-01-01T00:00:00-05:00",
}
EVENT = {
    "object": "event",
    "id": "evt_1",
    "type": "checkout.session.completed",
    "data": {"object": {"object": "checkout.session", "id": "cs_test_1", "mode": "payment"}},
}
# Of a type nobody asked for.
OTHERS: tuple[Any, ...] = (None, True, 0, 1.5, [], {}, ["m-1"], {"a": 1})
TEXTS = (
    "",
    " ",
    "\0",
    "\n",
    "é",
    "\U0001f600",
    "a b",
    "x" * 1000,
    "../m-1",
    "' or 1=1 --",
    "<script>",
    "m-1\n",
    "m-1\0",
)


def unreadable() -> Iterator[Sent]:
    """No JSON objects, on both subjects; or none with anything of what is needed."""
    for subject in SUBJECTS:
        for body in DOCUMENTS.values():
            yield subject, body
        for number in range(20):
            yield subject, bytes(range(number, 256, 7))
        yield subject, b"{}"
        yield subject, b"\x1f\x8b\x08\x00" + b"\0" * 20  # packed
        yield subject, b"[" * 500_000
        yield subject, json.dumps({"specversion": "1.0"}).encode()


def envelopes() -> Iterator[Sent]:
    """CloudEvents whose id or data are none."""
    for subject in SUBJECTS:
        good = {"specversion": "1.0", "id": "event-1", "source": "x", "type": subject, "data": MERCHANT}
        for wrong in (*OTHERS, *(each for each in TEXTS if each not in ("../m-1", "<script>"))):
            yield subject, _json({**good, "id": wrong})
        for wrong in (*OTHERS[:6], "text", "{}", [MERCHANT]):
            yield subject, _json({**good, "data": wrong})
        yield subject, _json({name: value for name, value in good.items() if name != "id"})
        yield subject, _json({name: value for name, value in good.items() if name != "data"})
        yield subject, _json({**good, "data": None, "data_base64": "e30="})


def merchants() -> Iterator[Sent]:
    """Announcements with a field that cannot be."""
    for name in ("merchant_id", "platform"):
        yield from _announced({each: value for each, value in MERCHANT.items() if each != name})
        for wrong in (*OTHERS, *TEXTS):
            yield from _announced({**MERCHANT, name: wrong})
    for wrong in ("SANDBOX", "paypal", "sandbox ", "s" * 65):
        yield from _announced({**MERCHANT, "platform": wrong})
    for wrong in ("m" * 129, "a/b", "a%20b", "м-1"):
        yield from _announced({**MERCHANT, "merchant_id": wrong})
    for wrong in (*OTHERS[1:], "", " ", "\0", "a b", "é", "x" * 256):
        yield from _announced({**MERCHANT, "platform_account_id": wrong})


def _announced(data: dict[str, Any]) -> Iterator[Sent]:
    """Both as a bare object and in an envelope."""
    yield MERCHANT_CREATED, _json(data)
    envelope = {"specversion": "1.0", "id": f"announcement of {data}".encode().hex()[:255], "type": MERCHANT_CREATED}
    yield MERCHANT_CREATED, _json({**envelope, "data": data})


def notices() -> Iterator[Sent]:
    """Notices no platform could have sent."""
    for wrong in (*OTHERS, *TEXTS, "SANDBOX", "paypal"):
        yield PURCHASE_UPDATED, _json({"platform": wrong, "payload": NOTICE})
    for platform in ("sandbox", "shopify", "stripe"):
        yield PURCHASE_UPDATED, _json({"platform": platform})
        for wrong in (*OTHERS, "text"):
            yield PURCHASE_UPDATED, _json({"platform": platform, "payload": wrong})
    for platform, payload in _payloads():
        yield PURCHASE_UPDATED, _json({"platform": platform, "payload": payload})
    yield PURCHASE_UPDATED, _json({"platform": "sandbox", "payload": NOTICE, "topic": 1})


def _payloads() -> Iterator[tuple[str, Any]]:
    for changed in _wrongly(NOTICE, ("type", "id", "account", "checkout")):
        yield "sandbox", changed
    for checkout in _wrongly(NOTICE["checkout"], ("reference", "status", "amount_minor", "currency")):
        yield "sandbox", {**NOTICE, "checkout": checkout}
    for charge in _wrongly(CHARGE, CHARGE):
        yield "shopify", {"app_purchase_one_time": charge}
    for reference in (
        "1",
        "gid://shopify/Shop/1",
        "gid://shopify/AppPurchaseOneTime/x",
        "gid://shopify/AppPurchaseOneTime/1\n",
    ):
        yield "shopify", {"app_purchase_one_time": {**CHARGE, "admin_graphql_api_id": reference}}
    for changed in _wrongly(EVENT, ("id", "type", "data")):
        yield "stripe", changed
    for kind in ("checkout.session.completed", "charge.refunded", "charge.dispute.created", "refund.created"):
        for wrong in (
            *OTHERS,
            {"id": 1},
            {"id": "x", "payment_intent": "x"},
            {"metadata": {"\0": 1}},
            {"object": "other"},
        ):
            yield "stripe", {**EVENT, "type": kind, "data": {"object": wrong}}

    for name in ("\0", "a\nb", "\ud83d\ude00", "x" * 5000):
        refund = {"object": "refund", "payment_intent": "pi_1", "metadata": {name: 1}}
        yield "stripe", {**EVENT, "type": "refund.created", "data": {"object": refund}}


def _wrongly(good: Any, names: Any) -> Iterator[dict[str, Any]]:
    for name in names:
        yield {each: value for each, value in good.items() if each != name}
        for wrong in (*OTHERS[:5], ["x"], ""):
            if (name, wrong) not in (("amount_minor", 0), ("name", "")):
                yield {**good, name: wrong}


def _json(document: Any) -> bytes:
    return json.dumps(document).encode()


RULES: dict[str, Callable[[], Iterator[Sent]]] = {
    "unreadable": unreadable,
    "envelopes": envelopes,
    "merchants": merchants,
    "notices": notices,
}
