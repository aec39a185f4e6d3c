"""Spans: which are exported, where they stand, and what they tell."""

import asyncio
from types import SimpleNamespace

import asyncpg
import pytest
from asyncpg.connection import LoggedQuery
from opentelemetry.trace import SpanKind, StatusCode
from tests.tracing_kit import SAMPLED, UNSAMPLED, Traces, place

from billing_adapters.opentelemetry.around import around
from billing_adapters.opentelemetry.queries import QuerySpans, summary
from billing_adapters.opentelemetry.tracing import is_sampled, traceparent_of
from billing_adapters.tracing import traced
from billing_core.errors import PlatformUnavailable, PurchaseNotFound, StorageUnavailable
from billing_core.messages import untraced


class Act:
    """A use case, or what is asked of one."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error, self.kept = error, "as it is"

    async def __call__(self, number: int) -> int:
        if self.error is not None:
            raise self.error
        return number + 1

    async def told(self, *, number: int) -> int:
        return await self(number)

    def at_once(self) -> str:
        return "at once"


class TestEntering:
    def test_the_caller_s_trace_is_continued(self) -> None:
        """Below the caller's span, sampled as the caller wants it whatever our share is."""
        for ratio, traceparent in ((0.0, SAMPLED), (1.0, UNSAMPLED)):
            tracing = Traces(ratio).tracing
            span = tracing.enter("x", traceparent=traceparent, correlation_id="c", kind=SpanKind.SERVER)

            assert traceparent_of(span)[:36] == traceparent[:36]
            assert is_sampled(span) == traceparent.endswith("1")

    def test_what_nobody_traced_begins_under_the_id_its_events_have(self) -> None:
        """Sampled or not, logs, events and spans name one trace; and only the first span of it is so named."""
        for ratio in (0.0, 1.0):
            tracing = Traces(ratio).tracing
            first, second = (
                tracing.enter("x", traceparent=None, correlation_id=each, kind=SpanKind.SERVER) for each in "ab"
            )
            third = tracing.begin("y")

            assert traceparent_of(first)[3:35] == untraced("a")[3:35]
            assert traceparent_of(second)[3:35] == untraced("b")[3:35]
            assert traceparent_of(third)[3:35] not in {untraced("a")[3:35], untraced("b")[3:35]}
            assert is_sampled(first) == (ratio == 1.0)

    def test_a_share_of_what_begins_here_is_sampled(self) -> None:
        """Of requests and messages; jobs, and what sampled spans are linked into, always."""
        tracing = Traces(0.25).tracing
        begun = [
            tracing.enter("x", traceparent=None, correlation_id=str(number), kind=SpanKind.CONSUMER)
            for number in range(400)
        ]
        span = tracing.enter("y", traceparent=SAMPLED, correlation_id="c", kind=SpanKind.CONSUMER)

        assert 60 < sum(map(is_sampled, begun)) < 140  # the ids are digests of the numbers: always the same ones
        nothing = Traces(0.0).tracing
        assert is_sampled(nothing.begin("job x"))
        assert is_sampled(nothing.begin("batch", kind=SpanKind.CONSUMER, links=[span.get_span_context()]))


