"""What becomes of a call, told by what came back: no server, no waiting."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_client import (
    BillingAPIError,
    BillingClientError,
    BillingConnectionError,
    IdempotencyKeyInUse,
    RateLimited,
    Retries,
    ServiceUnavailable,
    UnexpectedAnswer,
    calls,
)
from billing_client.conversation import Conversation

DOCUMENT = json.loads((Path(__file__).parents[2] / "schemas" / "openapi.json").read_text("utf-8"))
PROBLEMS: dict[str, dict[str, Any]] = {
    code: example["value"] for code, example in DOCUMENT["components"]["examples"].items()
}
AGAIN = {"IDEMPOTENCY_KEY_IN_USE", "SERVICE_UNAVAILABLE", "RATE_LIMITED"}
LOST = (httpx2.ConnectError, httpx2.ReadTimeout, httpx2.ConnectTimeout, httpx2.ReadError, httpx2.RemoteProtocolError)
OURS = (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol, httpx2.ProxyError, httpx2.DecodingError)


def a_call() -> calls.Call[Any]:
    """A POST under a key."""
    return calls.create_purchase("large", "https://shop.example", None, "key-1", "correlation-1")


def a_conversation(retries: Retries | None = None, chance: float = 0.5) -> Conversation[Any]:
    """One whose chance is known."""
    return Conversation(a_call(), retries or Retries(), lambda: chance)


def refused(code: str, **headers: str) -> httpx2.Response:
    """The documented refusal."""
    problem = PROBLEMS.get(code) or {**PROBLEMS["SERVICE_UNAVAILABLE"], "code": code, "status": 429}
    return httpx2.Response(problem["status"], json=problem, headers=headers)


def waits(outcome: Any, retries: Retries, chance: float = 0.5) -> Iterator[float]:
    """How long is waited before each sending after the first, if the same comes back each time."""
    conversation = a_conversation(retries, chance)
    while True:
        try:
            conversation.hear(outcome)
        except BillingClientError:
            return
        yield conversation.wait_s


class TestRefusals:
    @pytest.mark.parametrize("code", sorted({*PROBLEMS, *AGAIN}))
    def test_only_what_may_succeed_later_is_sent_again(self, code: str) -> None:
        """And every documented refusal ends as the class of its code."""
        conversation = a_conversation(Retries(times=1))

        with pytest.raises(BillingAPIError) as error:
            while True:
                conversation.hear(refused(code))

        assert (error.value.code, type(error.value).known_as) == (code, code)
        assert error.value.attempts == (2 if code in AGAIN else 1)
        assert error.value.idempotency_key == "key-1"

    def test_the_data_of_a_refusal_is_typed(self) -> None:
        """What a platform error says stands in attributes, and so does how long to wait."""
        conversation = a_conversation()

        with pytest.raises(BillingAPIError) as error:
            conversation.hear(refused("PLATFORM_ERROR", **{"Retry-After": "30"}))

        told: Any = error.value
        assert (told.retryable, told.platform, told.status, told.retry_after_s) == (True, "shopify", 502, 30)

    def test_a_code_nobody_knows_is_told_all_the_same(self) -> None:
        """As the class of all refusals, which has the code."""
        problem = {**PROBLEMS["INVALID_PACK"], "code": "NEW_ONE", "more": 1}

        with pytest.raises(BillingAPIError) as error:
            a_conversation().hear(httpx2.Response(400, json=problem))

        assert (type(error.value), error.value.code) == (BillingAPIError, "NEW_ONE")

    @pytest.mark.parametrize(
        "response",
        [
            httpx2.Response(500, text="<h1>Broken</h1>"),
            httpx2.Response(404, text=""),
            httpx2.Response(302, headers={"Location": "https://elsewhere.example"}),
            httpx2.Response(200, text="<html>"),
            httpx2.Response(200, json={"id": 1}),
            httpx2.Response(201, json=[]),
            httpx2.Response(400, json={"code": 7}),
        ],
        ids=lambda response: f"{response.status_code} {response.text[:12]}",
    )
    def test_what_is_not_billings_is_told_and_not_repeated(self, response: httpx2.Response) -> None:
        """With its status, and the call's own correlation id."""
        with pytest.raises(UnexpectedAnswer) as error:
            a_conversation().hear(response)

        assert (error.value.status, error.value.attempts) == (response.status_code, 1)
        assert error.value.correlation_id == "correlation-1"

    @pytest.mark.parametrize("status", [502, 503, 504])
    def test_a_proxy_that_does_not_reach_billing_is_worth_another_try(self, status: int) -> None:
        """Though it is no document of Billing's; a 502 of Billing's own, PLATFORM_ERROR, is final."""
        assert len(list(waits(httpx2.Response(status, text="<h1>busy</h1>"), Retries(times=2)))) == 2


class TestNoAnswer:
    @pytest.mark.parametrize("failure", LOST)
    def test_is_sent_again_and_then_told(self, failure: type[httpx2.RequestError]) -> None:
        """With what the HTTP library said as the cause."""
        conversation, raised = a_conversation(Retries(times=1)), failure("gone")

        conversation.hear(raised)
        with pytest.raises(BillingConnectionError, match="POST /api/billing/purchases") as error:
            conversation.hear(raised)

        assert (error.value.__cause__, error.value.attempts) == (raised, 2)

    @pytest.mark.parametrize("failure", OURS)
    def test_what_this_side_did_wrong_is_not_repeated(self, failure: type[httpx2.RequestError]) -> None:
        """It would go wrong again."""
        with pytest.raises(BillingConnectionError) as error:
            a_conversation().hear(failure("wrong"))

        assert error.value.attempts == 1


