"""The fast path of repeated requests: finished answers in Redis."""

import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from billing_adapters.logs import get_logger
from billing_adapters.redis.client import REDIS_FAILURES, RedisClient
from billing_adapters.redis.refusals import CODE, refusal
from billing_adapters.redis.together import CommandsTogether
from billing_core.domain.idempotency import REMEMBERED_FOR, Answer, RequestKey
from billing_core.ports.idempotency import RememberedAnswer

OPERATION_TIMEOUT_S = 0.3
# After a failure Redis is left alone so long, so that an outage costs one request in a while some time, not each.
LEFT_ALONE_S = 1.0
WARN_EVERY_S = 30.0
_VERSION: Final = b"1"
_DIGEST_BYTES: Final = 8


class RedisReplayCache:
    """Remembers answers for 24 hours, or until Redis forgets them."""

    def __init__(
        self, client: RedisClient, *, remembered_for: timedelta = REMEMBERED_FOR, timeout_s: float = OPERATION_TIMEOUT_S
    ) -> None:
        """This will keep answers through the client, giving what goes to Redis at once `timeout_s` seconds."""
        self._commands = CommandsTogether(client, timeout_s=timeout_s)
        self._remembered_for_ms = remembered_for // timedelta(milliseconds=1)
        self._left_alone_until = 0.0
        self._failing = False
        self._warned_at = -WARN_EVERY_S
        self._log = get_logger("redis")

    async def get(self, key: RequestKey) -> RememberedAnswer | None:
        """The remembered answer; None where there is none, where it was damaged, or while Redis is away."""
        if self._is_left_alone():
            return None
        value = await self._attempt("GET", _name(key))
        if not isinstance(value, bytes):  # the client never decodes, so it is None
            return None
        remembered = _decode(value)
        if remembered is None:
            self._warn("a remembered answer is damaged; the database is asked", "")
        return remembered

    async def put(self, key: RequestKey, remembered: RememberedAnswer) -> None:
        """This will remember a committed answer; nothing happens while Redis is away."""
        if not self._is_left_alone():
            await self._attempt("SET", _name(key), _encode(remembered), "PX", self._remembered_for_ms)

    async def forget(self, keys: Sequence[RequestKey]) -> None:
        """This will forget the answers of these keys; while Redis is away they run out by themselves."""
        if keys and not self._is_left_alone():
            # One by one, and yet together: on a cluster each may be another node's.
            await asyncio.gather(*(self._attempt("UNLINK", _name(key)) for key in keys))

    def _is_left_alone(self) -> bool:
        now = time.monotonic()
        if now < self._left_alone_until:
            return True
        if self._failing:
            # One request tries whether Redis is back; the others go on without it meanwhile.
            self._left_alone_until = now + LEFT_ALONE_S
        return False

    async def _attempt(self, *command: bytes | str | int) -> Any:
        try:
            answer = await self._commands.send(*command)
        except REDIS_FAILURES as failure:  # the database knows the answer too
            self._failing = True
            self._left_alone_until = time.monotonic() + LEFT_ALONE_S
            self._warn_of(failure)
            return None
        if self._failing:
            self._failing, self._left_alone_until = False, 0.0
            self._log.info("Redis is back")
        return answer

    def _warn_of(self, failure: Exception) -> None:
        why = refusal(failure)
        if why is None:
            self._warn("Redis is away; repeated requests are answered from the database", failure)
        else:
            self._warn("Redis refuses Billing; repeated requests are answered from the database", why, code=CODE)

    def _warn(self, event: str, failure: object, **more: object) -> None:
        now = time.monotonic()
        if now - self._warned_at >= WARN_EVERY_S:
            self._warned_at = now
            self._log.warning(event, error=failure if isinstance(failure, str) else repr(failure), **more)


def _name(key: RequestKey) -> str:
    # Hashed: a client's key may be long and is nobody's business; as JSON, no two keys run together.
    whole = json.dumps([key.merchant_id, key.route, key.key])
    return f"billing:replay:{hashlib.sha256(whole.encode()).hexdigest()}"


def _encode(remembered: RememberedAnswer) -> bytes:
    head = json.dumps([remembered.fingerprint, remembered.answer.outcome], separators=(",", ":")).encode()
    content = head + b"\n" + remembered.answer.document
    return _VERSION + _digest(content) + content


def _decode(value: bytes) -> RememberedAnswer | None:
    """The answer, or None where the value is not, byte for byte, what this version wrote."""
    version, digest, content = value[:1], value[1 : 1 + _DIGEST_BYTES], value[1 + _DIGEST_BYTES :]
    if version != _VERSION or digest != _digest(content):
        return None
    head, _, document = content.partition(b"\n")
    fingerprint, outcome = json.loads(head)
    return RememberedAnswer(fingerprint=fingerprint, answer=Answer(outcome=outcome, document=document))


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
