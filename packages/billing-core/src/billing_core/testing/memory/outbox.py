"""What stands beside the units of work: the outbox, housekeeping, leadership and the jobs' last runs."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime
from typing import TypeVar
from uuid import UUID
from zlib import crc32

from billing_core.domain.idempotency import RequestKey
from billing_core.ports.publishing import ONE_LANE, Lane, OutboxEvent
from billing_core.testing.memory.tables import Tables

K = TypeVar("K")
V = TypeVar("V")


class InMemoryOutbox:
    """Recorded events on their way out."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def unpublished(self, limit: int, lane: Lane = ONE_LANE) -> Sequence[OutboxEvent]:
        """See `Outbox.unpublished`."""
        waiting = sorted(
            (row for row in self._tables.outbox.values() if row.published_at is None), key=lambda row: row.position
        )
        seen = (row.event for row in waiting[: limit * lane.of])
        return [each for each in seen if crc32(each.merchant_id.encode()) % lane.of == lane.number][:limit]

    async def mark_published(self, event_ids: Sequence[UUID], at: datetime) -> None:
        """See `Outbox.mark_published`."""
        marked = set(event_ids)
        for key, row in self._tables.outbox.items():
            if row.event.event_id in marked and row.published_at is None:
                self._tables.outbox[key] = replace(row, published_at=at)


class InMemoryHousekeeping:
    """Forgets what may be forgotten."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def purge_keys(self, created_before: datetime, limit: int) -> Sequence[RequestKey]:
        """See `Housekeeping.purge_keys`."""
        ages = {key: record.created_at for key, record in self._tables.keys.items()}
        return _forget(self._tables.keys, ages, created_before, limit)

    async def purge_events(self, published_before: datetime, limit: int) -> int:
        """See `Housekeeping.purge_events`."""
        ages = {key: row.published_at for key, row in self._tables.outbox.items()}
        return len(_forget(self._tables.outbox, ages, published_before, limit))

    async def purge_inbox(self, received_before: datetime, limit: int) -> int:
        """See `Housekeeping.purge_inbox`."""
        return len(_forget(self._tables.inbox, dict(self._tables.inbox), received_before, limit))


class InMemoryLeadership:
    """Chooses one leader for each task."""

    def __init__(self) -> None:
        self._led: set[str] = set()

    def lead(self, task: str) -> AbstractAsyncContextManager[bool]:
        """See `Leadership.lead`."""
        return _Lead(self._led, task)


class _Lead:
    """One attempt to lead a task."""

    def __init__(self, led: set[str], task: str) -> None:
        self._led, self._task, self._leads = led, task, False

    async def __aenter__(self) -> bool:
        self._leads = self._task not in self._led
        self._led.add(self._task)
        return self._leads

    async def __aexit__(self, *_how: object) -> None:
        if self._leads:
            self._led.remove(self._task)
            self._leads = False


class InMemoryJobRuns:
    """When each job last ran."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def last_run(self, job: str) -> datetime | None:
        """See `JobRuns.last_run`."""
        return self._tables.runs.get(job)

    async def note_run(self, job: str, at: datetime) -> None:
        """See `JobRuns.note_run`."""
        self._tables.runs[job] = at


def _forget(table: dict[K, V], ages: Mapping[K, datetime | None], before: datetime, limit: int) -> Sequence[K]:
    old = [key for key, age in ages.items() if age is not None and age < before][:limit]
    for key in old:
        del table[key]
    return old