class TestAnswers:
    def test_say_how_they_came(self) -> None:
        """Status, correlation id, whether it is a replay, and after how many sendings."""
        content = DOCUMENT["paths"]["/api/billing/purchases"]["post"]["responses"]["201"]["content"]
        headers = {"X-Correlation-Id": "theirs", "Idempotency-Replayed": "true"}
        conversation = a_conversation()

        conversation.hear(refused("IDEMPOTENCY_KEY_IN_USE"))
        conversation.hear(httpx2.Response(201, json=content["application/json"]["example"], headers=headers))

        assert conversation.answer is not None
        meta = conversation.answer.meta
        assert (meta.status, meta.correlation_id, meta.replayed, meta.attempts) == (201, "theirs", True, 2)

    def test_an_unhealthy_service_answers_too(self) -> None:
        """Its 503 is the answer, and is not asked again."""
        example = DOCUMENT["paths"]["/health"]["get"]["responses"]["503"]["content"]["application/json"]["example"]
        conversation = Conversation(calls.health(None), Retries())

        conversation.hear(httpx2.Response(503, json={**example, "status": "unavailable"}))

        assert conversation.answer is not None
        assert (conversation.answer.status, conversation.answer.meta.status) == ("unavailable", 503)


class TestWaiting:
    def test_grows_from_try_to_try_up_to_a_bound(self) -> None:
        """Twice as long each time, of which half is chance."""
        retries = Retries(times=6, first_wait_s=1, longest_wait_s=10)
        lost = httpx2.ConnectError("gone")

        assert list(waits(lost, retries, chance=1)) == [1, 2, 4, 8, 10, 10]
        assert list(waits(lost, retries, chance=0)) == [0.5, 1, 2, 4, 5, 5]

    @pytest.mark.parametrize("kind", [IdempotencyKeyInUse, RateLimited, ServiceUnavailable])
    def test_billing_says_how_long(self, kind: type[BillingAPIError]) -> None:
        """Never shorter; somewhat longer by chance, so that not everybody comes back at once."""
        retries = Retries(times=2, first_wait_s=1)
        later = refused(kind.known_as, **{"Retry-After": "7"})

        assert list(waits(later, retries, chance=0)) == [7, 7]
        assert list(waits(later, retries, chance=0.5)) == [7.5, 7.5]

    @pytest.mark.parametrize("told", ["21", "999999"])
    def test_longer_than_anybody_wants_to_wait_is_given_up_at_once(self, told: str) -> None:
        """And the error says how long it would have been."""
        with pytest.raises(ServiceUnavailable) as error:
            a_conversation(Retries(longest_wait_s=20)).hear(refused("SERVICE_UNAVAILABLE", **{"Retry-After": told}))

        assert (error.value.retry_after_s, error.value.attempts) == (float(told), 1)

    @pytest.mark.parametrize("told", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "soon", "1.5", "9" * 30, ""])
    def test_what_is_no_number_of_seconds_is_the_usual_wait(self, told: str) -> None:
        """A proxy may say it in other ways."""
        retries = Retries(times=1, first_wait_s=1)

        assert list(waits(refused("SERVICE_UNAVAILABLE", **{"Retry-After": told}), retries, chance=1)) == [1]

    @given(
        attempts=st.integers(1, 30),
        retry_after_s=st.none() | st.floats(0, 100),
        chance=st.floats(0, 1),
        times=st.integers(0, 20),
        first_wait_s=st.floats(0, 5),
        longest_wait_s=st.floats(5, 60),
    )
    def test_is_bounded_whatever_is_told(
        self,
        attempts: int,
        retry_after_s: float | None,
        chance: float,
        times: int,
        first_wait_s: float,
        longest_wait_s: float,
    ) -> None:
        """Never negative, never above the bound but for the part of chance, and none after the last try."""
        retries = Retries(times=times, first_wait_s=first_wait_s, longest_wait_s=longest_wait_s)

        wait_s = retries.wait_s(attempts, retry_after_s, chance)

        if attempts > times:
            assert wait_s is None
        if wait_s is not None:
            assert (retry_after_s or 0) <= wait_s <= longest_wait_s + first_wait_s


class TestSending:
    def test_every_try_is_the_same_request(self) -> None:
        """Key, correlation id and body are made once for each call, and anew for the next one."""
        one, two = calls.activate_trial(None, None), calls.activate_trial(None, None)

        assert one.headers(token="t", platform="p") == one.headers(token="t", platform="p")
        assert one.idempotency_key != two.idempotency_key
        assert one.correlation_id != two.correlation_id

    def test_a_question_has_no_key(self) -> None:
        """And what is asked openly brings no token along."""
        assert "Idempotency-Key" not in calls.overview(None).headers(token="t", platform="p")
        assert calls.health(None).headers(token="t", platform="p").keys() == {"Accept", "X-Correlation-Id"}
