"""Seeded defects of whole processes: `python -m tests.faults.defects.processes` runs the app `CHAOS_APP` names, broken.

The chaos harness starts its processes through this module. Where `CHAOS_DEFECT` names one of `DEFECTS`, the process is
built wrong in that way before it begins. Nothing of the product knows of it.

To add a defect, write a function that patches the product and list it below with the sentence that describes it.
"""

import os
import runpy
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing_adapters.embedded.processes import LIBC, LINUX, PR_SET_PDEATHSIG

APP = "CHAOS_APP"
DEFECT = "CHAOS_DEFECT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One way to build it wrong: what it is, and the patch."""

    about: str
    apply: Callable[[], None]


def main() -> None:
    """This will run the app named by the environment as `python -m` would, broken where that is asked for."""
    end_with_parent()
    break_as_told()
    runpy.run_module(os.environ[APP], run_name="__main__", alter_sys=True)


def break_as_told() -> None:
    """This will build this process wrong in the way the environment names, if it names one."""
    if name := os.environ.get(DEFECT):
        DEFECTS[name].apply()


def end_with_parent() -> None:
    """This will have the kernel (Linux only) kill this process when its parent dies, even while it is stopped."""
    if LINUX:
        LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))


# --- how it is broken ------------------------------------------------------------------------------------------------


def _ack_before_commit() -> None:
    from billing_worker.consuming import Consumption

    handle = Consumption.handle

    async def acknowledge_first(self: Consumption, deliveries: Sequence[Any]) -> None:
        for delivery in deliveries:
            await delivery.ack()
        await handle(self, deliveries)

    _patch(Consumption, "handle", acknowledge_first)


def _no_inbox() -> None:
    from billing_adapters.postgres.inbox import PostgresInbox

    async def seen(self: PostgresInbox, source: str, message_ids: Sequence[str]) -> frozenset[str]:
        return frozenset()

    async def record(self: PostgresInbox, source: str, message_ids: Sequence[str], at: datetime) -> frozenset[str]:
        return frozenset(message_ids)

    _patch(PostgresInbox, "seen", seen)
    _patch(PostgresInbox, "record", record)


def _mark_before_publishing() -> None:
    from billing_adapters.postgres.outbox import PostgresOutbox
    from billing_core.ports.publishing import OutboxEvent

    unpublished, mark = PostgresOutbox.unpublished, PostgresOutbox.mark_published

    async def taken(self: PostgresOutbox, limit: int) -> Sequence[OutboxEvent]:
        events = await unpublished(self, limit)
        await mark(self, [each.event_id for each in events], datetime.now().astimezone())
        return events

    _patch(PostgresOutbox, "unpublished", taken)


def _publish_in_transaction() -> None:
    from billing_adapters.nats.connection import NatsConnection
    from billing_adapters.nats.publisher import NatsEventPublisher
    from billing_adapters.postgres import journal
    from billing_adapters.postgres.rows import Values
    from billing_core.errors import PublishingUnavailable
    from billing_core.ports.publishing import OutboxEvent

    open_connections: list[NatsConnection] = []
    init, record, events_of = NatsConnection.__init__, journal.PostgresJournal.record, journal._events
    made: list[Values] = []

    def remember(self: NatsConnection, url: str, **options: Any) -> None:
        init(self, url, **options)
        open_connections.append(self)

    def events(changes: Sequence[Any], before: Mapping[str, int]) -> list[Values]:
        made[:] = events_of(changes, before)
        return list(made)

    async def publish_at_once(self: journal.PostgresJournal, changes: Sequence[Any]) -> None:
        made.clear()
        await record(self, changes)
        names = ("merchant_id", "sequence", "event_id", "type", "body")
        told: Any = [dict(zip(names, values, strict=True)) for values in made]
        with suppress(PublishingUnavailable):  # the relay will see to it, they thought
            await NatsEventPublisher(open_connections[0]).publish([OutboxEvent(**each) for each in told])

    _patch(NatsConnection, "__init__", remember)
    _patch(journal, "_events", events)
    _patch(journal.PostgresJournal, "record", publish_at_once)


def _no_message_id() -> None:
    from billing_adapters.nats import publisher
    from billing_core.ports.publishing import OutboxEvent

    def headers(event: OutboxEvent) -> dict[str, str]:
        return {"Content-Type": publisher.CONTENT_TYPE}

    _patch(publisher, "_headers", headers)


def _cursor_relay() -> None:
    from billing_adapters.postgres.outbox import PostgresOutbox
    from billing_core.ports.publishing import OutboxEvent

    async def after_the_last(self: PostgresOutbox, limit: int) -> Sequence[OutboxEvent]:
        async with self._database.transaction() as wire:
            rows = await wire._connection.fetch(
                "select merchant_id, sequence, event_id, type, body from outbox where position >"
                " coalesce((select max(position) from outbox where published_at is not null), 0)"
                " order by position limit $1",
                limit,
            )
        return [OutboxEvent(**row) for row in rows]

    _patch(PostgresOutbox, "unpublished", after_the_last)


def _unguarded_expiry() -> None:
    from billing_core.use_cases import check_purchases

    async def nobody_asked(questions: Collection[Any], asked_at: datetime) -> Sequence[None]:
        return [None for _ in questions]

    class Unguarded(check_purchases.ExpirePurchases):
        """The deadline is over, so the purchase is: why ask?"""

        def __init__(self, **ports: Any) -> None:
            super().__init__(**ports)
            _patch(self._check, "_ask", nobody_asked)

    from billing_core.use_cases import schedule

    def build(**ports: Any) -> Unguarded:
        check = ports.pop("check")
        alone = check_purchases.CheckPurchases(
            units=check._units, ask=check._ask, settle=check._settle, platforms=check._platforms
        )
        return Unguarded(check=alone, **ports)

    build.name = check_purchases.ExpirePurchases.name  # type: ignore[attr-defined]
    _patch(schedule, "ExpirePurchases", build)


def _patch(owner: Any, name: str, wrong: Any) -> None:
    setattr(owner, name, wrong)


DEFECTS: Mapping[str, Defect] = {
    "ack_before_commit": Defect(about="messages are acknowledged before they are handled", apply=_ack_before_commit),
    "no_inbox": Defect(about="nobody notes which messages were handled", apply=_no_inbox),
    "mark_before_publishing": Defect(
        about="events are marked published before the broker has them", apply=_mark_before_publishing
    ),
    "publish_in_transaction": Defect(
        about="events are published inside the transaction that records them", apply=_publish_in_transaction
    ),
    "no_message_id": Defect(about="events are published without their id", apply=_no_message_id),
    "cursor_relay": Defect(about="the relay reads on after the last event it published", apply=_cursor_relay),
    "unguarded_expiry": Defect(about="purchases are expired without asking their platform", apply=_unguarded_expiry),
}

if __name__ == "__main__":
    main()
