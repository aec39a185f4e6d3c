"""Bodies that are no documents, and documents with wrong values."""

from collections.abc import Iterator

from tests.hostile.bad_requests.bad import INVALID, Bad, purchase, told
from tests.hostile.live import good_headers, request

from billing_http.operations import OPERATIONS, Operation

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
