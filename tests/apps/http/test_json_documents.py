"""Reading JSON: the quick way and the careful one are one reading."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from billing_core.errors import InvalidRequest
from billing_http import json_documents
from billing_http.json_documents import read_json

REFUSED = object()

# What readers disagree about, and what stands near it.
PIECES = (
    "{", "}", "[", "]", ":", ",", '"', "\\", "/", " ", "\t", "\n", "\r",
    "\x00", "\x1f", "\x7f", "\ufeff", "\u2028", "é", "\U0001f600",
    "null", "true", "false", "nul", "True", "NaN", "Infinity", "-Infinity",
    "-", "+1", "01", "1.", ".5", "1e5", "1e400", "-1e400", "1E+308", "0", "-0", "-0.0", "1.5", "0x10", "1_000", "٣",
    str(2**63 - 1), str(2**63), str(-(2**63)), str(-(2**63) - 1), "9" * 25, "9" * 5000,
    '"a"', '"a":1', '"a":1,"a":2', '{"a":1,"a":1}', '{"b":{"a":[],"a":{}}}', '""',
    '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\\u0061":1', '"\\\\u0000"', '"\\U0000"',
    '"\\x00"', '"\\/"', '"\\n"', "//", "/* */", "'a'",
)  # fmt: skip

numbers = st.integers() | st.floats() | st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**30])
texts = st.text(max_size=8) | st.text(st.characters(categories=["Cs", "Cc", "Lu"]), max_size=3)
documents = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The text of a document in which pieces were put in, taken out and doubled."""
    text = json.dumps(draw(documents), ensure_ascii=draw(st.booleans()))
    for _ in range(draw(st.integers(0, 3))):
        begin, end = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        middle = draw(st.sampled_from(["", text[begin:end], text[begin:end] * 2, draw(st.sampled_from(PIECES))]))
        text = text[:begin] + middle + text[end:]
    return text


def read(body: bytes) -> Any:
    """What is read, or what the refusal says."""
    try:
        return read_json(body)
    except InvalidRequest as refusal:
        return REFUSED, [(each.pointer, each.detail) for each in refusal.errors]


def read_carefully(body: bytes) -> Any:
    """The same without the quick way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_documents, "_undoubted", lambda _: json_documents._DOUBTED)
        return read(body)


@settings(max_examples=1500, deadline=None)
@given(text=mutated() | st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
@example(text='{"a":1,"a":1}')
@example(text='[{"a":{"b":NaN}}]')
@example(text='"\ud800"')
@example(text="[" * 5000)
@example(text="[" * 900 + "NaN" + "]" * 900)
def test_the_quick_way_reads_what_the_careful_one_reads(text: str) -> None:
    """No text is accepted, refused, read or explained differently, whichever way it takes."""
    body = text.encode("utf-8", "surrogatepass")

    assert repr(read(body)) == repr(read_carefully(body))


@settings(max_examples=1500, deadline=None)
@given(body=st.binary(max_size=40) | mutated().map(lambda text: text.encode("utf-16", "surrogatepass")))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Nothing but a document or a refusal ever comes of bytes."""
    assert repr(read(body)) == repr(read_carefully(body))


@given(document=documents)
def test_what_is_accepted_is_what_was_written(document: Any) -> None:
    """A document without anything to refuse comes back as it was; nothing comes back changed. Two halves of a character
    one after the other are that character (RFC 8259 §7)."""
    written = json.dumps(document)
    told = read(written.encode())

    assert isinstance(told, tuple) or repr(told) == repr(json.loads(written))
