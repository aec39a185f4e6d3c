"""Missing, doubled and malformed header fields."""

from collections.abc import Iterator

from tests.apps.http.door import signed, some_claims
from tests.apps.http.test_process import token
from tests.hostile.bad_requests.bad import Bad, good_body, target, told
from tests.hostile.live import Fields, good_headers, request

from billing_adapters.clock import SystemClock
from billing_http.operations import OPERATIONS


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
