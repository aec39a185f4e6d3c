"""The Credit Service beside Billing itself: in memory, and, as processes on real servers, killed in between."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from billing_core.testing import InMemoryBilling, RunningBilling, an_origin, assert_event, assert_sequence
from credit_service.store import CreditStore

WITHIN_S = 30


class TestInMemory:
    """Billing's own use cases decide; nothing is made up."""

    async def test_a_merchants_life_ends_in_the_credits_billing_says(
        self, billing: InMemoryBilling, store: CreditStore
    ) -> None:
        """Trial, purchase, half of it given back, goodwill, and the end of the trial."""
        caller = await billing.register()
        await billing.activate_trial(caller, "key-1")
        purchase = await billing.buy(caller, "large")
        await billing.pay(purchase)
        billing.platform.refund(str(purchase.platform_reference), 3500)
        await billing.notify(str(purchase.platform_reference))
        await billing.grant_credits(caller.merchant_id, 50, uuid.uuid4(), an_origin(reason="sorry"))
        before = await _told(billing, store)
        billing.clock.advance(timedelta(days=14))
        await billing.expire_trials()
        after = await _told(billing, store)

        assert_sequence(billing.published)
        assert_event(billing.published[-1], "evt.billing.trial.expired", credits=500)
        assert before == {caller.merchant_id: 500 + 1000 - 501 + 50}
        assert after == {caller.merchant_id: 1000 - 501 + 50}


async def _told(billing: InMemoryBilling, store: CreditStore) -> dict[str, int]:
    await billing.relay_events()
    store.take(event.body for event in billing.published)  # all of them again, each time
    return dict(store.balances())


class TestEndToEnd:
    """`billing up`, and this service as processes of their own."""

    def test_killed_in_between_it_ends_with_billings_figures(self, billing_up: RunningBilling, tmp_path: Path) -> None:
        """A trial, a pack paid at the sandbox's checkout, goodwill; the service is killed, events go on, and the next
        process takes up where the one before ended. Told everything again it counts nothing twice."""
        merchant, file = billing_up.merchant_id, tmp_path / "credits.db"
        with _credit_service(billing_up, file) as service:
            _post(billing_up, "/api/billing/trials", {})
            _until(lambda: _balances(file) == {merchant: 500}, "the trial's credits are there")
            service.kill()
            service.wait()
        wanted = {"pack": "small", "return_url": f"{billing_up.http}/"}
        purchase = _post(billing_up, "/api/billing/purchases", wanted)
        _press_pay(purchase["checkout_url"])
        billing_up.billing("credits", "grant", merchant, "50", "--reason", "sorry", "--yes")

        with _credit_service(billing_up, file) as service:
            _until(lambda: _balances(file) == {merchant: 650}, "what happened meanwhile is counted")
            over = (datetime.now(UTC) + timedelta(days=15)).isoformat(timespec="seconds")
            billing_up.billing("jobs", "run", "expire-trials", "--now", over)
            _until(lambda: _balances(file) == {merchant: 150}, "the trial's credits are gone")
            billing_up.billing("events", "republish", "--merchant", merchant)
            service.send_signal(signal.SIGTERM)
            exit_code = service.wait(WITHIN_S)

        store = CreditStore(file)
        assert exit_code == 0
        assert store.balances() == {merchant: 150}
        assert list(store.gaps()) == []
        assert list(store.parked()) == []
        store.close()


class _credit_service:  # noqa: N801 - reads as what it is
    """`python -m credit_service` on Billing's NATS; killed at the end of the block, if it still runs."""

    def __init__(self, billing: RunningBilling, file: Path) -> None:
        source = str(Path(__file__).parents[1] / "src")
        self._environment = {
            **os.environ,
            "PYTHONPATH": source,
            "CREDIT_SERVICE_NATS_URL": billing.nats,
            "CREDIT_SERVICE_STORE": str(file),
            "CREDIT_SERVICE_ACK_WAIT_S": "1",
        }

    def __enter__(self) -> "subprocess.Popen[bytes]":
        self._process = subprocess.Popen([sys.executable, "-m", "credit_service"], env=self._environment)
        return self._process

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


def _balances(file: Path) -> dict[str, int]:
    store = CreditStore(file)
    try:
        return dict(store.balances())
    finally:
        store.close()


def _post(billing: RunningBilling, path: str, body: Any) -> Any:
    headers = billing.headers(**{"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())})
    request = urllib.request.Request(billing.http + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=WITHIN_S) as answer:
        return json.load(answer)


def _press_pay(checkout_url: str) -> None:
    form = urllib.parse.urlencode({"action": "pay"}).encode()
    with urllib.request.urlopen(checkout_url, form, timeout=WITHIN_S) as answer:
        assert re.search("Paid", answer.read().decode())


def _until(fact: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while not fact():
        if time.monotonic() > deadline_s:
            pytest.fail(f"not within {WITHIN_S} s: {what}")
        time.sleep(0.05)
