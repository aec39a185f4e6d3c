"""Stripe's stand-in breaking on demand: each way to break, at each operation."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
import stripe
from tests.adapters.stand_ins.stripe_desk import FORM, KEY, Desk, a_desk

from billing_adapters.stand_ins.faults import Fault


class TestFaults:
    """Each way to break, at each operation."""

    @pytest.mark.parametrize(
        "operation", ["create", "look_up", "expire", "list", "payment_intent", "charge", "disputes"]
    )
    @pytest.mark.parametrize(
        ("fault", "error", "status"),
        [
            (Fault.RESET, stripe.APIConnectionError, None),
            (Fault.LOST_ANSWER, stripe.APIConnectionError, None),
            (Fault.TOO_MANY_REQUESTS, stripe.RateLimitError, 429),
            (Fault.THROTTLED, stripe.RateLimitError, 429),
            (Fault.SERVER_ERROR, stripe.APIError, 500),
            (Fault.HTML_BODY, stripe.APIError, 502),
            (Fault.HTML_SUCCESS, stripe.APIError, 200),
            (Fault.UNAUTHORIZED, stripe.AuthenticationError, 401),
        ],
    )
    async def test_a_fault_befalls_one_call_of_its_operation(
        self, desk: Desk, operation: str, fault: Fault, error: type[stripe.StripeError], status: int | None
    ) -> None:
        """The official client sees it as it would see Stripe's own; the next call goes well."""
        ask = await asking(desk, operation)
        desk.stripe.faults.plan(fault, operation)

        with pytest.raises(error) as broken:
            await ask()

        assert broken.value.http_status == status
        if (fault, operation) != (Fault.LOST_ANSWER, "expire"):
            await ask()

    async def test_a_lost_answer_has_its_effect_and_is_remembered(self, desk: Desk) -> None:
        """The retry with the key gives the one session that was made."""
        desk.stripe.faults.plan(Fault.LOST_ANSWER, "create")
        with pytest.raises(stripe.APIConnectionError):
            await desk.create(key=KEY)

        again = await desk.create(key=KEY)

        assert list(desk.stripe.sessions) == [again.id]
        assert again.last_response is not None
        assert again.last_response.headers["Idempotent-Replayed"] == "true"

    async def test_a_reset_has_no_effect(self, desk: Desk) -> None:
        """Nothing is made, and the key is free."""
        desk.stripe.faults.plan(Fault.RESET, "create")
        with pytest.raises(stripe.APIConnectionError):
            await desk.create(key=KEY)

        assert not desk.stripe.sessions

    async def test_a_timeout_is_no_answer_within_the_callers_patience(self, desk: Desk) -> None:
        """The caller's own deadline ends the wait."""
        desk.stripe.faults.plan(Fault.TIMEOUT, "create")

        with pytest.raises(httpx2.ReadTimeout):
            await desk.plain.post("/v1/checkout/sessions", content=FORM, timeout=0.2)

        assert not desk.stripe.sessions

    async def test_a_session_can_come_without_its_url(self, desk: Desk) -> None:
        """It is made all the same, and looked up it has one."""
        desk.stripe.faults.plan(Fault.NO_URL, "create")

        made = await desk.create()

        assert "url" not in made
        assert (await desk.retrieve(made.id)).url

    async def test_only_one_of_the_429s_says_how_long_to_wait(self, desk: Desk) -> None:
        """Stripe itself says `rate_limit`; what stands before it says Retry-After."""
        for fault in (Fault.THROTTLED, Fault.TOO_MANY_REQUESTS):
            desk.stripe.faults.plan(fault, "create")

        answers = [await desk.post(key=KEY), await desk.post(key=KEY)]

        assert [answer.json()["error"]["code"] for answer in answers] == ["rate_limit", "rate_limit"]
        assert [answer.headers.get("Retry-After") for answer in answers] == [None, "1"]

    async def test_only_the_accounts_key_is_let_in(self) -> None:
        """Another secret key is a 401, and makes nothing."""
        async with a_desk(secret_key="sk_test_another_sample") as desk:
            with pytest.raises(stripe.AuthenticationError):
                await desk.create()

            assert not desk.stripe.sessions

    async def test_a_path_that_is_not_stripes_is_told_as_stripe_tells_it(self, desk: Desk) -> None:
        """404 with an error body, never a page."""
        answer = await desk.plain.get("/v1/balance")

        assert (answer.status_code, answer.json()["error"]["type"]) == (404, "invalid_request_error")


async def asking(desk: Desk, operation: str) -> Callable[[], Awaitable[object]]:
    """A call of the operation that goes well."""
    made = await desk.create()
    v1, sessions = desk.client.v1, desk.client.v1.checkout.sessions
    if operation == "expire":
        return lambda: sessions.expire_async(made.id)
    desk.stripe.pay(made.id)
    paid: Any = await desk.retrieve(made.id)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "create": desk.create,
        "look_up": lambda: sessions.retrieve_async(made.id),
        "list": sessions.list_async,
        "payment_intent": lambda: v1.payment_intents.retrieve_async(paid.payment_intent.id),
        "charge": lambda: v1.charges.retrieve_async(paid.payment_intent.latest_charge.id),
        "disputes": v1.disputes.list_async,
    }
    return calls[operation]
