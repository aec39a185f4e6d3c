"""Every bad input gets its exact problem document, and nothing is stored."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.apps.http.door import RETURN_URL, WANTED, Door, Headers, assert_problem, signed, some_claims

TRIALS = "/api/billing/trials"
PURCHASES = "/api/billing/purchases"


def body(pack: str = '"large"', more: str = "") -> bytes:
    """The text of a purchase with `pack` and `more` as they are."""
    return f'{{"pack": {pack}, "return_url": "{RETURN_URL}"{more}}}'.encode()


BAD_BODIES = {
    "float": (body("1.5"), "/pack"),
    "true": (body("true"), "/pack"),
    "number": (body("1"), "/pack"),
    "null": (body("null"), "/pack"),
    "list": (body('["large"]'), "/pack"),
    "2^63": (body(str(2**63)), "/pack"),
    "-2^63-1": (body(str(-(2**63) - 1)), "/pack"),
    "5000 digits": (body("9" * 5000), "/pack"),
    "infinite": (body("1e400"), "/pack"),
    "NaN": (body("NaN"), "/pack"),
    "-Infinity": (body("-Infinity"), "/pack"),
    "NUL": (body(r'"large\u0000"'), "/pack"),
    "surrogate": (body(r'"\ud800"'), "/pack"),
    "surrogates in the wrong order": (body(r'"\udc00\ud800"'), "/pack"),
    "unknown field": (body(more=', "price": 1'), "/price"),
    "unknown field with a slash": (body(more=', "a/b~c": 1'), "/a~1b~0c"),
    "name twice": (body(more=', "pack": "small"'), "/pack"),
    "name twice inside": (body('{"a": 1, "a": 2}'), "/pack/a"),
    "NUL in a name": (body(more=r', "\u0000": 1'), "/\ufffd"),
    "surrogate in a name": (body(more=r', "\udfff": 1'), "/\ufffd"),
    "small currency": (body(more=', "currency": "usd"'), "/currency"),
    "currency without a price": (body(more=', "currency": "EUR"'), "/currency"),
    "no pack": (f'{{"return_url": "{RETURN_URL}"}}'.encode(), "/pack"),
    "no return_url": (b'{"pack": "large"}', "/return_url"),
    "return_url is no URL": (b'{"pack": "large", "return_url": "shop"}', "/return_url"),
    "empty": (b"", ""),
    "no JSON": (b"pack=large", ""),
    "cut off": (body()[:-1], ""),
    "two documents": (body() + b"{}", ""),
    "array": (b"[]", ""),
    "string": (b'"large"', ""),
    "null document": (b"null", ""),
    "NaN document": (b"NaN", ""),
    "bad UTF-8": (b'{"pack": "\xff"}', ""),
    "UTF-16": (body().decode().encode("utf-16"), ""),
    "byte order mark": (b"\xef\xbb\xbf" + body(), ""),
    "60,000 brackets": (b"[" * 60_000, ""),
    "30,000 closed brackets": (b"[" * 30_000 + b"]" * 30_000, ""),
    "a raw control character": (b'{"pack": "la\nrge"}', ""),
}


@pytest.mark.parametrize(("sent", "pointer"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_a_bad_body_is_refused_with_a_pointer(door: Door, sent: bytes, pointer: str) -> None:
    """Wrong types, ranges, names and texts are 400 INVALID_REQUEST at the right place."""
    before = door.stored()

    answer = await door.post(PURCHASES, sent)

    errors = assert_problem(answer, 400, "INVALID_REQUEST")["errors"]
    assert pointer in [each["pointer"] for each in errors], errors
    assert door.stored() == before


@pytest.mark.parametrize("sent", [b"", b"[]", b"null", b'{"a": 1}', b"{}x"])
async def test_a_request_without_fields_is_an_empty_object(door: Door, sent: bytes) -> None:
    """`{}` and nothing else starts a trial."""
    before = door.stored()

    answer = await door.post(TRIALS, sent)

    assert_problem(answer, 400, "INVALID_REQUEST")
    assert door.stored() == before


@pytest.mark.parametrize("pack", ["", "huge", "LARGE", "large ", "x" * 5000, "\u2028", "\U0001f600"])
async def test_an_unknown_pack_is_refused(door: Door, pack: str) -> None:
    """Any text that is no pack's code is INVALID_PACK."""
    before = door.stored()

    answer = await door.post(PURCHASES, WANTED | {"pack": pack})

    assert_problem(answer, 400, "INVALID_PACK")
    assert door.stored() == before


