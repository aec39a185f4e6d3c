"""The consumer on a real NATS: what an interruption leaves behind."""

import asyncio
import sqlite3
import urllib.request
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from billing_core.testing import RunningBilling
from billing_core.testing.up import find_billing, running_billing
from credit_service import consumer
from credit_service.store import CreditStore

INTERRUPTIONS = 3


class BusyStore(CreditStore):
    """Held by another process at the first takings."""

    interruptions = 0

    def take(self, messages: Iterable[bytes]) -> None:
        """Raises sqlite3.OperationalError, and takes everything from then on."""
        if self.interruptions < INTERRUPTIONS:
            self.interruptions += 1
            raise sqlite3.OperationalError("database is locked")
        super().take(messages)


@pytest.fixture
def billing_of_its_own(tmp_path: Path) -> Iterator[RunningBilling]:
    """Not the session's: its merchant has one trial, which another test starts."""
    command = find_billing()
    if command is None:
        pytest.skip("no `billing` command: install billing-cli, billing-http and billing-worker to run the service")
    with running_billing(command, tmp_path) as running:
        yield running


async def test_an_interruption_leaves_no_subscription_behind(
    billing_of_its_own: RunningBilling, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often the store is busy, one subscription is open at the most: NATS would serve the forgotten ones."""
    _start_trial(billing_of_its_own)
    made: list[Client] = []
    connect = nats.connect
    most_open = 0

    async def connect_and_note(*arguments: Any, **more: Any) -> Client:
        made.append(await connect(*arguments, **more))
        return made[-1]

    monkeypatch.setattr(nats, "connect", connect_and_note)
    monkeypatch.setattr(consumer, "TRY_AGAIN_AFTER_S", 0)
    store, stop = BusyStore(tmp_path / "credits.db"), asyncio.Event()
    work = asyncio.create_task(consumer.consume(billing_of_its_own.nats, store, stop, ack_wait_s=0.2))
    while not store.balances() and not work.done():
        await asyncio.sleep(0.02)
        subscriptions = sum(len(each._subs) for each in made if not each.is_closed)  # noqa: SLF001 - told nowhere else
        most_open = max(most_open, subscriptions)
    stop.set()
    await work
    store.close()

    assert store.interruptions == INTERRUPTIONS
    assert most_open <= 2  # the events', and the one of answers to requests
    assert all(each.is_closed for each in made)


def _start_trial(billing: RunningBilling) -> None:
    headers = billing.headers(**{"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())})
    request = urllib.request.Request(f"{billing.http}/api/billing/trials", b"{}", headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 201
