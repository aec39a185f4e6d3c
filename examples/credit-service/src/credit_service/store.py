"""Where credits are kept: SQLite, and one transaction for each batch of messages.

What makes a consumer of Billing right stands here. An event is known by its id, for ever: a second delivery changes
nothing. A merchant's events count in the order of their `sequence`: one that came too early waits in the store, where
acknowledging it is safe, until those before it have come. What cannot be read is parked, and stands in nobody's way.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from billing_core.domain.events import Fact
from billing_core.errors import MalformedMessage
from billing_core.messages import Event, decode_event
from credit_service.accounts import Close, movement

# How long another process may hold the store before this one gives up; its messages then come again.
PATIENCE_S = 5.0
_SCHEMA = """
create table if not exists merchants (merchant_id text primary key, applied integer not null) strict;
create table if not exists events (event_id text primary key, merchant_id text not null, sequence integer not null,
  received_at text not null, body blob, unique (merchant_id, sequence)) strict;
create table if not exists entries (event_id text primary key, merchant_id text not null, type text not null,
  account text not null, credits integer not null) strict;
create index if not exists entries_of_merchant on entries (merchant_id, account);
create table if not exists parked (parked_id text primary key, body blob not null, reason text not null,
  received_at text not null) strict;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Events of a merchant that have not come though later ones have: numbers `first` to `last`, missed since."""

    merchant_id: str
    first: int
    last: int
    since: str

    @property
    def remedy(self) -> str:
        """The command that has Billing tell them again, under the ids they had."""
        return f"billing events republish --merchant {self.merchant_id} --from {self.first} --to {self.last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A message that could not be applied, whole, and why."""

    parked_id: str
    body: bytes
    reason: str
    received_at: str


class CreditStore:
    """The store of one process; several may share a file."""

    def __init__(self, path: Path | str) -> None:
        """This will open the store, or make it. Raises sqlite3.Error."""
        self._db = sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None)
        # A message is acknowledged after the commit: so what is committed must be on the disk.
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """This will close it."""
        self._db.close()

    # --- what comes in -----------------------------------------------------------------------------------------------

    def take(self, messages: Iterable[bytes]) -> None:
        """This will take the messages, all of them or none, each once however often it comes. When it returns they may
        be acknowledged. Raises sqlite3.Error; then none is taken."""
        with self._transaction():
            for body in messages:
                self._receive(body)

    def replay(self, parked_id: str) -> bool:
        """This will try a parked message again, and say whether it is taken now. Raises KeyError, sqlite3.Error."""
        with self._transaction():
            row = self._db.execute("delete from parked where parked_id = ? returning body", (parked_id,)).fetchone()
            if row is None:
                raise KeyError(parked_id)
            return self._receive(row[0])

    def _receive(self, body: bytes) -> bool:
        try:
            event = decode_event(body)
        except MalformedMessage as wrong:
            return self._park(body, str(wrong))
        place = (event.subject, event.sequence)
        known = self._db.execute("select merchant_id, sequence from events where event_id = ?", (str(event.id),))
        if (before := known.fetchone()) is not None:
            return before == place or self._park(body, f"event {event.id} is number {before[1]} of {before[0]} already")
        taken = self._db.execute("select event_id from events where (merchant_id, sequence) = (?, ?)", place).fetchone()
        if taken is not None:
            return self._park(body, f"number {event.sequence} of {event.subject} is event {taken[0]} already")
        self._db.execute("insert into events values (?, ?, ?, ?, ?)", (str(event.id), *place, _now(), body))
        self._apply_in_order(event.subject)
        return True

    def _park(self, body: bytes, reason: str) -> bool:
        parked_id = hashlib.sha256(body).hexdigest()
        self._db.execute("insert or ignore into parked values (?, ?, ?, ?)", (parked_id, body, reason, _now()))
        return False

    # --- what counts -------------------------------------------------------------------------------------------------

    def _apply_in_order(self, merchant_id: str) -> None:
        """This will apply what waits of the merchant as far as no number is missing."""
        self._db.execute("insert or ignore into merchants values (?, 0)", (merchant_id,))
        (applied,) = self._one("select applied from merchants where merchant_id = ?", merchant_id)
        while waiting := self._waiting(merchant_id, applied + 1):
            event_id, body = waiting
            self._apply(decode_event(body))
            self._db.execute("update events set body = null where event_id = ?", (event_id,))
            applied += 1
        self._db.execute("update merchants set applied = ? where merchant_id = ?", (applied, merchant_id))

    def _waiting(self, merchant_id: str, sequence: int) -> tuple[str, bytes] | None:
        query = "select event_id, body from events where merchant_id = ? and sequence = ?"
        found: tuple[str, bytes] | None = self._db.execute(query, (merchant_id, sequence)).fetchone()
        return found

    def _apply(self, event: Event[Fact]) -> None:
        moved = movement(event.data)
        if moved is None:
            return
        credits_ = -self._left(event.subject, moved.account) if isinstance(moved, Close) else moved.credits
        entry = (str(event.id), event.subject, event.type, moved.account, credits_)
        self._db.execute("insert into entries values (?, ?, ?, ?, ?)", entry)

    def _left(self, merchant_id: str, account: str) -> int:
        query = "select coalesce(sum(credits), 0) from entries where merchant_id = ? and account = ?"
        (left,) = self._one(query, merchant_id, account)
        return int(left)

    # --- what there is to know ---------------------------------------------------------------------------------------

    def balances(self) -> Mapping[str, int]:
        """How many credits each merchant has whose events were applied."""
        query = (
            "select merchant_id, coalesce(sum(credits), 0) from merchants left join entries using (merchant_id)"
            " where applied > 0 group by merchant_id order by merchant_id"
        )
        return dict(self._db.execute(query).fetchall())

    def gaps(self) -> Sequence[Gap]:
        """Which merchants' events are missing, and have been since when. A moment's gap is usual: messages overtake
        each other. One that stays is told to Billing's operators."""
        query = (
            "select merchant_id, applied + 1, min(sequence) - 1, min(received_at) from merchants"
            " join events using (merchant_id) where sequence > applied group by merchant_id order by merchant_id"
        )
        rows = self._db.execute(query).fetchall()
        return [Gap(merchant_id=name, first=first, last=last, since=since) for name, first, last, since in rows]

    def parked(self) -> Sequence[Parked]:
        """The messages that could not be applied, oldest first."""
        rows = self._db.execute("select parked_id, body, reason, received_at from parked order by received_at")
        return [Parked(parked_id=key, body=body, reason=reason, received_at=at) for key, body, reason, at in rows]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Of writing from the first: who would only read at first could not become a writer once another one is."""
        self._db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")

    def _one(self, query: str, *values: str) -> tuple[int, ...]:
        row: tuple[int, ...] = self._db.execute(query, values).fetchone()
        return row


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
