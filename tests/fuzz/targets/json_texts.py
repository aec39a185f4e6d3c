"""JSON: what is accepted is read as other readers read it, and is the same again when it is written."""

import json
import math
from typing import Any

import pydantic_core
from tests.fuzz.target import Target

from billing_core.errors import InvalidRequest
from billing_http import json_documents
from billing_http.json_documents import MAX_ERRORS, read_json

REFUSED = object()
# What pydantic's reader takes as the deepest.
_DEEPEST = 200


def read(body: bytes) -> Any:
    """What is read; or that, and with which words, it is refused."""
    try:
        return read_json(body)
    except InvalidRequest as refusal:
        assert 0 < len(refusal.errors) <= MAX_ERRORS
        for each in refusal.errors:
            assert each.pointer.isprintable()
            assert len(each.pointer) <= 200
        return REFUSED, [(each.pointer, each.detail) for each in refusal.errors]


def read_carefully(body: bytes) -> Any:
    """The same without the quick way."""
    quick = json_documents._undoubted
    json_documents._undoubted = lambda text: json_documents._DOUBTED
    try:
        return read(body)
    finally:
        json_documents._undoubted = quick


def run(data: bytes) -> None:
    """Both ways of reading agree; what they accept, other readers do, and nothing comes back changed."""
    document = read(data)
    assert repr(document) == repr(read_carefully(data))
    if isinstance(document, tuple):
        return
    assert repr(json.loads(data, object_pairs_hook=_undoubled)) == repr(document)
    again = json.dumps(document, allow_nan=False).encode()
    assert repr(read(again)) == repr(document)
    if _depth(document) < _DEEPEST:
        assert _same(pydantic_core.from_json(data, allow_inf_nan=False), document)


def _undoubled(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs), "a name was given twice"
    return dict(pairs)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-15) or repr(one) == repr(other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and bool(one == other)


def _depth(document: Any) -> int:
    deepest, waiting = 0, [(document, 1)]
    while waiting:
        value, depth = waiting.pop()
        deepest = max(deepest, depth)
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting.extend((each, depth + 1) for each in inner)
    return deepest


TARGET = Target(
    name="json_texts",
    about="the strict reader of bodies and tokens",
    run=run,
    words=(
        *(b"{", b"}", b"[", b"]", b":", b",", b'"', b"null", b"true", b"false", b"NaN", b"-Infinity", b"1e400", b"-0"),
        *(b"0.1", b"1E5", b"9223372036854775807", b"9223372036854775808", b"9" * 30, b'{"a":1,"a":2}', b"[" * 200),
        *(b"\\u0000", b"\\ud800", b"\\udc00", b"\\ud83d\\ude00", b"\\u0061", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\/"),
    ),
)
