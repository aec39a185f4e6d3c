"""Input of many parts is read in a time that grows with it, not with its square."""

import json
import time
from collections.abc import Callable

import pytest
from starlette.requests import Request

from billing_core.errors import InvalidRequest
from billing_http.billing import PurchasesQuery
from billing_http.head import Head
from billing_http.json_documents import read_json
from billing_http.requests import read_query

MANY = 20_000
# Square work on so many parts took 3 to 8 s; work that grows with them takes hundredths.
SOON_S = 1.0


def a_head() -> None:
    """Reads a head of many fields, one of which came twice."""
    fields = [(b"x-%d" % number, b"") for number in range(MANY)]
    assert Head([*fields, fields[0]]).one(b"x-1") == ""


def a_body() -> None:
    """Reads an object of many names, one of which came twice."""
    names = ",".join(f'"{number}":0' for number in range(MANY))
    with pytest.raises(InvalidRequest):
        read_json(f'{{{names},"0":0}}'.encode())


def a_query() -> None:
    """Reads a query of many parameters."""
    names = "&".join(str(number) for number in range(MANY))
    with pytest.raises(InvalidRequest):
        read_query(Request({"type": "http", "query_string": f"{names}&0".encode(), "headers": []}), PurchasesQuery)


@pytest.mark.parametrize("read", [a_head, a_body, a_query])
def test_many_parts_are_read_soon(read: Callable[[], None]) -> None:
    """One request cannot keep a whole process busy."""
    began_s = time.process_time()

    read()

    assert time.process_time() - began_s < SOON_S


def test_a_deep_document_is_refused_soon() -> None:
    """Neither depth nor a long way to the fault is dear."""
    began_s = time.process_time()

    for text in (b"[" * 64_000, b'{"a":' * 13_000, json.dumps({"a": [None] * 10_000}).encode()[:-1] + b',"a":0}'):
        with pytest.raises(InvalidRequest):
            read_json(text)

    assert time.process_time() - began_s < SOON_S
