"""The rate limit of a merchant: who is refused, what is told, and what is not counted."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.apps.http.door import WANTED, Door, assert_problem, open_door, signed, some_claims, some_settings

from billing_core.domain.rate_limits import RateLimit
from billing_core.ports.rate_limits import SharedUsage
from billing_core.testing import InMemoryBilling, InMemoryUsage, a_merchant
from billing_core.use_cases.limit_requests import LimitRequests
from billing_http.rate_limits import RateLimits, rate_limits

LIMIT = RateLimit(per_minute=60, burst=3)
POLICY = '"merchant";q=60;w=60;billing-burst=3'
DEADLINE_S = 20.0


class Hand:
    """A clock hand that moves when told."""

    def __init__(self) -> None:
        self.at_us = 10**9

    def __call__(self) -> int:
        """Where it stands."""
        return self.at_us


@pytest.fixture
def hand() -> Hand:
    """The clock of the limit."""
    return Hand()


@pytest.fixture
def limiter(hand: Hand) -> LimitRequests:
    """Three at once, and then one a second."""
    return LimitRequests(limit=LIMIT, usage=InMemoryUsage(hand), now_us=hand)


@pytest.fixture
async def door(billing: InMemoryBilling, limiter: LimitRequests) -> AsyncIterator[Door]:
    """A running app with one merchant, which may not ask too often."""
    async with open_door(billing, some_settings(docs=True), limits=RateLimits(limiter)) as opened:
        yield opened


class TestRefusals:
    async def test_every_answer_says_how_the_merchant_stands(self, door: Door) -> None:
        """What is left, and when there will be more; where nothing is left, when to come again."""
        answers = [await door.get("/api/billing") for _ in range(5)]

        assert [(each.status_code, each.headers["ratelimit"]) for each in answers] == [
            (200, '"merchant";r=2;t=1'),
            (200, '"merchant";r=1;t=1'),
            (200, '"merchant";r=0;t=1'),
            (429, '"merchant";r=0;t=1'),
            (429, '"merchant";r=0;t=1'),
        ]
        assert {each.headers["ratelimit-policy"] for each in answers} == {POLICY}
        assert [each.headers.get("retry-after") for each in answers] == [None, None, None, "1", "1"]

    async def test_a_refusal_is_a_problem_document(self, door: Door) -> None:
        """With the limit and the remedy in words, and the headers every answer has."""
        for _ in range(3):
            await door.get("/api/billing")

        answer = await door.get("/api/billing")

        problem = assert_problem(answer, 429, "RATE_LIMITED")
        assert problem["detail"] == (
            "A merchant may make 60 requests a minute, 3 of them at once. "
            "Nothing was done: send the same request again in 1 s."
        )
        assert answer.headers["cache-control"] == "no-store"

    async def test_what_is_refused_does_nothing(self, door: Door) -> None:
        """The same request is answered once it is allowed."""
        for _ in range(3):
            await door.get("/api/billing")
        before = door.stored()

        refused = await door.post("/api/billing/trials", {}, key="key-1")

        assert_problem(refused, 429, "RATE_LIMITED")
        assert door.stored() == before

    async def test_as_time_passes_more_is_allowed(self, door: Door, hand: Hand) -> None:
        """One a second, to the microsecond; the wait that is told is rounded up."""
        for _ in range(3):
            await door.get("/api/billing")
        hand.at_us += 999_999

        early = await door.get("/api/billing")
        hand.at_us += 1
        on_time, again = await door.get("/api/billing"), await door.get("/api/billing")
        hand.at_us += 60_000_000
        rested = [(await door.get("/api/billing")).status_code for _ in range(4)]

        assert (early.status_code, early.headers["retry-after"]) == (429, "1")
        assert (on_time.status_code, again.status_code) == (200, 429)
        assert rested == [200, 200, 200, 429]


class TestWhatCounts:
    async def test_a_replayed_answer_counts_too(self, door: Door) -> None:
        """It costs as much as any other."""
        answers = [await door.post("/api/billing/purchases", WANTED, key="key-1") for _ in range(4)]

        assert [each.status_code for each in answers] == [201, 201, 201, 429]
        assert [each.headers.get("idempotency-replayed") for each in answers] == [None, "true", "true", None]

    async def test_a_request_that_is_refused_for_itself_counts_too(self, door: Door) -> None:
        """Whatever is wrong with it, its answer says how the merchant stands."""
        asked = [
            await door.get("/api/billing/purchases/none"),
            await door.post("/api/billing/purchases", {"pack": 1}),
            await door.client.head("/api/billing", headers=door.headers()),
            await door.get("/api/billing/packs"),
        ]

        assert [each.status_code for each in asked] == [404, 400, 200, 429]
        assert [each.headers["ratelimit"][:14] for each in asked] == [f'"merchant";r={left}' for left in (2, 1, 0, 0)]

    async def test_another_merchant_is_untouched(self, door: Door) -> None:
        """However much the first one asks."""
        for _ in range(10):
            await door.get("/api/billing")
        other = await door.billing.register(a_merchant("merchant-2", platform_account_id="account-2"))
        door.token = signed(some_claims(door.billing.clock, other.merchant_id))

        answer = await door.get("/api/billing")

        assert (answer.status_code, answer.headers["ratelimit"]) == (200, '"merchant";r=2;t=1')

    async def test_callers_of_one_merchant_share_its_limit(self, door: Door) -> None:
        """Another user, another token."""
        statuses = []
        for user in range(4):
            door.token = signed(some_claims(door.billing.clock, door.caller.merchant_id, sub=f"user-{user}"))
            statuses.append((await door.get("/api/billing")).status_code)

        assert statuses == [200, 200, 200, 429]

    async def test_health_metrics_and_documents_are_not_limited(self, door: Door) -> None:
        """They are nobody's requests."""
        token = signed(some_claims(door.billing.clock, door.caller.merchant_id, scope="metrics:read"))
        for _ in range(10):
            await door.get("/api/billing")

        answers = [
            await door.client.get(path, headers={"Authorization": f"Bearer {token}"})
            for path in ("/health", "/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs")
            for _ in range(5)
        ]

        assert {each.status_code for each in answers} == {200}
        assert not any("ratelimit" in each.headers or "ratelimit-policy" in each.headers for each in answers)

    async def test_whoever_is_not_let_in_is_neither_counted_nor_remembered(
        self, door: Door, limiter: LimitRequests
    ) -> None:
        """Tokens that are not accepted, or do not allow it, take no memory and nothing from the merchant they name."""
        good = door.token
        for number in range(20):
            door.token = signed(some_claims(door.billing.clock, f"made-up-{number}"), secret="x" * 40)
            assert_problem(await door.get("/api/billing"), 401, "UNAUTHENTICATED")
        door.token = signed(some_claims(door.billing.clock, door.caller.merchant_id, scope=""))
        forbidden = await door.get("/api/billing")
        door.token = good
        elsewhere = door.headers(without=["X-Platform"], more=[("X-Platform", "shopify")])
        mismatched = await door.get("/api/billing", headers=elsewhere)

        assert (forbidden.status_code, mismatched.status_code) == (403, 403)
        assert "ratelimit" not in forbidden.headers
        assert len(limiter) == 0
        assert (await door.get("/api/billing")).headers["ratelimit"] == '"merchant";r=2;t=1'

    async def test_without_a_limit_nothing_is_told(self, billing: InMemoryBilling) -> None:
        """As in development, unless it is set."""
        async with open_door(billing) as door:
            answers = [await door.get("/api/billing") for _ in range(10)]
            metrics_of = signed(some_claims(billing.clock, "m", scope="metrics:read"))
            metrics = await door.client.get("/metrics", headers={"Authorization": f"Bearer {metrics_of}"})

        assert {each.status_code for each in answers} == {200}
        assert not any("ratelimit" in each.headers or "ratelimit-policy" in each.headers for each in answers)
        assert "rate_limit" not in metrics.text


