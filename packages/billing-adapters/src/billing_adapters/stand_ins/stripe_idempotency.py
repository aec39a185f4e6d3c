"""Stripe's idempotency of POST (docs.stripe.com/api/idempotent_requests): a key's first answer is its answer.

What a call was answered once it had begun, success or failure, a 500 included, is answered again. Not remembered: what
was refused before anything was tried, and the refusal of a key in use.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from billing_adapters.stand_ins.stripe_answers import Answer, Refusal

MAX_KEY_LENGTH = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a key stands for: the endpoint and its parameters."""

    endpoint: str
    params: dict[str, Any]


class IdempotencyKeys:
    """The keys of one account. None is ever pruned."""

    def __init__(self) -> None:
        self._asked: dict[str, Asked] = {}
        self._answers: dict[str, Answer] = {}

    async def once(self, key: str, asked: Asked, act: Callable[[], Awaitable[Answer]]) -> Answer:
        """This will act and remember the answer, or give the one that is remembered.

        Raises Refusal for a key in use, a key of another request, a key too long.
        """
        if len(key) > MAX_KEY_LENGTH:
            raise Refusal(f"Keys for idempotent requests can only be up to {MAX_KEY_LENGTH} characters.")
        if key in self._asked:
            return self._again(key, asked)
        self._asked[key] = asked
        try:
            answer = await act()
            if answer.final:
                self._answers[key] = answer
            return answer
        finally:
            if key not in self._answers:
                del self._asked[key]

    def _again(self, key: str, asked: Asked) -> Answer:
        if key not in self._answers:
            raise Refusal(
                f"There is currently another in-progress request using this Idempotent Key: {key}",
                status=409,
                code="idempotency_key_in_use",
            )
        if asked != self._asked[key]:
            raise Refusal(
                f"Keys for idempotent requests can only be used for the same endpoint and the same parameters"
                f" they were first used with. Try using a key other than '{key}'.",
                kind="idempotency_error",
            )
        answer = self._answers[key]
        return replace(answer, headers={**answer.headers, "Idempotent-Replayed": "true"})
