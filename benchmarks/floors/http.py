"""`python -m benchmarks.floors.http`: the HTTP workloads as one ASGI function over asyncpg and Redis.

It reads the same environment as `billing_http`. Two transactions stand around the checkout, as there: the purchase is
committed before anybody could be sent to pay it.
"""

import base64
import hashlib
import hmac
import os
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import orjson
import redis.asyncio
import uuid_utils.compat
import uvicorn

from benchmarks.floors import http_sql as sql

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

ROUTE = "POST /api/billing/purchases"
EVENT_ID_NAMESPACE = uuid.UUID("6f0cf8a1-9a52-5d5e-9b8a-52b0bb0f3b0e")
CREATED = "evt.billing.purchase.created"
CATALOG = {"small": (100, 999), "medium": (500, 3999), "large": (1000, 6999)}
CATALOG_VERSION, MAX_OPEN = "default-1", 5
STATUSES = ("created", "pending", "completed", "declined", "failed", "expired", "cancelled", "partially_refunded",
            "refunded", "disputed")  # fmt: skip
REMEMBERED_S = 24 * 3600
LEEWAY_S = 30
ALWAYS = [
    (b"content-type", b"application/json"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]


class Refused(Exception):
    """The request is not answered as it wants; the status says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    merchant_id: str
    platform: str
    subject: str
    correlation_id: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What is told: a body, and what stands in its head."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Floor:
    """The service. One in a process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._secret = environment["BILLING_JWT_SECRET"].encode()
        self._issuer, self._audience = environment["BILLING_JWT_ISSUER"], environment["BILLING_JWT_AUDIENCE"]
        self._offer_key = hmac.digest(self._secret, b"billing sandbox offer, version 1", "sha256")
        self._hosts = set(environment["BILLING_RETURN_URL_HOSTS"].split(","))
        self._base_url = f"http://127.0.0.1:{environment['BILLING_PORT']}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        headers = dict(scope["headers"])
        correlation_id = headers.get(b"x-correlation-id", b"").decode() or str(uuid_utils.compat.uuid7())
        try:
            answer = await self._answer(scope, headers, receive, correlation_id)
        except Refused as refused:
            answer = Answer(refused.status, b"{}")
        head = [(b"content-length", b"%d" % len(answer.body)), (b"x-correlation-id", correlation_id.encode())]
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": [*head, *ALWAYS, *answer.headers]}
        )
        await send({"type": "http.response.body", "body": answer.body})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        size = int(self._environment["BILLING_DATABASE_POOL_SIZE"])
        url = self._environment["BILLING_DATABASE_URL"]
        self._redis = redis.asyncio.from_url(self._environment["BILLING_REDIS_URL"])
        async with asyncpg.create_pool(url, min_size=size, max_size=size, reset=_leave_as_it_is) as self._pool:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await self._redis.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(
        self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, correlation_id: str
    ) -> Answer:
        method, path = scope["method"], scope["path"]
        if path == "/health/ready":
            return Answer(200, b"{}")
        writes = method == "POST"
        caller = self._caller(headers, "billing:write" if writes else "billing:read", correlation_id)
        if path == "/api/billing/purchases" and writes:
            return await self._create(caller, headers, await _body(receive))
        if path == "/api/billing/purchases" and method == "GET":
            return await self._page(caller, scope["query_string"])
        if path == "/api/billing" and method == "GET":
            return await self._overview(caller)
        raise Refused(404)

    def _caller(self, headers: Mapping[bytes, bytes], scope: str, correlation_id: str) -> Caller:
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer":
            raise Refused(401)
        claims = self._claims(token)
        if scope not in claims["scope"].split(" "):
            raise Refused(403)
        if headers.get(b"x-platform", b"").decode() != claims["platform"]:
            raise Refused(403)
        return Caller(claims["merchant_id"], claims["platform"], claims["sub"], correlation_id)

    def _claims(self, token: bytes) -> dict[str, Any]:
        signed, _, signature = token.rpartition(b".")
        head, _, payload = signed.partition(b".")
        if not hmac.compare_digest(hmac.digest(self._secret, signed, "sha256"), _decoded(signature)):
            raise Refused(401)
        claims: dict[str, Any] = orjson.loads(_decoded(payload))
        now_s = datetime.now(UTC).timestamp()
        if (
            orjson.loads(_decoded(head)).get("alg") != "HS256"
            or claims["exp"] <= now_s
            or claims["iat"] > now_s + LEEWAY_S
            or claims["aud"] != self._audience
            or claims["iss"] != self._issuer
        ):
            raise Refused(401)
        return claims

    # --- (a) and (b) -------------------------------------------------------------------------------------------------

    async def _create(self, caller: Caller, headers: Mapping[bytes, bytes], body: bytes) -> Answer:
        key = headers.get(b"idempotency-key", b"").decode()
        if not 0 < len(key) <= 255 or headers.get(b"content-type") != b"application/json":
            raise Refused(400)
        request = orjson.loads(body)
        pack, return_url, currency = request["pack"], request["return_url"], request.get("currency")
        where = urlsplit(return_url)
        if pack not in CATALOG or where.scheme != "https" or where.hostname not in self._hosts:
            raise Refused(400)
        asked = {"currency": currency, "pack": pack, "return_url": return_url, "route": ROUTE}
        fingerprint = hashlib.sha256(orjson.dumps(asked)).hexdigest()
        name = _replay_name(caller.merchant_id, key)
        remembered: Any = await self._redis.get(name)
        if remembered is not None:
            return _replayed(fingerprint, *_read_entry(remembered))
        answer = await self._open(caller, key, fingerprint, pack, return_url)
        await self._redis.set(name, _entry(fingerprint, "created", answer.body), ex=REMEMBERED_S)
        return answer

    async def _open(self, caller: Caller, key: str, fingerprint: str, pack: str, return_url: str) -> Answer:
        purchase_id, now = uuid_utils.compat.uuid7(), datetime.now(UTC)
        expires_at = now + timedelta(hours=24)
        credits_, amount_minor = CATALOG[pack]
        seen = await self._pool.fetchrow(sql.LOOK, caller.merchant_id, ROUTE, key, pack, credits_, amount_minor, now)
        if seen is None or seen["platform"] != caller.platform:
            raise Refused(404)
        if seen["document"] is not None:
            return _replayed(fingerprint, seen["fingerprint"], seen["outcome"], seen["document"])
        if seen["key_is_known"] or seen["same"] or seen["many"] >= MAX_OPEN:
            raise Refused(409)
        sequence, account = seen["event_sequence"] + 1, seen["platform_account_id"]
        event_id = uuid.uuid5(EVENT_ID_NAMESPACE, f"{CREATED}|{purchase_id}")
        fact = {
            "merchant_id": caller.merchant_id, "platform": caller.platform, "purchase_id": purchase_id,
            "pack": pack, "credits": credits_, "bonus_credits": 0,
            "price": {"amount_minor": amount_minor, "currency": "USD", "amount": _amount(amount_minor)},
            "expires_at": expires_at,
        }  # fmt: skip
        opened = await self._pool.fetchrow(
            sql.OPEN_PURCHASE,
            caller.merchant_id, ROUTE, key, fingerprint, now, purchase_id, caller.platform, account, pack,
            CATALOG_VERSION, credits_, amount_minor, return_url, expires_at,
            f"CP-{purchase_id.hex[12:].upper()}", caller.subject, caller.correlation_id, sequence, event_id,
            CREATED, _event(event_id, caller, now, sequence, fact),
        )  # fmt: skip
        if opened is None:
            raise Refused(409)
        return await self._hand_out(caller, key, purchase_id, account, fact, return_url, now)

    async def _hand_out(
        self, caller: Caller, key: str, purchase_id: uuid.UUID, account: str, fact: dict[str, Any], return_url: str,
        now: datetime,
    ) -> Answer:  # fmt: skip
        reference, url = self._checkout(purchase_id, account, fact, return_url)
        document = _dumped({
            "id": purchase_id, "merchant_id": caller.merchant_id, "pack": fact["pack"], "credits": fact["credits"],
            "bonus_credits": 0, "price": fact["price"], "status": "pending", "platform": caller.platform,
            "platform_reference": reference, "checkout_url": url, "test": True, "late": False, "needs_review": False,
            "credits_reversed": 0, "created_at": now, "expires_at": fact["expires_at"], "completed_at": None,
        })  # fmt: skip
        done = await self._pool.execute(
            sql.HAND_OUT,
            caller.merchant_id, purchase_id, reference, url, datetime.now(UTC), caller.subject, caller.correlation_id,
            document, ROUTE, key,
        )  # fmt: skip
        if done != "UPDATE 1":
            raise Refused(409)
        return _created(document)

    def _checkout(self, purchase_id: uuid.UUID, account: str, fact: dict[str, Any], return_url: str) -> tuple[str, str]:
        """The sandbox's checkout: what is offered, signed, in its address."""
        mark = hashlib.sha256(f"{purchase_id.hex}|{account}".encode()).hexdigest()[:16]
        reference = f"sbx_{purchase_id.hex}{mark}"
        offer = _dumped({
            "reference": reference, "merchant_id": fact["merchant_id"], "platform_account_id": account,
            "pack": fact["pack"], "credits": fact["credits"], "bonus_credits": 0,
            "amount_minor": fact["price"]["amount_minor"], "currency": "USD", "return_url": return_url,
            "expires_at": fact["expires_at"],
        })  # fmt: skip
        signed = _OFFER_HEAD + b"." + _encoded(offer)
        token = signed + b"." + _encoded(hmac.digest(self._offer_key, signed, "sha256"))
        return reference, f"{self._base_url}/sandbox/checkout/{reference}?offer={token.decode()}"

    # --- (c) and (d) -------------------------------------------------------------------------------------------------

    async def _overview(self, caller: Caller) -> Answer:
        row = await self._pool.fetchrow(sql.OVERVIEW, caller.merchant_id)
        if row is None or row["of_platform"] != caller.platform:
            raise Refused(404)
        now, counts = datetime.now(UTC), orjson.loads(row["counts"] or b"{}")
        merchant = {
            "id": caller.merchant_id, "platform": row["of_platform"],
            "platform_account_id": row["platform_account_id"], "currency": row["home_currency"],
            "registered_at": row["registered_at"],
        }  # fmt: skip
        purchases = {
            "counts": {status: counts.get(status, 0) for status in STATUSES},
            "credits_purchased": row["all_purchased"] or 0, "credits_reversed": row["all_reversed"] or 0,
            "last": None if row["purchase_id"] is None else _shown(row, now),
        }  # fmt: skip
        packs = [
            {
                "pack": pack, "credits": credits_, "bonus_credits": 0,
                "price": {"amount_minor": minor, "currency": "USD", "amount": _amount(minor)},
                "catalog_version": CATALOG_VERSION,
            }
            for pack, (credits_, minor) in CATALOG.items()
        ]  # fmt: skip
        whole = {"merchant": merchant, "trial": _trial(row, caller, now), "purchases": purchases, "packs": packs}
        return Answer(200, _dumped(whole))

    async def _page(self, caller: Caller, query: bytes) -> Answer:
        limit = int(parse_qs(query.decode()).get("limit", ["20"])[0])
        rows = await self._pool.fetch(sql.PAGE, caller.merchant_id, limit + 1)
        if rows[0]["of_platform"] not in (None, caller.platform):
            raise Refused(403)
        now, found = datetime.now(UTC), [row for row in rows if row["purchase_id"] is not None]
        last = found[limit - 1]["purchase_id"].bytes if len(found) > limit else None
        page = {
            "data": [_shown(row, now) for row in found[:limit]],
            "next_cursor": None if last is None else _encoded(last).decode(),
        }
        return Answer(200, _dumped(page))


