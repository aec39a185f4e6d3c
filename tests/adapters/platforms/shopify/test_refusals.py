"""What Shopify's refusals and silences are called in our words, and how long it is left alone after them."""

import json
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs
from tests.adapters.platforms.shopify.shop import (
    ACCOUNT,
    GID,
    TOKEN,
    Hand,
    Script,
    a_shopify_purchase,
    failed,
    opened,
    scripted_platform,
    told,
)

from billing_adapters.platforms.shopify.answers import DEFAULT_WAIT_S, LONGEST_WAIT_S
from billing_adapters.platforms.shopify.throttles import MAX_REMEMBERED, Throttles
from billing_adapters.stand_ins.faults import Fault
from billing_core.errors import (
    PlatformAuthError,
    PlatformError,
    PlatformProtocolError,
    PlatformRejected,
    PlatformThrottled,
    PlatformUnavailable,
)
from billing_core.ports.platforms import PlatformAccount
from billing_core.testing import MOMENT

COST = {"requestedQueryCost": 50, "throttleStatus": {"currentlyAvailable": 20.0, "restoreRate": 10.0}}
ANOTHER = PlatformAccount(platform_account_id="gid://shopify/Shop/2", platform_domain="shop-2.myshopify.com")


def answer(status: int, body: Any = None, **headers: str) -> httpx2.Response:
    """An HTTP answer."""
    return httpx2.Response(status, json=body or {"errors": "secret words"}, headers=headers)


class TestOddAnswers:
    """Answers that Shopify should never give."""

    @pytest.mark.parametrize("asked", [10**400, 1e308, -(10**400), float("nan"), float("inf"), True, "50"])
    async def test_a_cost_that_is_none_is_waited_for_as_usual(self, asked: Any) -> None:
        """A figure beyond all reckoning, as JSON can hold one, is a throttled answer and no fault of ours."""
        answered = httpx2.Response(200, content=json.dumps(_throttled(asked)).encode())

        async with scripted_platform(Script(answered)) as shopify:
            with pytest.raises(PlatformThrottled) as refused:
                await shopify.look_up(GID, ACCOUNT, MOMENT)

        assert refused.value.retry_after_s == DEFAULT_WAIT_S

    @pytest.mark.parametrize(
        "body",
        [
            {"errors": [{"message": f"the token {TOKEN} is not known"}]},
            {"errors": [{"message": TOKEN, "extensions": {"code": "ACCESS_DENIED"}}]},
            {
                "data": {
                    "appPurchaseOneTimeCreate": {
                        "appPurchaseOneTime": None,
                        "confirmationUrl": None,
                        "userErrors": [{"message": f"{TOKEN} may not charge"}],
                    }
                }
            },
        ],
    )
    async def test_a_token_that_is_repeated_is_not_told(self, body: Any) -> None:
        """Shopify's words are logged, for they say what to mend; the token they were asked with is not."""
        async with scripted_platform(Script(httpx2.Response(200, json=body))) as shopify:
            with capture_logs() as logs, pytest.raises(PlatformError) as refused:
                await shopify.create_checkout(a_shopify_purchase(), ACCOUNT)

        assert "********" in str(logs)
        assert TOKEN not in str(logs) + str(refused.value)


def _throttled(asked: Any) -> dict[str, Any]:
    error = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
    return {"errors": [error], "extensions": {"cost": COST | {"requestedQueryCost": asked}}}