class TestAround:
    async def test_calls_are_spans_below_the_current_one(self) -> None:
        """Of the act itself and of what is awaited of it; the rest of it is as it was."""
        traces = Traces()
        act = around(Act(), traces.tracing)
        span = traces.tracing.begin("job x")

        with traces.tracing.alone(span):
            answers = await act(1), await act.told(number=2), act.at_once(), act.kept

        assert answers == (2, 3, "at once", "as it is")
        below = place(traces.named("Act"))
        assert below == place(traces.named("Act.told"))
        assert below[1] == traceparent_of(span)[36:52]

    async def test_below_nothing_nothing_is_traced(self) -> None:
        """What nobody traces costs no span; nor does it begin a trace in the middle."""
        traces = Traces()

        assert await around(Act(), traces.tracing)(1) == 2

        assert traces.spans == ()

    @pytest.mark.parametrize(
        ("error", "is_error"),
        [
            (PurchaseNotFound(), False),
            (StorageUnavailable("secret words"), True),
            (PlatformUnavailable("stripe", "secret words"), True),
            (RuntimeError("secret words"), True),
            (asyncio.CancelledError(), True),
        ],
    )
    async def test_of_an_error_its_kind_is_told(self, error: BaseException, is_error: bool) -> None:
        """Never its words; and a refusal of what was asked is no error of the service."""
        traces = Traces()

        with pytest.raises(type(error)), traces.tracing.alone(traces.tracing.begin("job x")):
            await around(Act(error), traces.tracing)(1)

        for name in ("Act", "job x"):
            span = traces.named(name)
            assert span.attributes is not None
            assert span.attributes["error.type"] == type(error).__name__
            assert (span.status.status_code is StatusCode.ERROR) == is_error
        assert "secret" not in "".join(each.to_json() for each in traces.spans)

    def test_where_nothing_is_exported_nothing_stands_between(self) -> None:
        """The act is the act."""
        act = Act()

        assert traced(None, act) is act


class TestQueries:
    @pytest.mark.parametrize("below", [True, False])
    def test_a_query_is_told_with_its_text_and_without_its_arguments(self, below: bool) -> None:
        """Below whatever asked; what nobody traces asks in silence."""
        traces = Traces()
        query = _query("select 1 from merchants where merchant_id = $1", "secret")
        if below:
            with traces.tracing.alone(traces.tracing.begin("job x")):
                QuerySpans(traces.tracing)(query)
        else:
            QuerySpans(traces.tracing)(query)

        assert "secret" not in "".join(each.to_json() for each in traces.spans)
        assert [each.name for each in traces.spans] == (["SELECT merchants", "job x"] if below else [])
        if below:
            assert dict(traces.named("SELECT merchants").attributes or {}) == {
                "db.system.name": "postgresql",
                "db.namespace": "billing",
                "db.query.summary": "SELECT merchants",
                "db.query.text": query.query,
                "server.address": "db.example",
                "server.port": 5432,
            }

    @pytest.mark.parametrize(
        ("error", "kind"),
        [(asyncpg.UniqueViolationError("secret"), "23505"), (TimeoutError("secret"), "TimeoutError")],
    )
    def test_a_query_that_failed_tells_its_state(self, error: Exception, kind: str) -> None:
        """SQLSTATE, else the kind of error; never the server's words, which have values in them."""
        traces = Traces()

        with traces.tracing.alone(traces.tracing.begin("job x")):
            QuerySpans(traces.tracing)(_query("commit", error=error))

        span = traces.named("COMMIT")
        assert (span.attributes or {})["error.type"] == kind
        assert span.status.status_code is StatusCode.ERROR
        assert "secret" not in span.to_json()


def _query(text: str, *arguments: object, error: Exception | None = None) -> LoggedQuery:
    named = SimpleNamespace(database="billing")
    return LoggedQuery(text, arguments, None, 0.001, error, ("db.example", 5432), named)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SELECT a, b FROM merchants WHERE x = $1", "SELECT merchants"),
        ("INSERT INTO outbox (a) VALUES ($1)", "INSERT outbox"),
        ("with a as (update trials set x = 1), b as (insert into outbox select 1)", "UPDATE trials INSERT outbox"),
        ("DELETE FROM idempotency_keys WHERE a < $1", "DELETE idempotency_keys"),
        ("begin isolation level read committed", "BEGIN"),
        ("commit", "COMMIT"),
        ("select clock_timestamp()", "SELECT"),
    ],
)  # fmt: skip
def test_a_query_is_told_by_what_it_does_to_which_tables(text: str, told: str) -> None:
    """The name of its span is one of few, whatever it is asked with."""
    assert summary(text) == told