def _trial(row: Mapping[str, Any], caller: Caller, now: datetime) -> dict[str, Any]:
    if row["trial_id"] is None:
        return {
            "id": None, "merchant_id": caller.merchant_id, "status": "refused" if row["claimed"] else "available",
            "credits": 500, "duration_days": 14, "started_at": None, "ends_at": None, "converted_at": None,
        }  # fmt: skip
    over = row["trial_status"] == "active" and now >= row["ends_at"]
    refused = row["trial_status"] == "refused"
    return {
        "id": row["trial_id"], "merchant_id": caller.merchant_id,
        "status": "expired" if over else row["trial_status"], "credits": row["trial_credits"],
        "duration_days": row["duration_days"], "started_at": None if refused else row["started_at"],
        "ends_at": None if refused else row["ends_at"], "converted_at": row["converted_at"],
    }  # fmt: skip


def _shown(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    usable = row["status"] in ("created", "pending") and now < row["expires_at"]
    minor = row["amount_minor"]
    return {
        "id": row["purchase_id"], "merchant_id": row["merchant_id"], "pack": row["pack"], "credits": row["credits"],
        "bonus_credits": row["bonus_credits"],
        "price": {"amount_minor": minor, "currency": row["currency"], "amount": _amount(minor)},
        "status": row["status"], "platform": row["platform"], "platform_reference": row["platform_reference"],
        "checkout_url": row["checkout_url"] if usable else None, "test": row["test"], "late": row["late"],
        "needs_review": row["review_reason"] is not None, "credits_reversed": row["credits_reversed"],
        "created_at": row["created_at"], "expires_at": row["expires_at"], "completed_at": row["completed_at"],
    }  # fmt: skip


def _event(event_id: uuid.UUID, caller: Caller, now: datetime, sequence: int, fact: dict[str, Any]) -> bytes:
    trace = hashlib.sha256(caller.correlation_id.encode()).hexdigest()
    return _dumped({
        "specversion": "1.0", "id": event_id, "source": "billing-service", "type": CREATED,
        "subject": caller.merchant_id, "time": now, "datacontenttype": "application/json",
        "correlationid": caller.correlation_id, "traceparent": f"00-{trace[:32]}-{trace[32:48]}-00",
        "sequence": sequence, "data": fact,
    })  # fmt: skip


def _created(document: bytes) -> Answer:
    return Answer(201, document, ((b"location", _location(document)),))


def _replayed(asked: str, fingerprint: str, outcome: str, document: bytes) -> Answer:
    if fingerprint != asked:
        raise Refused(422)
    location = ((b"location", _location(document)),) if outcome == "created" else ()
    return Answer(201 if location else 200, document, (*location, (b"idempotency-replayed", b"true")))


def _location(document: bytes) -> bytes:
    return b"/api/billing/purchases/" + document[7:43]  # {"id":"…


def _replay_name(merchant_id: str, key: str) -> str:
    whole = orjson.dumps([merchant_id, ROUTE, key])
    return f"billing:replay:{hashlib.sha256(whole).hexdigest()}"


def _entry(fingerprint: str, outcome: str, document: bytes) -> bytes:
    content = orjson.dumps([fingerprint, outcome]) + b"\n" + document
    return b"1" + hashlib.blake2b(content, digest_size=8).digest() + content


def _read_entry(entry: bytes) -> tuple[str, str, bytes]:
    if entry[1:9] != hashlib.blake2b(entry[9:], digest_size=8).digest():
        raise Refused(500)
    head, _, document = entry[9:].partition(b"\n")
    fingerprint, outcome = orjson.loads(head)
    return fingerprint, outcome, document


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    return body


def _dumped(document: object) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_UTC_Z, default=str)


def _encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def _decoded(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


def _amount(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02}"


async def _leave_as_it_is(_: object) -> None:
    return None


_OFFER_HEAD = _encoded(b'{"alg":"HS256","typ":"billing-sandbox-offer"}')


def main() -> None:
    """This will serve until told to stop."""
    uvicorn.run(
        Floor(os.environ),
        port=int(os.environ["BILLING_PORT"]),
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