BAD_QUERIES = {
    "limit=0": "/limit",
    "limit=101": "/limit",
    "limit=-1": "/limit",
    "limit=1.0": "/limit",
    "limit=%D9%A3": "/limit",
    "limit=": "/limit",
    "limit=9999999999999999999999": "/limit",
    "limit=1&limit=1": "/limit",
    "status=paid": "/status",
    "status=": "/status",
    "archived=1": "/archived",
    "archived=True": "/archived",
    "cursor=": "/cursor",
    "cursor=nonsense": "/cursor",
    "cursor=%00": "/cursor",
    "cursor=AAAAAAAAAAAAAAAAAAAAAB": "/cursor",
    "page=2": "/page",
    "Limit=2": "/Limit",
}


@pytest.mark.parametrize(("query", "pointer"), BAD_QUERIES.items())
async def test_a_bad_query_is_refused_with_a_pointer(door: Door, query: str, pointer: str) -> None:
    """Unknown, doubled and wrong parameters are 400 INVALID_REQUEST."""
    answer = await door.get(f"{PURCHASES}?{query}")

    errors = assert_problem(answer, 400, "INVALID_REQUEST")["errors"]
    assert [each["pointer"] for each in errors] == [pointer]


@pytest.mark.parametrize("path", [TRIALS, "/api/billing", "/api/billing/packs", f"{PURCHASES}/none"])
async def test_no_parameter_is_ignored(door: Door, path: str) -> None:
    """Where no parameter is known every one is unknown."""
    answer = await door.get(f"{path}?merchant_id=other")

    assert assert_problem(answer, 400, "INVALID_REQUEST")["errors"][0]["pointer"] == "/merchant_id"


def sent(name: str, *values: str) -> tuple[str, Headers]:
    """A header with these values instead of the good one."""
    return name, [(name, value) for value in values]


BAD_HEADERS: dict[str, tuple[tuple[str, Headers], int, str]] = {
    "no token": (sent("Authorization"), 401, "UNAUTHENTICATED"),
    "no scheme": (sent("Authorization", "abc"), 401, "UNAUTHENTICATED"),
    "basic": (sent("Authorization", "Basic YTpi"), 401, "UNAUTHENTICATED"),
    "empty token": (sent("Authorization", "Bearer "), 401, "UNAUTHENTICATED"),
    "no platform": (sent("X-Platform"), 400, "INVALID_PLATFORM"),
    "two platforms": (sent("X-Platform", "sandbox", "sandbox"), 400, "INVALID_PLATFORM"),
    "platforms in one": (sent("X-Platform", "sandbox, sandbox"), 400, "INVALID_PLATFORM"),
    "unknown platform": (sent("X-Platform", "stripe"), 400, "INVALID_PLATFORM"),
    "capital platform": (sent("X-Platform", "Sandbox"), 400, "INVALID_PLATFORM"),
    "empty platform": (sent("X-Platform", ""), 400, "INVALID_PLATFORM"),
    "another platform": (sent("X-Platform", "shopify"), 403, "PLATFORM_MISMATCH"),
    "no key": (sent("Idempotency-Key"), 400, "IDEMPOTENCY_KEY_REQUIRED"),
    "two keys": (sent("Idempotency-Key", "a", "a"), 400, "IDEMPOTENCY_KEY_REQUIRED"),
    "empty key": (sent("Idempotency-Key", ""), 400, "IDEMPOTENCY_KEY_REQUIRED"),
    "empty quoted key": (sent("Idempotency-Key", '""'), 400, "IDEMPOTENCY_KEY_REQUIRED"),
    "long key": (sent("Idempotency-Key", "k" * 256), 400, "IDEMPOTENCY_KEY_REQUIRED"),
    "long quoted key": (sent("Idempotency-Key", '"' + "k" * 256 + '"'), 400, "IDEMPOTENCY_KEY_REQUIRED"),
    "key with a space": (sent("Idempotency-Key", "a b"), 400, "IDEMPOTENCY_KEY_REQUIRED"),
    "quoted key with a space": (sent("Idempotency-Key", '"a b"'), 400, "IDEMPOTENCY_KEY_REQUIRED"),
    "half a quote": (sent("Idempotency-Key", '"abc'), 400, "IDEMPOTENCY_KEY_REQUIRED"),
    "a quote inside": (sent("Idempotency-Key", '"a"b"'), 400, "IDEMPOTENCY_KEY_REQUIRED"),
    "a bad escape": (sent("Idempotency-Key", r'"a\b"'), 400, "IDEMPOTENCY_KEY_REQUIRED"),
    "parameters": (sent("Idempotency-Key", '"a";b=1'), 400, "IDEMPOTENCY_KEY_REQUIRED"),
    "no media type": (sent("Content-Type"), 415, "UNSUPPORTED_MEDIA_TYPE"),
    "form": (sent("Content-Type", "application/x-www-form-urlencoded"), 415, "UNSUPPORTED_MEDIA_TYPE"),
    "text": (sent("Content-Type", "text/json"), 415, "UNSUPPORTED_MEDIA_TYPE"),
    "Latin-1": (sent("Content-Type", "application/json; charset=latin-1"), 415, "UNSUPPORTED_MEDIA_TYPE"),
    "two media types": (
        sent("Content-Type", "application/json", "application/json"),
        415,
        "UNSUPPORTED_MEDIA_TYPE",
    ),
    "packed": (sent("Content-Encoding", "gzip"), 415, "UNSUPPORTED_MEDIA_TYPE"),
}


