"""Idempotency keys: what a repeated request gets (contract §2; draft-ietf-httpapi-idempotency-key-header-07)."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from billing_core.errors import IdempotencyKeyInUse, IdempotencyKeyReused

REMEMBERED_FOR = timedelta(hours=24)
# Longer than any request may take with its platform call: after it a first request that never answered is taken for
# dead, and a repeat goes on with its purchase.
LOCKED_FOR = timedelta(seconds=20)
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKey:
    """An idempotency key in its scope: one merchant, one route."""

    merchant_id: str
    route: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The first answer to a request: what came of it (`outcome`) and the document (JSON) it was told."""

    outcome: str
    document: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """What is remembered of a request: its fingerprint, the purchase it works on, and its answer once there is one."""

    key: RequestKey
    fingerprint: str
    created_at: datetime
    purchase_id: UUID | None = None
    locked_until: datetime | None = None
    answer: Answer | None = None

    def admit(self, fingerprint: str, now: datetime) -> Answer | None:
        """This will give the answer to replay, or None where the request may go on with its purchase.

        Raises IdempotencyKeyReused for another request, IdempotencyKeyInUse while the first one still runs.
        """
        if self.fingerprint != fingerprint:
            raise IdempotencyKeyReused
        if self.answer is None and self.locked_until is not None and now < self.locked_until:
            raise IdempotencyKeyInUse(retry_after_s=1)
        return self.answer

    def locked(self, now: datetime, purchase_id: UUID | None = None) -> "KeyRecord":
        """This will hold the key for one attempt, noting the purchase it works on."""
        return replace(self, locked_until=now + LOCKED_FOR, purchase_id=purchase_id or self.purchase_id)

    def released(self) -> "KeyRecord":
        """This will free the key after a failed attempt: the retry resumes the same purchase."""
        return replace(self, locked_until=None)

    def given_up(self) -> "KeyRecord":
        """This will free the key of a purchase that failed for good: the retry begins another one."""
        return replace(self, locked_until=None, purchase_id=None)

    def answered(self, answer: Answer) -> "KeyRecord":
        """This will remember the answer for every repeat."""
        return replace(self, locked_until=None, answer=answer)


def fingerprint(request: Mapping[str, str | None]) -> str:
    """The SHA-256 of a request's validated fields, the same for the same request however it was spelled."""
    return hashlib.sha256(_CANONICAL.encode(request).encode()).hexdigest()
