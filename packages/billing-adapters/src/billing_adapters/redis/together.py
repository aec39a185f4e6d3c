"""Commands asked for at once go together: what a command costs is mostly its round trip and its bookkeeping."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, TypeAlias

from billing_adapters.redis.client import RedisClient

MOST_TOGETHER: Final = 256

Command: TypeAlias = tuple[bytes | str | int, ...]


class CommandsTogether:
    """Sends commands in pipelines, one pipeline at a time: whatever is asked while one is under way goes with the
    next. Alone, a command goes at once."""

    def __init__(self, client: RedisClient, *, timeout_s: float) -> None:
        """This will send through the client, giving each pipeline `timeout_s` seconds."""
        self._client, self._timeout_s = client, timeout_s
        self._waiting: list[tuple[Command, asyncio.Future[Any]]] = []
        self._sending: asyncio.Task[None] | None = None

    def send(self, *command: bytes | str | int) -> Awaitable[Any]:
        """The answer to a command, or the error it ended in, mostly one of REDIS_FAILURES. Whoever stops waiting for it
        does not stop the command."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.ensure_future(self._send())
        return answer

    async def _send(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
            try:
                answers = await self._answers([command for command, _ in batch])
            # Also what nobody foresaw: futures that were cancelled instead would look as if their askers had been.
            except Exception as failure:  # noqa: BLE001 - told to everybody who asked
                batch, self._waiting = batch + self._waiting, []  # the others would fare no better
                answers = [failure] * len(batch)
            except BaseException:
                for _, waiting in batch + self._waiting:
                    waiting.cancel()
                self._waiting = []
                raise
            for (_, waiting), answer in zip(batch, answers, strict=True):
                _tell(waiting, answer)

    async def _answers(self, commands: list[Command]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        async with asyncio.timeout(self._timeout_s):
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers


def _tell(waiting: "asyncio.Future[Any]", answer: Any) -> None:
    if waiting.done():  # whoever asked has stopped waiting
        return
    if isinstance(answer, Exception):
        waiting.set_exception(answer)
    else:
        waiting.set_result(answer)
