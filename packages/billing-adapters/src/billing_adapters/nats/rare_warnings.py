"""Warnings that are not repeated all the time: an outage is told once in a while, not with every attempt."""

import time
from typing import Final

from billing_adapters.logs import get_logger

SAME_WARNING_EVERY_S: Final = 30.0
_MOST_REMEMBERED: Final = 100  # a text that is different every time must not fill the memory


class RareWarnings:
    """The warnings of one connection."""

    def __init__(self, part: str, connection: str) -> None:
        """This will log as that part of the service, naming the connection."""
        self._log, self._connection = get_logger(part), connection
        self._warned_at: dict[str, float] = {}

    def warn(self, event: str, error: object = "no reason given", **more: object) -> None:
        """This will log a warning, but the same one at most every 30 seconds."""
        told = f"{event}: {error!r}"
        now = time.monotonic()
        if now - self._warned_at.get(told, -SAME_WARNING_EVERY_S) >= SAME_WARNING_EVERY_S:
            if len(self._warned_at) > _MOST_REMEMBERED:
                self._warned_at.clear()
            self._warned_at[told] = now
            self._log.warning(event, error=str(error) or repr(error), connection=self._connection, **more)

    def forget(self) -> None:
        """This will tell everything anew from now on."""
        self._warned_at.clear()
