"""What surrounds every request: ids, headers, unknown paths, the log line, the metrics, the last resort."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.apps.http.door import Door, assert_problem, open_door, signed, some_claims, some_settings

from billing_core.errors import StorageUnavailable
from billing_core.ports.storage import UnitOfWork
from billing_core.testing import InMemoryBilling
from billing_core.use_cases.activate_trial import ActivateTrial
from billing_http.time_limits import BoundedUnits

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class TestCorrelation:
    @pytest.mark.parametrize("given", ["a", "A.b_c:d-9", "x" * 128])
    async def test_a_well_formed_id_is_taken(self, door: Door, given: str) -> None:
        """It comes back, and travels into the events."""
        answer = await door.post("/api/billing/trials", {}, headers=door.headers(more=[("X-Correlation-Id", given)]))

        assert answer.headers["x-correlation-id"] == given
        assert [event.correlationid for event in await door.billing.events()] == [given]

    @pytest.mark.parametrize("given", [[], [""], ["x" * 129], ["a b"], ["ä"], ["a", "a"], ["a\tb"]])
    async def test_another_one_is_made(self, door: Door, given: list[str]) -> None:
        """Where there is none, or no good one, a new one is made."""
        more = [(b"X-Correlation-Id", each.encode("latin-1")) for each in given]
        answer = await door.client.get("/nowhere", headers=more)

        assert UUID7.fullmatch(answer.headers["x-correlation-id"])
        assert_problem(answer, 404, "NOT_FOUND")

    async def test_a_trace_is_continued(self, door: Door) -> None:
        """A well-formed traceparent travels into the events."""
        await door.post("/api/billing/trials", {}, headers=door.headers(more=[("traceparent", TRACE)]))

        assert [event.traceparent for event in await door.billing.events()] == [TRACE]

    @pytest.mark.parametrize(
        "given",
        [
            [],
            ["nonsense"],
            [TRACE, TRACE],
            [TRACE.upper()],
            ["ff" + TRACE[2:]],
            [f"00-{'0' * 32}-b7ad6b7169203331-01"],
            [f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01"],
        ],
    )
    async def test_a_trace_that_is_none_is_replaced(self, door: Door, given: list[str]) -> None:
        """No other traceparent travels: the events get one of their own, not sampled."""
        headers = door.headers(more=[("traceparent", each) for each in given])

        await door.post("/api/billing/trials", {}, headers=headers)

        (event,) = await door.billing.events()
        assert event.traceparent not in given
        assert event.traceparent.endswith("-00")


class TestPaths:
    @pytest.mark.parametrize(
        "path",
        ["/nowhere", "/api/billing/", "/api/billing/trials/", "/api", "/API/billing", "/api/billing/purchases/a/b"],
    )
    async def test_an_unknown_path_is_told(self, door: Door, path: str) -> None:
        """No redirect, no guess: 404 with or without a token."""
        for headers in ([], door.headers()):
            assert_problem(await door.client.get(path, headers=headers), 404, "NOT_FOUND")

    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("DELETE", "/api/billing/trials", "GET, HEAD, POST"),
            ("OPTIONS", "/api/billing/purchases", "GET, HEAD, POST"),
            ("PUT", "/api/billing/purchases/x", "GET, HEAD"),
            ("POST", "/api/billing", "GET, HEAD"),
            ("POST", "/health", "GET, HEAD"),
            ("BREW", "/metrics", "GET, HEAD"),
        ],
    )
    async def test_a_wrong_method_is_told_the_right_ones(
        self, door: Door, method: str, path: str, allowed: str
    ) -> None:
        """405 names every method the path answers."""
        answer = await door.client.request(method, path)

        assert_problem(answer, 405, "METHOD_NOT_ALLOWED")
        assert answer.headers["allow"] == allowed

    async def test_head_is_get_without_the_body(self, door: Door) -> None:
        """HEAD needs what GET needs and gets its headers."""
        refused, answered = (
            await door.client.head("/api/billing"),
            await door.client.head("/api/billing", headers=door.headers()),
        )

        assert (refused.status_code, answered.status_code) == (401, 200)

    async def test_too_much_is_refused(self, door: Door) -> None:
        """Long targets are 414, large headers 431."""
        target = await door.client.get("/nowhere?" + "x" * 9000)
        headers = await door.client.get("/nowhere", headers={"X-Large": "x" * 40_000})

        assert_problem(target, 414, "URI_TOO_LONG")
        assert_problem(headers, 431, "REQUEST_HEADER_FIELDS_TOO_LARGE")


async def test_every_answer_is_safe_to_open(door: Door) -> None:
    """Good answers and refusals alike must not be sniffed, stored or framed."""
    answers = [await door.get("/api/billing"), await door.client.get("/nowhere"), await door.client.get("/health")]

    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert (
            answer.headers["content-security-policy"] == "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
        )
        assert "server" not in answer.headers


async def test_a_request_is_one_line_in_the_log(door: Door) -> None:
    """It names method, route template, status, duration, merchant and problem; never token or key."""
    with capture_logs() as lines:
        await door.get("/api/billing/purchases/none")

    (line,) = [each for each in lines if each["event"] == "request"]
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "part": "http",
        "method": "GET",
        "route": "/api/billing/purchases/{id}",
        "status": 404,
        "problem": "PURCHASE_NOT_FOUND",
        "merchant_id": door.caller.merchant_id,
    }


async def test_a_fault_of_ours_is_a_problem_document(door: Door) -> None:
    """What nobody foresaw is 500 with the correlation id, and the trace stays in the log."""
    door.billing.storage.records.overview = _broken  # type: ignore[method-assign, assignment]  # the fault to come

    with capture_logs() as lines:
        answer = await door.get("/api/billing")

    assert_problem(answer, 500, "INTERNAL_ERROR")
    assert "secret" not in answer.text
    assert [line["log_level"] for line in lines if line["event"] == "request_failed"] == ["error"]


async def _broken(*_: object) -> Any:
    raise RuntimeError("secret of the program")


class TestMetrics:
    async def test_labels_are_from_closed_sets(self, door: Door) -> None:
        """Templates, known methods and status classes: nothing a caller chooses becomes a series."""
        door.token = signed(some_claims(door.billing.clock, door.caller.merchant_id, scope="billing:read metrics:read"))
        await door.get("/api/billing/purchases/0199aaaa-0000-7000-8000-000000000000")
        await door.client.request("BREW", "/made/up")

        answer = await door.get("/metrics")

        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert (
            'billing_http_requests_total{method="GET",route="/api/billing/purchases/{id}",status="4xx"} 1.0'
            in answer.text
        )
        assert 'billing_http_requests_total{method="OTHER",route="unmatched",status="4xx"} 1.0' in answer.text
        assert 'billing_http_problems_total{code="PURCHASE_NOT_FOUND"} 1.0' in answer.text
        assert door.caller.merchant_id not in answer.text

    async def test_they_need_a_token_unless_switched_off(self, door: Door, billing: InMemoryBilling) -> None:
        """Without a token 401; with BILLING_METRICS_AUTH=off everybody may read."""
        assert_problem(await door.client.get("/metrics"), 401, "UNAUTHENTICATED")
        async with open_door(billing, some_settings(metrics_auth="off")) as open_to_all:
            assert (await open_to_all.client.get("/metrics")).status_code == 200


class TestOutages:
    async def test_storage_that_is_away_is_told(self, door: Door) -> None:
        """503 with Retry-After, without the database's words."""

        async def away(*_: object) -> Any:
            raise StorageUnavailable("secret words of the driver", retry_after_s=2)

        door.billing.storage.records.overview = away  # type: ignore[method-assign, assignment]  # the outage

        answer = await door.get("/api/billing")

        assert_problem(answer, 503, "SERVICE_UNAVAILABLE")
        assert answer.headers["retry-after"] == "2"
        assert "secret" not in answer.text

    async def test_storage_that_hangs_is_given_up(self, billing: InMemoryBilling) -> None:
        """A database that neither answers nor fails is an outage too, for reads and writes."""

        async def hang(*_: object) -> Any:
            await asyncio.Event().wait()

        @asynccontextmanager
        async def hanging(merchant_id: str | None = None) -> AsyncIterator[UnitOfWork]:
            await asyncio.Event().wait()
            raise AssertionError("never")
            yield

        billing.activate_trial = ActivateTrial(
            units=BoundedUnits(hanging),
            replays=billing.replays,
            price_book=billing.price_book,
            clock=billing.clock,
            new_id=billing.new_id,
        )
        async with open_door(billing) as door:
            billing.storage.records.overview = hang  # type: ignore[method-assign, assignment]  # the outage
            answers = await asyncio.gather(door.get("/api/billing"), door.post("/api/billing/trials", {}))

        for answer in answers:
            assert_problem(answer, 503, "SERVICE_UNAVAILABLE")

    async def test_a_lost_cache_changes_nothing(self, door: Door) -> None:
        """With Redis away a repeat is still replayed."""
        first = await door.post("/api/billing/trials", {}, key="key-1")
        door.billing.replays.is_down = True

        again = await door.post("/api/billing/trials", {}, key="key-1")

        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["idempotency-replayed"] == "true"
