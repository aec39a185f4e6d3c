"""Idempotency keys: a header field has one text or none, however it is spelled."""

import re

from starlette.requests import Request
from tests.fuzz.target import Target

from billing_http.head import HEAD, Head
from billing_http.refusals import IdempotencyKeyRequired
from billing_http.requests import IDEMPOTENCY_KEY_PATTERN, idempotency_key
from billing_http.state import State

NAME = b"idempotency-key"
_DOCUMENTED = re.compile(IDEMPOTENCY_KEY_PATTERN.removeprefix("^").removesuffix("$"))


def read(*values: bytes) -> str | None:
    """The key of a request with these fields; None where there is none."""
    scope = {"type": "http", HEAD: Head([(NAME, value) for value in values])}
    try:
        return idempotency_key(Request[State](scope))
    except IdempotencyKeyRequired:
        return None


def run(data: bytes) -> None:
    """A key is 1-255 visible ASCII characters, accepted exactly where the document says so, and comes back the same
    from both spellings; two fields are none."""
    key = read(data)
    assert (key is not None) == (_DOCUMENTED.fullmatch(data.decode("latin-1").strip(" \t")) is not None)
    assert read(data, data) is None
    if key is None:
        return
    assert re.fullmatch(r"[\x21-\x7e]{1,255}", key)
    assert read(b'"' + re.sub(r'(["\\])', r"\\\1", key).encode() + b'"') == key
    assert key.startswith('"') or read(key.encode()) == key  # one that begins with a quote can only be quoted


TARGET = Target(
    name="idempotency_keys",
    about="`Idempotency-Key`",
    run=run,
    words=(b'"', b"\\", b'\\"', b"\\\\", b" ", b"\t", b"a" * 255, b'"a"', b";a=1", b", ", b"\xe9", b"\x7f"),
)