@pytest.mark.parametrize(("header", "status", "code"), BAD_HEADERS.values(), ids=BAD_HEADERS.keys())
async def test_a_bad_header_is_refused(door: Door, header: tuple[str, Headers], status: int, code: str) -> None:
    """Missing, doubled and malformed headers are refused, each with its code."""
    before, (name, values) = door.stored(), header

    answer = await door.post(PURCHASES, body(), headers=door.headers(without=[name], more=values))

    assert_problem(answer, status, code)
    assert door.stored() == before
    assert ("www-authenticate" in answer.headers) == (status == 401)


async def test_several_tokens_are_none(door: Door) -> None:
    """Two Authorization headers are refused though each is good."""
    answer = await door.get("/api/billing", headers=door.headers(more=[("Authorization", f"Bearer {door.token}")]))

    assert_problem(answer, 401, "UNAUTHENTICATED")
    assert answer.headers["www-authenticate"] == 'Bearer realm="billing"'


@pytest.mark.parametrize("key", ["!", "~" * 255, '"' + "k" * 255 + '"', r'"\\\""', 'it"is'])
async def test_keys_at_the_edge_are_taken(door: Door, key: str) -> None:
    """1 to 255 visible characters count as they are meant, without their escapes."""
    answer = await door.post(TRIALS, {}, key=key)

    assert answer.status_code == 201


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON;charset=UTF-8", 'application/json ; charset="utf-8"']
)
async def test_json_may_name_its_charset(door: Door, media_type: str) -> None:
    """UTF-8 may be named, in any spelling of the header."""
    headers = door.headers(without=["Content-Type"], more=[("Content-Type", media_type)])

    answer = await door.post(TRIALS, b"{}", headers=headers)

    assert answer.status_code == 201


async def _chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 1000):
        yield b" " * 1000


@pytest.mark.parametrize(
    "sent", [b" " * (64 * 1024 + 1), b"[" * 200_000, "chunks"], ids=["declared", "brackets", "chunks"]
)
async def test_a_large_body_is_refused(door: Door, sent: Any) -> None:
    """More than 64 KiB is 413, whether its size was declared or not."""
    before = door.stored()

    answer = await door.post(PURCHASES, _chunks(70_000) if sent == "chunks" else sent)

    assert_problem(answer, 413, "PAYLOAD_TOO_LARGE")
    assert door.stored() == before


async def test_a_body_of_64_kib_is_read(door: Door) -> None:
    """The limit itself is within it."""
    answer = await door.post(TRIALS, b"{" + b" " * (64 * 1024 - 2) + b"}")

    assert answer.status_code == 201


async def test_the_first_thing_wrong_is_told(door: Door) -> None:
    """A request that is wrong in every way is refused in the order: path, token, scope, platform, key, body."""
    nothing: Headers = []
    read_only = signed(some_claims(door.billing.clock, door.caller.merchant_id, scope="billing:read"))
    reader = [("Authorization", f"Bearer {read_only}")]
    writer = [("Authorization", f"Bearer {door.token}")]
    shopify, sandbox, key = ("X-Platform", "shopify"), ("X-Platform", "sandbox"), ("Idempotency-Key", "k")
    json = ("Content-Type", "application/json")

    codes = [
        (await door.client.post(path, headers=headers, content=content)).json()["code"]
        for path, headers, content in [
            ("/nowhere", nothing, b"["),
            ("/api/billing", nothing, b"["),
            (PURCHASES, nothing, b"["),
            (PURCHASES, reader, b"["),
            (PURCHASES, writer, b"["),
            (PURCHASES, [*writer, shopify], b"["),
            (PURCHASES, [*writer, sandbox], b"["),
            (PURCHASES, [*writer, sandbox, key], b" " * 70_000),
            (PURCHASES, [*writer, sandbox, key, json], b" " * 70_000),
            (PURCHASES, [*writer, sandbox, key, json], b"["),
        ]
    ]

    assert codes == [
        "NOT_FOUND",
        "METHOD_NOT_ALLOWED",
        "UNAUTHENTICATED",
        "FORBIDDEN",
        "INVALID_PLATFORM",
        "PLATFORM_MISMATCH",
        "IDEMPOTENCY_KEY_REQUIRED",
        "UNSUPPORTED_MEDIA_TYPE",
        "PAYLOAD_TOO_LARGE",
        "INVALID_REQUEST",
    ]
