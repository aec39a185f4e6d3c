"""Processes whose clock is wrong: what they read of the time is moved by as many seconds as `CHAOS_CLOCK_S` says.

Only what these processes read for themselves is moved; servers and the platform have the right time. Durations come
from the monotonic clock and stay as they are.
"""

import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from types import ModuleType
from typing import Any
from uuid import UUID

from billing_core.domain.events import rfc3339

OFFSET = "CHAOS_CLOCK_S"
AN_HOUR_S = 3600


def set_as_told() -> None:
    """This will set this process's clock wrong where the environment says so. Call it once the app is imported and
    before it runs."""
    if offset_s := int(os.environ.get(OFFSET, "0")):
        _set_wrong(offset_s)


def moment(offset_s: float) -> str:
    """What a clock that is so many seconds ahead tells now."""
    return rfc3339(datetime.now(UTC) + timedelta(seconds=offset_s))


def _set_wrong(offset_s: int) -> None:
    time_s, offset = time.time, timedelta(seconds=offset_s)

    class Wrong(_Datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + offset

    time.time = lambda: time_s() + offset_s
    for module in tuple(sys.modules.values()):
        if _is_ours(module) and vars(module).get("datetime") is datetime:
            vars(module)["datetime"] = Wrong
    _set_ids_wrong(time_s, offset_s)


class _AnyDatetime(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)


class _Datetime(datetime, metaclass=_AnyDatetime):
    """Stands where the product says `datetime`; the values it makes are plain ones."""


def _is_ours(module: ModuleType) -> bool:
    return module.__name__.startswith("billing_")


def _set_ids_wrong(time_s: Callable[[], float], offset_s: int) -> None:
    """Ids carry the time: an id made by a wrong clock sorts before or after its neighbours."""
    import uuid_utils.compat

    uuid7 = uuid_utils.compat.uuid7

    def wrong() -> UUID:
        return uuid7(nanoseconds=int((time_s() + offset_s) * 1e9))

    uuid_utils.compat.uuid7 = wrong  # type: ignore[assignment]  # the product passes no arguments
