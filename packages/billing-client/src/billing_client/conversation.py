"""What becomes of a call: its answer, another try, or an error. No I/O: whoever sends it tells here what came back.

Sent again is what may succeed then and does no harm: what never got an answer, what is still running under its key
(409 `IDEMPOTENCY_KEY_IN_USE`), what Billing asks to be asked later (429, 503), and what a proxy answers that does not
reach Billing (502, 504). Every other refusal is final.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypedDict, TypeVar

import httpx2
from pydantic import ValidationError

from billing_client.answers import Answer, Meta, Problem
from billing_client.calls import Call
from billing_client.errors import (
    ERRORS,
    BillingAPIError,
    BillingClientError,
    BillingConnectionError,
    IdempotencyKeyInUse,
    UnexpectedAnswer,
)

A = TypeVar("A", bound=Answer)

# The request may never have arrived, or its answer got lost. Not here: what this side did wrong.
_LOST: Final = (httpx2.NetworkError, httpx2.TimeoutException, httpx2.RemoteProtocolError)
_LATER: Final = frozenset({429, 503})
# Of a proxy. With a document of Billing's, 502 is PLATFORM_ERROR, which took the platform's time already.
_NOT_REACHED: Final = frozenset({502, 504})
_SECONDS: Final = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often a call is sent again, and after how long.

    The first wait is about `first_wait_s` seconds and doubles from try to try up to `longest_wait_s`. Where Billing
    says how long to wait, that counts; where it is longer than `longest_wait_s`, the call is given up at once. Every
    wait has a random part, so that many clients do not come back together.

    >>> Retries(times=0)  # never
    Retries(times=0, first_wait_s=0.5, longest_wait_s=20.0)
    """

    times: int = 3
    first_wait_s: float = 0.5
    longest_wait_s: float = 20.0

    def wait_s(self, attempts: int, retry_after_s: float | None, chance: float) -> float | None:
        """Seconds to wait after so many attempts, or None: give up. `chance` is from 0 to 1."""
        if attempts > self.times or (retry_after_s or 0) > self.longest_wait_s:
            return None
        if retry_after_s is not None:
            return retry_after_s + chance * self.first_wait_s
        most_s = min(self.longest_wait_s, self.first_wait_s * 2.0 ** min(attempts - 1, 30))
        return most_s * (1 + chance) / 2


class Conversation(Generic[A]):
    """One call from its first sending to its end: wait `wait_s` seconds, send it, tell what came back; until there is
    an `answer`."""

    def __init__(self, call: Call[A], retries: Retries, chance: Callable[[], float] = random.random) -> None:
        self._call, self._retries, self._chance = call, retries, chance
        self._attempts = 0
        self.wait_s = 0.0
        self.answer: A | None = None

    def hear(self, outcome: httpx2.Response | httpx2.RequestError) -> None:
        """This will take what came back. Raises BillingClientError when there will be no answer."""
        self._attempts += 1
        if isinstance(outcome, httpx2.RequestError):
            self._not_answered(outcome)
        elif outcome.status_code in self._call.answered_by:
            self.answer = self._read(outcome)
        else:
            self._refused(outcome)

    def _not_answered(self, failure: httpx2.RequestError) -> None:
        error = BillingConnectionError(
            f"{self._what()} got no answer: {type(failure).__name__}: {failure}", **self._known(None)
        )
        if not isinstance(failure, _LOST):
            raise error from failure
        self._again_or(error, None, failure)

    def _read(self, response: httpx2.Response) -> A:
        try:
            answer = self._call.answer.model_validate_json(response.content)
        except ValidationError as wrong:
            raise self._unexpected(response, "an answer that cannot be read") from wrong
        answer._meta = Meta(  # noqa: SLF001 - users read it, and only this place sets it
            status=response.status_code,
            correlation_id=self._correlation_id(response),
            replayed=response.headers.get("Idempotency-Replayed") == "true",
            attempts=self._attempts,
        )
        return answer

    def _refused(self, response: httpx2.Response) -> None:
        retry_after_s = _retry_after_s(response)
        error = self._refusal(response, retry_after_s)
        not_reached = response.status_code in _NOT_REACHED and isinstance(error, UnexpectedAnswer)
        if response.status_code not in _LATER and not not_reached and not isinstance(error, IdempotencyKeyInUse):
            raise error
        self._again_or(error, retry_after_s)

    def _again_or(self, error: BillingClientError, retry_after_s: float | None, cause: Exception | None = None) -> None:
        wait_s = self._retries.wait_s(self._attempts, retry_after_s, self._chance())
        if wait_s is None:
            raise error from cause
        self.wait_s = wait_s

    def _refusal(self, response: httpx2.Response, retry_after_s: float | None) -> BillingClientError:
        try:
            problem = Problem.model_validate_json(response.content)
        except ValidationError:
            return self._unexpected(response, "something that is not Billing's")
        kind = ERRORS.get(problem.code, BillingAPIError)
        return kind(
            problem,
            idempotency_key=self._call.idempotency_key,
            attempts=self._attempts,
            retry_after_s=retry_after_s,
        )

    def _unexpected(self, response: httpx2.Response, what: str) -> UnexpectedAnswer:
        return UnexpectedAnswer(
            f"{self._what()} brought {what}: status {response.status_code},"
            f" {response.headers.get('Content-Type', 'no media type')}. Is the address that of Billing?",
            status=response.status_code,
            **self._known(response),
        )

    def _what(self) -> str:
        return f"{self._call.method} {self._call.path}"

    def _known(self, response: httpx2.Response | None) -> "_Known":
        return {
            "correlation_id": self._correlation_id(response),
            "idempotency_key": self._call.idempotency_key,
            "attempts": self._attempts,
        }

    def _correlation_id(self, response: httpx2.Response | None) -> str:
        told = "" if response is None else str(response.headers.get("X-Correlation-Id", ""))
        return told or self._call.correlation_id


class _Known(TypedDict):
    correlation_id: str
    idempotency_key: str | None
    attempts: int


def _retry_after_s(response: httpx2.Response) -> float | None:
    # Billing tells seconds; of a proxy's date it is known that it asks for patience, and the usual wait is taken.
    told = response.headers.get("Retry-After", "")
    return float(told) if _SECONDS.fullmatch(told) else None
