"""The table of bad requests: by rule, what is sent and how it is refused.

Most rules hold for every operation of the service, or every one with a body, so a new operation is in the table the day
it is made.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.apps.http.door import RETURN_URL, signed, some_claims
from tests.apps.http.test_process import token
from tests.hostile.live import Fields, good_headers, request

from billing_adapters.clock import SystemClock
from billing_http.operations import OPERATIONS, Operation

UNKNOWN_ID = "0199aaaa-0000-7000-8000-000000000000"
PURCHASES = "/api/billing/purchases"
READ_ONLY = {"GET /health", "GET /health/live", "GET /health/ready", "GET /metrics"}


@dataclass(frozen=True)
class Bad:
    """A bad request, the answers it may have (status and code), and the operation whose document says so."""

    name: str
    sent: bytes
    told: frozenset[tuple[int, str]]
    operation: Operation | None = None


def told(*answers: str) -> frozenset[tuple[int, str]]:
    """The answers, each written as `400 INVALID_REQUEST`."""
    pairs = (each.split(" ") for each in answers)
    return frozenset((int(status), code) for status, code in pairs)


INVALID = told("400 INVALID_REQUEST")


def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


def target(operation: Operation) -> str:
    """A path of the operation."""
    return operation.path.replace("{id}", UNKNOWN_ID)


def good_body(operation: Operation) -> bytes | None:
    """A body the operation takes."""
    if operation.body is None:
        return None
    return b"{}" if not operation.body.model_fields else purchase()


def purchase(pack: str = '"large"', return_url: str | None = None, more: str = "") -> bytes:
    """The text of a purchase, its values as they are."""
    url = f'"{RETURN_URL}"' if return_url is None else return_url
    return f'{{"pack": {pack}, "return_url": {url}{more}}}'.encode()


# --- headers ------------------------------------------------------------------------------------------------------


def a_token(**claims: object) -> str:
    """A signed token for the merchant of the tests, with other claims."""
    good = {"iss": "billing-development", "scope": "billing:read billing:write"}
    return signed(some_claims(SystemClock(), "merchant-1") | good | claims)


def authorizations() -> dict[str, list[str]]:
    """What stands for a token and is none."""
    good = token()
    header, claims, signature = good.split(".")
    return {
        "none": [],
        "empty": [""],
        "the scheme alone": ["Bearer"],
        "Basic": ["Basic bWVyY2hhbnQtMTpzZWNyZXQ="],
        "another scheme": [f"Token {good}"],
        "no scheme": [good],
        "quoted": [f'Bearer "{good}"'],
        "twice": [f"Bearer {good}", f"Bearer {good}"],
        "two in one": [f"Bearer {good}, Bearer {good}"],
        "without signature": [f"Bearer {header}.{claims}."],
        "signature of zeros": [f"Bearer {header}.{claims}.{'A' * len(signature)}"],
        "parts exchanged": [f"Bearer {claims}.{header}.{signature}"],
        "padded": [f"Bearer {good}=="],
        "a byte that is no text": [f"Bearer {good}\xff"],
        "9 KiB": ["Bearer " + "a.b." + "c" * 9000],
        "expired": [f"Bearer {a_token(exp=1)}"],
        "of another issuer": [f"Bearer {a_token(iss='other')}"],
        "for another audience": [f"Bearer {a_token(aud='other')}"],
        "of nobody": [f"Bearer {a_token(merchant_id='')}"],
    }


PLATFORMS: dict[str, list[str]] = {
    "none": [],
    "empty": [""],
    "unknown": ["paypal"],
    "in capitals": ["SANDBOX"],
    "twice": ["sandbox", "sandbox"],
    "two in one": ["sandbox, shopify"],
    "quoted": ['"sandbox"'],
    "with a null": ["null"],
    "in other letters": ["s\xe5ndbox"],
    "long": ["sandbox" * 300],
    "a path": ["../sandbox"],
    "an injection": ["sandbox' or '1'='1"],
}
KEYS: dict[str, list[str]] = {
    "none": [],
    "empty": [""],
    "twice": ["a", "a"],
    "two different": ["a", "b"],
    "256 characters": ["k" * 256],
    "8,000 characters": ["k" * 8000],
    "256 in quotes": ['"' + "k" * 256 + '"'],
    "empty in quotes": ['""'],
    "an open quote": ['"a'],
    "a quote inside": ['"a"b"'],
    "a bad escape": ['"a\\b"'],
    "parameters": ['"a";b=1'],
    "a space": ["a b"],
    "a tab": ["a\tb"],
    "Latin-1": ["k\xe9y"],
    "UTF-8": ["k\u00c3\u00a9y"],
    "a list": ['"a", "b"'],
}
MEDIA_TYPES: dict[str, list[str]] = {
    "none": [],
    "empty": [""],
    "twice": ["application/json", "application/json"],
    "two in one": ["application/json, application/json"],
    "a form": ["application/x-www-form-urlencoded"],
    "parts": ["multipart/form-data; boundary=x"],
    "text": ["text/plain"],
    "text/json": ["text/json"],
    "a patch": ["application/merge-patch+json"],
    "anything": ["*/*"],
    "Latin-1": ["application/json; charset=latin-1"],
    "UTF-16": ["application/json; charset=utf-16"],
    "an open quote": ['application/json; charset="utf-8'],
    "unknown parameter": ["application/json; version=1"],
    "half": ["application/"],
    "with a byte that is no text": ["application/json\xff"],
}


def bad_headers() -> Iterator[Bad]:
    """Missing, doubled and malformed headers, at every operation."""

    def headers(name: str, values: list[str]) -> Fields:
        return good_headers(without=[name], more=[(name, value) for value in values])

    def each(
        name: str, table: dict[str, list[str]], answer: frozenset[tuple[int, str]], *, with_body: bool = False
    ) -> Iterator[Bad]:
        for operation in OPERATIONS:
            if operation.body or not with_body:
                for what, values in table.items():
                    sent = request(operation.method, target(operation), headers(name, values), good_body(operation))
                    yield Bad(f"{operation.method} {operation.path}, {name}: {what}", sent, answer, operation)

    yield from each("Authorization", authorizations(), told("401 UNAUTHENTICATED"))
    yield from each("X-Platform", PLATFORMS, told("400 INVALID_PLATFORM"))
    yield from each("X-Platform", {"of another": ["shopify"]}, told("403 PLATFORM_MISMATCH", "400 INVALID_PLATFORM"))
    yield from each("Authorization", {"without scope": [f"Bearer {a_token(scope='')}"]}, told("403 FORBIDDEN"))
    yield from each("X-Large", {"40 KiB": ["x" * 40_000]}, told("431 REQUEST_HEADER_FIELDS_TOO_LARGE"))
    yield from each("Idempotency-Key", KEYS, told("400 IDEMPOTENCY_KEY_REQUIRED"), with_body=True)
    yield from each("Content-Type", MEDIA_TYPES, told("415 UNSUPPORTED_MEDIA_TYPE"), with_body=True)
    packings = {each: [each] for each in ("gzip", "deflate", "br", "identity, gzip", "nonsense", "\xff")}
    yield from each("Content-Encoding", packings, told("415 UNSUPPORTED_MEDIA_TYPE"), with_body=True)


# --- bodies -------------------------------------------------------------------------------------------------------

DOCUMENTS: dict[str, bytes] = {
    "empty": b"",
    "spaces": b"   ",
    "no JSON": b"pack=large",
    "XML": b"<pack>large</pack>",
    "array": b"[]",
    "array of objects": b"[{}]",
    "text": b'"large"',
    "number": b"1",
    "true": b"true",
    "null": b"null",
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "cut off": b'{"pack": "la',
    "cut off at the end": b'{"pack": "large"',
    "two documents": b"{}{}",
    "a comma too many": b'{"a": 1,}',
    "no quotes": b"{a: 1}",
    "single quotes": b"{'a': 1}",
    "a comment": b'{/* */"a": 1}',
    "unknown name": b'{"unknown": 1}',
    "unknown empty name": b'{"": 1}',
    "unknown name of a prototype": b'{"__proto__": {"admin": true}}',
    "name twice": b'{"a": 1, "a": 2}',
    "name twice by escape": b'{"a": 1, "\\u0061": 2}',
    "name twice inside": b'{"a": {"b": 1, "b": 1}}',
    "NUL": b'{"a": "\\u0000"}',
    "NUL in a name": b'{"\\u0000": 1}',
    "raw NUL": b'{"a": "\x00"}',
    "raw line end": b'{"a": "\n"}',
    "surrogate": b'{"a": "\\ud800"}',
    "surrogates in the wrong order": b'{"a": "\\udc00\\ud800"}',
    "surrogate in a name": b'{"\\udfff": 1}',
    "surrogate in UTF-8": b'{"a": "\xed\xa0\x80"}',
    "bad UTF-8": b'{"a": "\xff"}',
    "UTF-8 cut off": b'{"a": "\xf0\x9f"}',
    "overlong UTF-8": b'{"a": "\xc0\x80"}',
    "Latin-1": '{"a": "é"}'.encode("latin-1"),
    "UTF-16": "{}".encode("utf-16"),
    "UTF-32": "{}".encode("utf-32"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "bad escape": b'{"a": "\\x00"}',
    "half an escape": b'{"a": "\\u12"}',
    "5000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "2^63": b'{"a": 9223372036854775808}',
    "-2^63-1": b'{"a": -9223372036854775809}',
    "1e400": b'{"a": 1e400}',
    "a leading zero": b'{"a": 01}',
    "hexadecimal": b'{"a": 0x10}',
    "other digits": '{"a": \u0663}'.encode(),
    "60,000 brackets": b"[" * 60_000,
    "60,000 braces": b'{"a":' * 12_000,
    "30,000 closed brackets": b"[" * 30_000 + b"]" * 30_000,
    "6,000 names, one twice": b"{" + b",".join(b'"%d":0' % (number % 5999) for number in range(6000)) + b"}",
}
PACKS = ("1", "1.5", "true", "null", "[]", '["large"]', "{}", '{"$ne": ""}', str(2**63), "NaN")
UNKNOWN_PACKS = ('""', '"huge"', '"LARGE"', '" large"', '"large\\n"', '"' + "x" * 5000 + '"', '"\\u2028"', '"../large"')
RETURN_URLS = (
    "1", "null", "[]", "{}", '""', '"shop"', '"//shop.example"', '"/billing"', '"javascript:alert(1)"',
    '"data:text/html,x"', '"file:///etc/passwd"', '"ftp://shop.example/"', '"http://shop.example/"',
    '"https://"', '"https:///x"', '"https://user@shop.example/"', '"https://user:pass@shop.example/"',
    '"https://shop.example\\\\@evil.example/"', '"https://shop.example/\\u0000"', '"https://shop.example/\\n"',
    '"https://shop.example:99999/"', '"https://[::1/"', '"https://shop exa.example/"', '"\\thttps://shop.example/"',
    '"https://shop.example/' + "x" * 5000 + '"',
)  # fmt: skip
CURRENCIES = ("1", "[]", '""', '"usd"', '"US"', '"USDD"', '"U$D"', '"USD\\n"', '"\\u0391BC"', '"EUR"', '"XXX"')


def bad_bodies() -> Iterator[Bad]:
    """Documents that are none, at every operation with a body; wrong values in each field of a purchase."""

    def posted(operation: Operation, what: str, body: bytes, answer: frozenset[tuple[int, str]]) -> Bad:
        sent = request("POST", operation.path, good_headers(), body)
        return Bad(f"POST {operation.path}: {what}", sent, answer, operation)

    for operation in (each for each in OPERATIONS if each.body):
        for what, body in DOCUMENTS.items():
            yield posted(operation, what, body, INVALID)
        yield posted(operation, "64 KiB and one", b" " * (64 * 1024 + 1), told("413 PAYLOAD_TOO_LARGE"))
        yield posted(operation, "1 MiB", b"x" * 1024 * 1024, told("413 PAYLOAD_TOO_LARGE"))
    buying = next(each for each in OPERATIONS if each.body and each.body.model_fields)
    for pack in PACKS:
        yield posted(buying, f"pack {pack}", purchase(pack), INVALID)
    for pack in UNKNOWN_PACKS:
        yield posted(buying, f"pack {pack[:20]}", purchase(pack), told("400 INVALID_PACK"))
    for url in RETURN_URLS:
        yield posted(buying, f"return_url {url[:40]}", purchase(return_url=url), INVALID)
    for currency in CURRENCIES:
        yield posted(buying, f"currency {currency}", purchase(more=f', "currency": {currency}'), INVALID)
    for name in ("id", "merchant_id", "status", "price", "credits", "test", "platform", "Pack", "pack "):
        yield posted(buying, f"a field {name!r}", purchase(more=f', "{name}": "x"'), INVALID)


# --- targets ------------------------------------------------------------------------------------------------------

QUERIES = (
    *words("""
    limit=0 limit=101 limit=-1 limit=1.0 limit=1e1 limit= limit limit=+1 limit=%201 limit=01 limit=%D9%A3
    limit=NaN limit=null limit=9999999999999999999999 limit=1&limit=1 limit=1;limit=2 limit[]=1 limit=1%00
    status=paid status= status=COMPLETED status=completed,failed status=completed&status=failed status=%00
    status='%20or%201=1-- archived=1 archived=True archived= archived=yes archived=true&archived=true cursor=
    cursor=nonsense cursor=%00 cursor=..%2F.. cursor=AAAAAAAAAAAAAAAAAAAAAB cursor=%FF%FE cursor=%F0%9F%98%80
    page=2 Limit=2 offset=1 merchant_id=merchant-2 = =1 &=& %00=1 %F0%9F%98%80=1 a.b=1 limit=1&x
    """),
    "cursor=" + "A" * 7000,
)  # fmt: skip
IDS = (
    *words("""
    x 0 -1 1e3 null undefined NaN * %2A %00 %0A %0D%0AX-Injected:%201 %20 %25 %2e ..%2f..%2fetc%2fpasswd
    ..%5c..%5c %c0%ae%c0%ae %FF %F0%9F%98%80 %ED%A0%80 {id} $id '%20or%201=1%20--
    00000000-0000-0000-0000-000000000000 ffffffff-ffff-ffff-ffff-ffffffffffff
    0199aaaa-0000-7000-8000-00000000000g
    """),
    UNKNOWN_ID, UNKNOWN_ID.upper(), UNKNOWN_ID[:-1], UNKNOWN_ID + "0", UNKNOWN_ID.replace("-", ""),
    UNKNOWN_ID.replace("-", "%2D") + "%00", "%7B" + UNKNOWN_ID + "%7D", "urn:uuid:" + UNKNOWN_ID, "a" * 2000,
)  # fmt: skip
PATHS = (
    *words("""
    / // /. /.. /nowhere /api /api/ /api/billing/ /api/billing//trials //api/billing /API/billing
    /api/billing/trials/ /api/billing/trial /api/billing/trials/x /api/billing/./trials
    /api/billing/../billing /api/billing/%2e%2e/health /api%2Fbilling/ /api/billing%00 /api/billing/purchases/
    /api/billing/purchases/x/y /api/billing/purchases/x/history/ /api/billing/purchases/x/History
    /api/billing;a=b /health/ /health/x /metrics/ /.env /.git/config /admin /wp-login.php /webhooks/stripe
    /webhooks/shopify * /%FF /%F0%9F%98%80 /% /%zz
    """),
    "/" + "a" * 7000,
)  # fmt: skip


def bad_targets() -> Iterator[Bad]:
    """Wrong queries, ids and paths."""
    listing = next(each for each in OPERATIONS if each.query)
    for query in QUERIES:
        sent = request("GET", f"{PURCHASES}?{query}", good_headers())
        yield Bad(f"GET {PURCHASES}?{query[:40]}", sent, INVALID, listing)
    for operation in OPERATIONS:
        for query in ("a=1", "limit=1&limit=1", "%00", "=") if operation is not listing else ():
            sent = request(operation.method, f"{target(operation)}?{query}", good_headers(), good_body(operation))
            yield Bad(f"{operation.method} {operation.path}?{query}", sent, INVALID, operation)
        sent = request(operation.method, f"{target(operation)}?{'x' * 9000}", good_headers(), good_body(operation))
        yield Bad(f"{operation.method} {operation.path}?9000", sent, told("414 URI_TOO_LONG"), operation)
        if "{id}" in operation.path:
            for each in IDS:
                sent = request("GET", operation.path.replace("{id}", each), good_headers())
                answer = told("404 PURCHASE_NOT_FOUND", "404 NOT_FOUND")
                yield Bad(f"GET {operation.path}: {each[:40]}", sent, answer, operation)
    for path in PATHS:
        yield Bad(f"GET {path[:40]}", request("GET", path, good_headers()), told("404 NOT_FOUND"))


METHODS = (
    "GET",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "PROPFIND",
    "PURGE",
    "LOCK",
    "REPORT",
    "M-SEARCH",
)


def bad_methods() -> Iterator[Bad]:
    """Every method at every path that does not answer it, with and without a body."""
    answered = {f"{each.method} {each.path}" for each in OPERATIONS} | READ_ONLY
    for path in dict.fromkeys(each.partition(" ")[2] for each in answered):
        for method in METHODS:
            if f"{method} {path}" not in answered:
                place = path.replace("{id}", UNKNOWN_ID)
                body = None if method in ("GET", "TRACE") else b"{}"
                sent = request(method, place, good_headers(), body)
                yield Bad(f"{method} {path}", sent, told("405 METHOD_NOT_ALLOWED"))


# --- what is no HTTP ----------------------------------------------------------------------------------------------

HOST = "Host: billing.test\r\n"
NO_HTTP: dict[str, str] = {
    "garbage": "garbage\r\n\r\n",
    "zeros": "\0" * 64 + "\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\0" * 64,
    "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "SSH": "SSH-2.0-OpenSSH_9.9\r\n",
    "HTTP/9.9": f"GET /health HTTP/9.9\r\n{HOST}\r\n",
    "HTTP/1": f"GET /health HTTP/1\r\n{HOST}\r\n",
    "another protocol": f"GET /health ICAP/1.0\r\n{HOST}\r\n",
    "method in lower case": f"get /health HTTP/1.1\r\n{HOST}\r\n",
    "unknown method": f"BREW /health HTTP/1.1\r\n{HOST}\r\n",
    "no method": f" /health HTTP/1.1\r\n{HOST}\r\n",
    "no target": f"GET  HTTP/1.1\r\n{HOST}\r\n",
    "target with a space": f"GET /he alth HTTP/1.1\r\n{HOST}\r\n",
    "target with NUL": f"GET /health\0 HTTP/1.1\r\n{HOST}\r\n",
    "target without a slash": f"GET health HTTP/1.1\r\n{HOST}\r\n",
    "target to a host": f"CONNECT billing.test:443 HTTP/1.1\r\n{HOST}\r\n",
    "field without a colon": f"GET /health HTTP/1.1\r\n{HOST}nonsense\r\n\r\n",
    "field without a name": f"GET /health HTTP/1.1\r\n{HOST}: x\r\n\r\n",
    "space before the colon": f"GET /health HTTP/1.1\r\n{HOST}Content-Length : 0\r\n\r\n",
    "space in a name": f"GET /health HTTP/1.1\r\n{HOST}X A: b\r\n\r\n",
    "NUL in a name": f"GET /health HTTP/1.1\r\n{HOST}X\0: b\r\n\r\n",
    "NUL in a value": f"GET /health HTTP/1.1\r\n{HOST}X: a\0b\r\n\r\n",
    "a bare carriage return": f"GET /health HTTP/1.1\r\n{HOST}X: a\rb\r\n\r\n",
    "a folded field": f"GET /health HTTP/1.1\r\n{HOST}X: a\r\n b\r\n\r\n",
    "a folded first field": f"GET /health HTTP/1.1\r\n {HOST}\r\n",
    "length and chunks": f"POST / HTTP/1.1\r\n{HOST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": f"POST /health HTTP/1.1\r\n{HOST}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}",
    "the same length twice": f"POST /health HTTP/1.1\r\n{HOST}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}",
    "two lengths in one": f"POST /health HTTP/1.1\r\n{HOST}Content-Length: 2, 2\r\n\r\n{{}}",
    "length below zero": f"POST /health HTTP/1.1\r\n{HOST}Content-Length: -1\r\n\r\n",
    "length with a sign": f"POST /health HTTP/1.1\r\n{HOST}Content-Length: +2\r\n\r\n{{}}",
    "length in hexadecimal": f"POST /health HTTP/1.1\r\n{HOST}Content-Length: 0x2\r\n\r\n{{}}",
    "length of text": f"POST /health HTTP/1.1\r\n{HOST}Content-Length: two\r\n\r\n{{}}",
    "length of nothing": f"POST /health HTTP/1.1\r\n{HOST}Content-Length: \r\n\r\n",
    "length beyond 64 bits": f"POST /health HTTP/1.1\r\n{HOST}Content-Length: {2**64}\r\n\r\n",
    "length of other digits": f"POST /health HTTP/1.1\r\n{HOST}Content-Length: \xb2\r\n\r\n",
    "chunks that are not last": f"POST /health HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunks by another name": f"POST /health HTTP/1.1\r\n{HOST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "packed without chunks": f"POST /health HTTP/1.1\r\n{HOST}Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
}  # fmt: skip
# The head is good and the body is not: what comes of it is told by whoever gets there first.
NO_BODY: dict[str, str] = {
    "chunk of no size": "\r\n{}\r\n0\r\n\r\n",
    "chunk of text": "xyz\r\n{}\r\n0\r\n\r\n",
    "chunk below zero": "-2\r\n{}\r\n0\r\n\r\n",
    "chunk with a sign": "+2\r\n{}\r\n0\r\n\r\n",
    "chunk with 0x": "0x2\r\n{}\r\n0\r\n\r\n",
    "chunk longer than said": "1\r\n{}\r\n0\r\n\r\n",
    "chunk beyond 64 bits": "1" + "0" * 16 + "\r\n{}\r\n0\r\n\r\n",
    "chunk without line end": "2{}\r\n0\r\n\r\n",
}


def no_http() -> Iterator[Bad]:
    """Bytes that are no HTTP, lengths that contradict each other, chunks that are none."""
    for what, text in NO_HTTP.items():
        yield Bad(what, text.encode("latin-1"), INVALID)
    for operation in (each for each in OPERATIONS if each.body):
        for what, text in NO_BODY.items():
            sent = (
                request("POST", operation.path, good_headers(more=[("Transfer-Encoding", "chunked")])) + text.encode()
            )
            yield Bad(f"POST {operation.path}, {what}", sent, INVALID, operation)
    yield Bad(
        "600 KiB of one field",
        f"GET /health HTTP/1.1\r\n{HOST}X: {'x' * 600_000}".encode(),
        told("431 REQUEST_HEADER_FIELDS_TOO_LARGE"),
    )
    yield Bad(
        "600 KiB of fields",
        b"GET /health HTTP/1.1\r\n" + b"X: x\r\n" * 100_000,
        told("431 REQUEST_HEADER_FIELDS_TOO_LARGE"),
    )
    yield Bad("600 KiB of a target", f"GET /{'x' * 600_000}".encode(), told("431 REQUEST_HEADER_FIELDS_TOO_LARGE"))


RULES: dict[str, Callable[[], Iterator[Bad]]] = {
    "headers": bad_headers,
    "bodies": bad_bodies,
    "targets": bad_targets,
    "methods": bad_methods,
    "no HTTP": no_http,
}
