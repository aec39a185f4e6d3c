"""The answer to a request that must not be carried out twice."""

from dataclasses import dataclass

from billing_core.domain.idempotency import Answer, RequestKey
from billing_core.errors import IdempotencyKeyReused
from billing_core.ports.idempotency import RememberedAnswer, ReplayCache


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer, and whether it was given before."""

    answer: Answer
    replayed: bool


async def replay(cache: ReplayCache, key: RequestKey, fingerprint: str) -> Answered | None:
    """This will answer a repeat from the fast path. Raises IdempotencyKeyReused; None means: ask the truth."""
    remembered = await cache.get(key)
    if remembered is None:
        return None
    if remembered.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    return Answered(answer=remembered.answer, replayed=True)


async def remember(cache: ReplayCache, key: RequestKey, fingerprint: str, answered: Answered) -> Answered:
    """This will put a committed answer on the fast path and give it back; one told again is as old as it was, and is
    not remembered for longer."""
    if answered.replayed:
        return answered
    await cache.put(key, RememberedAnswer(fingerprint=fingerprint, answer=answered.answer))
    return answered
