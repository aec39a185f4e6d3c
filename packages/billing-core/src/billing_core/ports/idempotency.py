"""A fast path for repeated requests. The truth is `KeyRecords` in storage; this may forget at any time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from billing_core.domain.idempotency import Answer, RequestKey


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberedAnswer:
    """An answer and the fingerprint of the request it was given to."""

    fingerprint: str
    answer: Answer


class ReplayCache(Protocol):
    """Remembers finished answers for 24 hours, or less. Never raises: without it the truth is asked."""

    async def get(self, key: RequestKey) -> RememberedAnswer | None:
        """The remembered answer; None where there is none, or where the cache is away."""
        ...

    async def forget(self, keys: Sequence[RequestKey]) -> None:
        """This will forget the answers of these keys; while the cache is away it forgets by itself within 24 hours."""
        ...

    async def put(self, key: RequestKey, remembered: RememberedAnswer) -> None:
        """This will remember a committed answer; nothing happens where the cache is away."""
        ...
