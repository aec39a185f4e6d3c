"""What NATS does not permit, told to whoever waits for an answer to it.

The server says so beside the conversation: it drops what was sent, and whoever sent it would wait until the time is
over and take it for an outage.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from billing_adapters.nats.permissions import NatsUser, Permission, remedy
from billing_adapters.nats.rare_warnings import RareWarnings
from billing_core.errors import BrokerDenied

OTHER: Final = "other"
# nats-py passes the server's words on in small letters, the subject too.
_VIOLATION: Final = re.compile(r'permissions violation for (publish|subscription)[^"]*"([^"]*)"')
_OPERATIONS: Final = {"publish": "publish", "subscription": "subscribe"}
_VERBS: Final = {
    "connect": "let Billing in",
    "publish": "permit Billing to publish to ",
    "subscribe": "permit Billing to subscribe to ",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """The server did not permit `operation` on `subject`. `permission` is the line that would (of a closed set, for
    metrics), or `other`."""

    operation: str
    subject: str
    permission: str
    remedy: str
    ends_all: bool = False  # nothing can be asked any more

    @classmethod
    def of_login(cls, remedy: str) -> "Denial":
        """That we were not let in at all."""
        return cls(operation="connect", subject="", permission="connect", remedy=remedy, ends_all=True)

    @property
    def error(self) -> BrokerDenied:
        """The same as an error."""
        detail = f"NATS does not {_VERBS[self.operation]}{self.subject}."
        return BrokerDenied(detail, operation=self.operation, subject=self.subject, remedy=self.remedy)


Tell = Callable[[Denial], None]


class Denials:
    """What was denied to one process, and who waits for something that may be."""

    def __init__(self, user: NatsUser | None, *, inbox_prefix: str, warnings: RareWarnings) -> None:
        """This will name what is missing of the permissions of `user` (None: of nobody in particular), who hears
        answers below `inbox_prefix`."""
        self._user, self._inbox, self._warnings = user, f"{inbox_prefix}.", warnings
        self.listeners: list[Tell] = []
        self._waiting: dict[str, set[Watch]] = {}

    def watching(self, subject: str) -> "Watch":
        """For `async with`: while the block waits for an answer to what it publishes to the subject, it is ended with
        BrokerDenied where the server does not permit that."""
        return Watch(self._waiting, subject)

    def heard(self, error: Exception) -> Denial | None:
        """This will tell those who wait, where the error says that something was denied, and what it was."""
        found = _VIOLATION.search(str(error))
        if found is None:
            return None
        denial = self.denial(_OPERATIONS[found[1]], found[2])
        if denial.operation == "publish":
            for each in tuple(self._waiting.get(found[2], ())):
                each.end(denial)
        return denial

    def tell(self, denial: Denial) -> None:
        """This will log what was denied, and tell whoever listens."""
        error = denial.error
        self._warnings.warn("NATS does not permit what Billing needs", error, code=error.code)
        for listener in self.listeners:
            listener(denial)

    def denial(self, operation: str, subject: str) -> Denial:
        """What to tell of a denial. The subject is told as whoever waits for it wrote it."""
        is_inbox = operation == "subscribe" and subject.startswith(self._inbox.lower())
        line = self._user.permission(operation, subject) if self._user else None
        told = f"{self._inbox}>" if is_inbox else self._in_full(subject, line)
        return Denial(
            operation=operation,
            subject=told,
            permission=line.subject if line else OTHER,
            remedy=remedy(self._user, operation, told),
            ends_all=is_inbox,
        )

    def _in_full(self, subject: str, line: Permission | None) -> str:
        """The subject as whoever waits for it wrote it. One with numbers in it, an acknowledgement's, is another one
        every time; its line is not."""
        if waiting := self._waiting.get(subject):
            return next(iter(waiting)).subject
        return line.subject if line else subject


class Watch:
    """A block that waits for an answer: what `asyncio.timeout` is to a clock, this is to the server's word. A class and
    no generator, for every request passes here."""

    __slots__ = ("_cancelling", "_denial", "_everybody", "_name", "_task", "subject")

    def __init__(self, everybody: "dict[str, set[Watch]]", subject: str) -> None:
        self.subject, self._name = subject, subject.lower()
        self._everybody = everybody
        self._denial: Denial | None = None

    def end(self, denial: Denial) -> None:
        """This will end the block with what the server said."""
        if self._denial is None:
            self._denial = denial
            self._task.cancel()

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("outside of a task nothing can be ended")
        self._task, self._cancelling = task, task.cancelling()
        self._everybody.setdefault(self._name, set()).add(self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        waiting = self._everybody[self._name]
        waiting.discard(self)
        if not waiting:
            del self._everybody[self._name]
        if self._denial is None:
            return
        # Somebody else may have cancelled us as well, and then that is what happened. nats-py may have swallowed our
        # cancellation: then its own time-out came, for the same reason.
        is_ours = self._task.uncancel() <= self._cancelling
        if (is_ours and isinstance(error, asyncio.CancelledError)) or isinstance(error, TimeoutError):
            raise self._denial.error from None
