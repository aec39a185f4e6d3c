"""Stripe's idempotency as its stand-in keeps it."""

import asyncio

import pytest
import stripe
from tests.adapters.stand_ins.stripe_desk import KEY, NOW_S, Desk, until

from billing_adapters.stand_ins.faults import Fault


class TestIdempotency:
    """A key's first answer is its answer."""

    async def test_a_key_gives_the_same_answer_again(self, desk: Desk) -> None:
        """Body and status, marked as replayed, even after the session has moved on; nothing else is made."""
        first = await desk.post(key=KEY)
        desk.stripe.pay(first.json()["id"])
        again = await desk.post(key=KEY)

        assert (again.status_code, again.text) == (200, first.text)
        assert [answer.headers.get("Idempotent-Replayed") for answer in (first, again)] == [None, "true"]
        assert len(desk.stripe.sessions) == 1

    async def test_a_key_stands_for_its_parameters(self, desk: Desk) -> None:
        """Others under the same key are an idempotency error."""
        await desk.create(key=KEY)

        with pytest.raises(stripe.IdempotencyError):
            await desk.create(key=KEY, expires_at=NOW_S + 3601)

    async def test_a_key_stands_for_its_endpoint(self, desk: Desk) -> None:
        """The same (empty) parameters at another session's path are another request."""
        sessions = desk.client.v1.checkout.sessions
        first, second = await desk.create(), await desk.create()
        await sessions.expire_async(first.id, {}, {"idempotency_key": KEY})

        with pytest.raises(stripe.IdempotencyError):
            await sessions.expire_async(second.id, {}, {"idempotency_key": KEY})

        assert desk.stripe.sessions[second.id].status == "open"

    async def test_a_key_whose_first_request_is_running_is_in_use(self, desk: Desk) -> None:
        """409 until it has an answer, then that answer."""
        with desk.stripe.hold_creates():
            running = asyncio.create_task(desk.create(key=KEY))
            await until(lambda: len(desk.stripe.calls) == 1)
            with pytest.raises(stripe.APIError) as refused:
                await desk.create(key=KEY)
        first = await running

        assert refused.value.http_status == 409
        assert refused.value.error is not None
        assert refused.value.error.code == "idempotency_key_in_use"
        assert (await desk.create(key=KEY)).id == first.id

    async def test_what_a_caller_gave_up_on_is_done_all_the_same(self, desk: Desk) -> None:
        """The retry after a timeout meets the session that was made meanwhile."""
        with desk.stripe.hold_creates():
            impatient = asyncio.create_task(desk.post(key=KEY))
            await until(lambda: len(desk.stripe.calls) == 1)
            impatient.cancel()
            await asyncio.wait([impatient])
        await until(lambda: len(desk.stripe.sessions) == 1)

        again = await desk.post(key=KEY)

        assert again.headers["Idempotent-Replayed"] == "true"
        assert list(desk.stripe.sessions) == [again.json()["id"]]

    async def test_a_server_error_is_remembered(self, desk: Desk) -> None:
        """A key that met a 500 meets it for ever; another key is free."""
        desk.stripe.faults.plan(Fault.SERVER_ERROR, "create")

        answers = [await desk.post(key=KEY), await desk.post(key=KEY), await desk.post(key="another")]

        assert [answer.status_code for answer in answers] == [500, 500, 200]
        assert answers[1].headers["Idempotent-Replayed"] == "true"
        assert answers[0].json()["error"]["type"] == "api_error"

    @pytest.mark.parametrize(
        ("fault", "status"),
        [
            (Fault.TOO_MANY_REQUESTS, 429),
            (Fault.THROTTLED, 429),
            (Fault.UNAUTHORIZED, 401),
            (Fault.HTML_BODY, 502),
        ],
    )
    async def test_what_was_refused_before_it_began_is_not_remembered(
        self, desk: Desk, fault: Fault, status: int
    ) -> None:
        """The same key can be tried again."""
        desk.stripe.faults.plan(fault, "create")

        answers = [await desk.post(key=KEY), await desk.post(key=KEY)]

        assert [answer.status_code for answer in answers] == [status, 200]
        assert "Idempotent-Replayed" not in answers[1].headers

    async def test_parameters_that_are_refused_are_not_remembered(self, desk: Desk) -> None:
        """The corrected request may keep its key."""
        with pytest.raises(stripe.InvalidRequestError):
            await desk.create(key=KEY, expires_at=NOW_S + 60)

        assert (await desk.create(key=KEY)).status == "open"

    async def test_a_key_means_nothing_to_a_get(self, desk: Desk) -> None:
        """Only POST honours it."""
        made = await desk.post(key=KEY)
        path = f"/v1/checkout/sessions/{made.json()['id']}"
        desk.stripe.pay(made.json()["id"])

        seen = await desk.plain.get(path, headers={"Idempotency-Key": KEY})

        assert seen.json()["status"] == "complete"

    async def test_a_key_of_more_than_255_characters_is_refused(self, desk: Desk) -> None:
        """255 are the most."""
        answers = [await desk.post(key="k" * 255), await desk.post(key="k" * 256)]

        assert [answer.status_code for answer in answers] == [200, 400]
