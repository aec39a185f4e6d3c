"""Spans of queries, made when they are over: asyncpg tells each query with the time it took."""

import re
import time
from functools import lru_cache
from typing import Any, Final

import asyncpg
from opentelemetry.trace import Span, SpanKind, StatusCode

from billing_adapters.opentelemetry.tracing import Tracing

# Of a statement that writes, the writes; the tables that are read along with them are no news.
_WRITES: Final = re.compile(r"\b(INSERT) INTO (\w+)|\b(UPDATE) (\w+) SET|\b(DELETE) FROM (\w+)", re.IGNORECASE)
_READ: Final = re.compile(r"\b(SELECT)\b.*?\bFROM (\w+)", re.IGNORECASE | re.DOTALL)


class QuerySpans:
    """Makes a span of each query that something traced asked (semantic conventions for PostgreSQL)."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def __call__(self, query: Any) -> None:
        """This will make the span of a query that asyncpg logged. Its arguments are left out."""
        ended_ns = time.time_ns()
        span = self._tracing.child(
            summary(query.query), kind=SpanKind.CLIENT, started_ns=ended_ns - int(query.elapsed * 1e9)
        )
        if span.is_recording():
            _describe(span, query)
            span.end(ended_ns)


@lru_cache(maxsize=1024)
def summary(text: str) -> str:
    """What a statement does to which tables, as `db.query.summary` has it; its first word where that is not known."""
    found = _WRITES.findall(text) or _READ.findall(text)
    parts = [" ".join(part for part in each if part) for each in found]
    words = " ".join(dict.fromkeys(part.split(" ")[0].upper() + part[len(part.split(" ")[0]) :] for part in parts))
    return words[:255] or text.split(maxsplit=1)[0].rstrip(";").upper()


def _describe(span: Span, query: Any) -> None:
    address = query.conn_addr
    host, port = address if isinstance(address, tuple) else (address, None)
    span.set_attributes(
        {
            "db.system.name": "postgresql",
            "db.namespace": query.conn_params.database or "",
            "db.query.summary": summary(query.query),
            "db.query.text": query.query,
            "server.address": host,
            **({} if port is None else {"server.port": port}),
        }
    )
    if query.exception is None:
        return
    state = query.exception.sqlstate if isinstance(query.exception, asyncpg.PostgresError) else None
    if state is not None:
        span.set_attribute("db.response.status_code", state)
    span.set_attribute("error.type", state or type(query.exception).__name__)
    span.set_status(StatusCode.ERROR)