class TestStep:
    """What happens in the background."""

    async def test_processes_are_kept_in_step(self, hand: Hand) -> None:
        """What one admitted is heard of by the other, while neither asks for it."""
        usage = InMemoryUsage(hand)
        one, other = (LimitRequests(limit=LIMIT, usage=usage, now_us=hand) for _ in range(2))
        async with RateLimits(one).kept_in_step(every_s=0.001), RateLimits(other).kept_in_step(every_s=0.001):
            one.admit("merchant-1")
            one.admit("merchant-1")
            await until(lambda: len(usage) == 1)
            other.admit("merchant-1")

            await until(lambda: other.admit("merchant-1").left == 0 and not other.admit("merchant-1").is_admitted)
            admitted = other.admit("merchant-1").is_admitted
        assert not admitted

    async def test_an_outage_is_said_once_and_so_is_its_end(self, billing: InMemoryBilling, hand: Hand) -> None:
        """In the log and in the metrics; meanwhile the limit is kept."""
        usage = InMemoryUsage(hand)
        limits = RateLimits(LimitRequests(limit=LIMIT, usage=usage, now_us=hand))
        with capture_logs() as lines:
            async with (
                open_door(billing, some_settings(metrics_auth="off"), limits=limits) as door,
                limits.kept_in_step(every_s=0.001, try_every_s=0.001),
            ):
                before = await shared(door)
                usage.is_down = True
                statuses = [(await door.get("/api/billing")).status_code for _ in range(4)]
                await until(lambda: not limits.is_shared)
                alone = await shared(door)
                await asyncio.sleep(0.02)
                usage.is_down = False
                await until(lambda: limits.is_shared)
                after = await shared(door)

        assert (before, alone, after) == ("1.0", "0.0", "1.0")
        assert statuses == [200, 200, 200, 429]
        told = [(line["event"], line["log_level"]) for line in lines if line.get("part") == "rate_limits"]
        assert told == [("rate_limits.alone", "warning"), ("rate_limits.shared_again", "info")]

    async def test_a_fault_nobody_foresaw_ends_nothing(self, hand: Hand) -> None:
        """It is told with its trace, and tried again."""
        usage = InMemoryUsage(hand)
        broken, charge = asyncio.Event(), usage.charge

        async def breaks(used_us: Any, within_us: int) -> Any:
            broken.set()
            raise ZeroDivisionError

        usage.charge = breaks  # type: ignore[method-assign]  # the fault
        limits = rate_limits(LIMIT, usage)
        assert limits is not None
        with capture_logs() as lines:
            async with limits.kept_in_step(every_s=0.001, try_every_s=0.001):
                limits.check({}, "merchant-1")
                await asyncio.wait_for(broken.wait(), DEADLINE_S)
                await until(lambda: not limits.is_shared)
                usage.charge = charge  # type: ignore[method-assign]
                await until(lambda: limits.is_shared)

        assert "rate_limits.not_settled" in [line["event"] for line in lines if line["log_level"] == "error"]


async def shared(door: Door) -> str:
    """What the metrics say of it."""
    text = (await door.client.get("/metrics")).text
    (line,) = [each for each in text.splitlines() if each.startswith("billing_http_rate_limits_shared ")]
    return line.rpartition(" ")[2]


async def until(fact: Any) -> None:
    """This will poll until the fact holds."""
    async with asyncio.timeout(DEADLINE_S):
        while not fact():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.001)


def test_no_limit_is_none() -> None:
    """Then nothing is judged and nothing is settled."""

    class Nobody(SharedUsage):
        async def charge(self, used_us: Any, within_us: int) -> Any:
            raise AssertionError("nobody asks")

    assert rate_limits(None, Nobody()) is None