class TestWords:
    """Each refusal and silence, as one error."""

    @pytest.mark.parametrize(
        ("step", "error"),
        [
            (httpx2.ConnectError("no route"), PlatformUnavailable),
            (httpx2.ConnectTimeout("late"), PlatformUnavailable),
            (httpx2.ReadTimeout("late"), PlatformUnavailable),
            (httpx2.PoolTimeout("late"), PlatformUnavailable),
            (httpx2.RemoteProtocolError("gone"), PlatformUnavailable),
            (httpx2.DecodingError("not gzip"), PlatformUnavailable),
            (answer(301, Location="https://evil.example/"), PlatformProtocolError),
            (answer(400), PlatformProtocolError),
            (answer(401), PlatformAuthError),
            (answer(402), PlatformRejected),
            (answer(403), PlatformAuthError),
            (answer(404), PlatformAuthError),
            (answer(408), PlatformUnavailable),
            (answer(418), PlatformProtocolError),
            (answer(423), PlatformRejected),
            (answer(429), PlatformThrottled),
            (answer(430), PlatformThrottled),
            (answer(500), PlatformUnavailable),
            (answer(503), PlatformUnavailable),
            (failed("THROTTLED"), PlatformThrottled),
            (failed("ACCESS_DENIED"), PlatformAuthError),
            (failed("SHOP_INACTIVE"), PlatformRejected),
            (failed("INTERNAL_SERVER_ERROR"), PlatformUnavailable),
            (failed("500"), PlatformUnavailable),
            (failed("429"), PlatformThrottled),
            (failed("401"), PlatformAuthError),
            (failed("MAX_COST_EXCEEDED"), PlatformProtocolError),
            (failed("undefinedField"), PlatformProtocolError),
            (failed(None), PlatformProtocolError),
            (httpx2.Response(200, json={"errors": "text"}), PlatformProtocolError),
            (httpx2.Response(200, json={"errors": [7]}), PlatformProtocolError),
            (httpx2.Response(200, json={"errors": [{"extensions": 7}]}), PlatformProtocolError),
            (httpx2.Response(200, json={"data": None}), PlatformProtocolError),
            (httpx2.Response(200, json={"data": []}), PlatformProtocolError),
            (httpx2.Response(200, json=[]), PlatformProtocolError),
            (httpx2.Response(200, content=b""), PlatformProtocolError),
            (httpx2.Response(200, content=b"\xff\xfe"), PlatformProtocolError),
            (httpx2.Response(200, content=b"[" * 200_000), PlatformProtocolError),
            (httpx2.Response(200, text="<html>One moment</html>"), PlatformProtocolError),
        ],
        ids=lambda value: str(value) if not isinstance(value, type) else value.__name__,
    )
    async def test_a_create_that_fails_has_one_word(
        self, step: httpx2.Response | Exception, error: type[PlatformError]
    ) -> None:
        """And is sent once, whatever happens."""
        script = Script(step)
        async with scripted_platform(script) as platform:
            with capture_logs() as logs, pytest.raises(PlatformError) as failure:
                await platform.create_checkout(a_shopify_purchase(), ACCOUNT)

        assert type(failure.value) is error
        assert len(script.requests) == 1
        assert TOKEN not in str(logs)
        assert "secret words" not in str(failure.value)
        assert "http" not in str(failure.value)

    async def test_a_failure_is_never_hidden_by_a_refusal(self) -> None:
        """Where both are told the effect is unknown."""
        errors = [{"message": "m", "extensions": {"code": c}} for c in ("SHOP_INACTIVE", "INTERNAL_SERVER_ERROR")]
        async with scripted_platform(Script(httpx2.Response(200, json={"errors": errors}))) as platform:
            with pytest.raises(PlatformUnavailable):
                await platform.create_checkout(a_shopify_purchase(), ACCOUNT)

    async def test_errors_beside_data_are_errors(self) -> None:
        """Half an answer is none."""
        body = {"data": {"node": None}, "errors": [{"message": "m", "extensions": {"code": "ACCESS_DENIED"}}]}
        async with scripted_platform(Script(httpx2.Response(200, json=body))) as platform:
            with pytest.raises(PlatformAuthError):
                await platform.look_up(GID, ACCOUNT, MOMENT)

    async def test_a_reader_is_not_endless(self) -> None:
        """It asks twice, then says so."""
        script = Script(httpx2.ReadError("gone"), httpx2.RemoteProtocolError("gone"), told())
        async with scripted_platform(script) as platform:
            with pytest.raises(PlatformUnavailable):
                await platform.look_up(GID, ACCOUNT, MOMENT)

        assert len(script.requests) == 2

    async def test_patience_has_an_end(self) -> None:
        """A Shopify that never answers is unavailable after the configured seconds."""
        async with opened(platform_timeout_s=0.2) as shop:
            shop.shopify.faults.plan(Fault.TIMEOUT, "look_up")

            with pytest.raises(PlatformUnavailable):
                await shop.platform.look_up(GID, ACCOUNT, MOMENT)

            assert len(shop.shopify.calls) == 1


