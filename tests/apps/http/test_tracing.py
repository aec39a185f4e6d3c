"""What a traced request is answered under, and what it tells."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import structlog
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from tests.apps.http.door import Door, open_door
from tests.tracing_kit import SAMPLED, UNSAMPLED, Traces, own, place

from billing_core.errors import StorageUnavailable
from billing_core.messages import untraced
from billing_core.testing import InMemoryBilling
from billing_http.tracing import RequestSpans


@pytest.fixture
def traces() -> Traces:
    """Everything is sampled, unless the caller says otherwise."""
    return Traces()


@pytest.fixture
async def traced_door(billing: InMemoryBilling, traces: Traces) -> AsyncIterator[Door]:
    """A running app that traces."""
    async with open_door(billing, spans=RequestSpans(traces.tracing)) as opened:
        yield opened


def headers(door: Door, **more: str) -> Any:
    """The headers of a good request, and more."""
    return door.headers(more=[*more.items()])


class TestTraces:
    async def test_a_sampled_caller_is_followed(self, traced_door: Door, traces: Traces) -> None:
        """The request's span is below the caller's, and what the request brings about is below that."""
        answer = await traced_door.post("/api/billing/trials", {}, headers=headers(traced_door, traceparent=SAMPLED))

        span = traces.named("POST /api/billing/trials")
        assert place(span) == (SAMPLED[3:35], SAMPLED[36:52])
        assert answer.headers["traceresponse"] == own(span)
        assert [event.traceparent for event in await traced_door.billing.events()] == [own(span)]

    async def test_who_does_not_sample_is_not_followed(self, traced_door: Door, traces: Traces) -> None:
        """Then the caller's own traceparent travels, as where nothing is exported."""
        answer = await traced_door.post("/api/billing/trials", {}, headers=headers(traced_door, traceparent=UNSAMPLED))

        assert traces.spans == ()
        assert answer.headers["traceresponse"][:36] == UNSAMPLED[:36]
        assert [event.traceparent for event in await traced_door.billing.events()] == [UNSAMPLED]

    async def test_what_nobody_traced_has_the_trace_of_its_correlation_id(
        self, traced_door: Door, traces: Traces
    ) -> None:
        """One id in logs, events, answer and spans, sampled or not."""
        await traced_door.post("/api/billing/trials", {}, headers=headers(traced_door, **{"X-Correlation-Id": "c-1"}))

        span = traces.named("POST /api/billing/trials")
        assert place(span) == (untraced("c-1")[3:35], "")
        assert [event.traceparent for event in await traced_door.billing.events()] == [own(span)]

    async def test_what_is_logged_names_the_trace(self, traced_door: Door) -> None:
        """Every line while the request is answered."""
        told = await _logged_with(traced_door, traceparent=SAMPLED)

        assert told["trace_id"] == SAMPLED[3:35]

    async def test_requests_do_not_mix(self, traced_door: Door, traces: Traces) -> None:
        """After an answer nothing is current any more."""
        await traced_door.get("/api/billing")
        assert trace.get_current_span() is trace.INVALID_SPAN
        await traced_door.get("/api/billing/packs")

        assert {place(each)[1] for each in traces.spans} == {""}
        assert len({place(each)[0] for each in traces.spans}) == 2

    @pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/metrics"])
    async def test_who_asks_whether_we_are_there_is_not_traced(
        self, traced_door: Door, traces: Traces, path: str
    ) -> None:
        """Else most traces were of probes."""
        answer = await traced_door.client.get(path, headers={"traceparent": SAMPLED})

        assert traces.spans == ()
        assert "traceresponse" not in answer.headers


class TestSpans:
    async def test_a_request_is_told_by_its_route(self, traced_door: Door, traces: Traces) -> None:
        """Templates and not paths, so that there are few names; the refusal's code, and no error where the caller's."""
        await traced_door.get("/api/billing/purchases/none", headers=headers(traced_door, **{"X-Correlation-Id": "c"}))

        span = traces.named("GET /api/billing/purchases/{id}")
        assert span.kind is SpanKind.SERVER
        assert span.status.status_code is StatusCode.UNSET
        assert dict(span.attributes or {}) == {
            "http.request.method": "GET",
            "http.route": "/api/billing/purchases/{id}",
            "http.response.status_code": 404,
            "url.path": "/api/billing/purchases/none",
            "url.scheme": "http",
            "network.protocol.version": "1.1",
            "server.address": "billing.test",
            "billing.correlation_id": "c",
            "billing.merchant_id": traced_door.caller.merchant_id,
            "billing.problem.code": "PURCHASE_NOT_FOUND",
        }

    async def test_what_is_none_of_ours_has_no_name_of_its_own(self, traced_door: Door, traces: Traces) -> None:
        """Neither path nor method of a stranger becomes a name."""
        await traced_door.client.request("BREW", "/made/up")

        (span,) = traces.spans
        assert (span.name, (span.attributes or {})["http.request.method"]) == ("_OTHER", "_OTHER")

    async def test_a_failure_of_ours_is_an_error(self, traced_door: Door, traces: Traces) -> None:
        """5xx, with the problem's code as its kind."""

        async def away(*_: object) -> Any:
            raise StorageUnavailable("secret words")

        traced_door.billing.storage.records.overview = away  # type: ignore[method-assign, assignment]  # the outage
        await traced_door.get("/api/billing")

        span = traces.named("GET /api/billing")
        assert span.status.status_code is StatusCode.ERROR
        assert (span.attributes or {})["error.type"] == "SERVICE_UNAVAILABLE"
        assert "secret" not in span.to_json()


class TestOff:
    async def test_a_caller_s_trace_is_in_the_log_all_the_same(self, door: Door) -> None:
        """Who traces finds our lines by it, exported or not; who does not has the correlation id."""
        traced, untold = await _logged_with(door, traceparent=SAMPLED), await _logged_with(door)

        assert traced["trace_id"] == SAMPLED[3:35]
        assert "trace_id" not in untold

    async def test_no_answer_names_a_trace(self, door: Door) -> None:
        """There is none to look up."""
        answer: httpx2.Response = await door.get("/api/billing", headers=headers(door, traceparent=SAMPLED))

        assert "traceresponse" not in answer.headers


async def _logged_with(door: Door, **more: str) -> dict[str, Any]:
    """What every line of a request has, logged by whatever answers it."""
    seen: dict[str, Any] = {}

    async def look(*_: object) -> Any:
        seen.update(structlog.contextvars.get_contextvars())
        raise StorageUnavailable

    door.billing.storage.records.overview = look  # type: ignore[method-assign, assignment]  # where to look
    structlog.contextvars.clear_contextvars()
    await door.get("/api/billing", headers=headers(door, **more))
    structlog.contextvars.clear_contextvars()
    return seen