class TestThrottling:
    """ "Later" is remembered."""

    @pytest.mark.parametrize(
        ("step", "wait_s"),
        [
            (failed("THROTTLED", cost=COST), 3.0),
            (failed("THROTTLED", cost=COST | {"requestedQueryCost": 10}), 0.0),
            (failed("THROTTLED", cost=COST | {"requestedQueryCost": 10**9}), LONGEST_WAIT_S),
            (failed("THROTTLED"), DEFAULT_WAIT_S),
            (failed("THROTTLED", cost={"requestedQueryCost": 50, "throttleStatus": 7}), DEFAULT_WAIT_S),
            (failed("THROTTLED", cost=COST | {"throttleStatus": {"restoreRate": 0}}), DEFAULT_WAIT_S),
            (answer(429, **{"Retry-After": "1.5"}), 1.5),
            (answer(430, **{"Retry-After": "4"}), 4.0),
            (answer(429), DEFAULT_WAIT_S),
            (answer(429, **{"Retry-After": "soon"}), DEFAULT_WAIT_S),
            (answer(429, **{"Retry-After": "nan"}), DEFAULT_WAIT_S),
            (answer(429, **{"Retry-After": "-1"}), 0.0),
            (answer(429, **{"Retry-After": "86400"}), LONGEST_WAIT_S),
        ],
        ids=range(13),
    )
    async def test_the_wait_is_shopifys(self, step: httpx2.Response, wait_s: float) -> None:
        """From the cost of the query and what is left, or from `Retry-After`; within bounds."""
        async with scripted_platform(Script(step)) as platform:
            with pytest.raises(PlatformThrottled) as throttled:
                await platform.look_up(GID, ACCOUNT, MOMENT)

        assert throttled.value.retry_after_s == wait_s

    async def test_a_throttled_shop_is_left_alone_until_then(self) -> None:
        """Every call is refused at once, with the time that remains; then Shopify is asked again."""
        script, hand = Script(failed("THROTTLED", cost=COST), told()), Hand()
        async with scripted_platform(script, hand=hand) as platform:
            with pytest.raises(PlatformThrottled):
                await platform.look_up(GID, ACCOUNT, MOMENT)

            hand.at_s += 2.0
            with pytest.raises(PlatformThrottled) as early:
                await platform.create_checkout(a_shopify_purchase(), ACCOUNT)
            hand.at_s += 1.0
            report = await platform.look_up(GID, ACCOUNT, MOMENT)

        assert early.value.retry_after_s == pytest.approx(1.0)
        assert report is not None
        assert len(script.requests) == 2

    async def test_other_shops_are_not_throttled(self) -> None:
        """Shopify counts for each shop."""
        script = Script(failed("THROTTLED", cost=COST), told())
        async with scripted_platform(script) as platform:
            with pytest.raises(PlatformThrottled):
                await platform.look_up(GID, ACCOUNT, MOMENT)

            assert await platform.look_up(GID, ANOTHER, MOMENT) is not None

    def test_the_memory_is_bounded(self) -> None:
        """What is over is forgotten first, then what came first."""
        hand = Hand()
        throttles = Throttles(monotonic_s=hand)
        for number in range(MAX_REMEMBERED + 1):
            throttles.remember(str(number), PlatformThrottled("shopify", "later", retry_after_s=60))

        throttles.check("0")
        with pytest.raises(PlatformThrottled):
            throttles.check(str(MAX_REMEMBERED))
        assert len(throttles._until_s) == MAX_REMEMBERED


class TestVersions:
    """The API version that was asked for, and the one that was served."""

    async def test_another_version_is_told_once(self) -> None:
        """Whatever is sold meanwhile is sold."""
        async with opened() as shop:
            shop.shopify.answers_version = "2027-01"
            with capture_logs() as logs:
                for _ in range(2):
                    await shop.platform.create_checkout(a_shopify_purchase(), ACCOUNT)

        assert [(log["event"], log["asked"], log["served"]) for log in logs] == [
            ("shopify.other_api_version", "2026-10", "2027-01")
        ]

    async def test_the_pinned_version_is_not_worth_a_word(self) -> None:
        """Nor is an answer without a version, as of a proxy."""
        async with scripted_platform(Script(told())) as platform:
            with capture_logs() as logs:
                await platform.look_up(GID, ACCOUNT, MOMENT)

        assert logs == []
