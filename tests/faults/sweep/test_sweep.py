"""Every step of every handler × every fault: retried to the end, nothing is lost and nothing happens twice."""

import inspect
from collections.abc import Mapping
from typing import Any

import pytest
from tests.faults.ports import PortFault
from tests.faults.sweep.handlers import HANDLERS
from tests.faults.sweep.sweep import dry_run, sweep

from billing_core.ports import idempotency, platforms, privacy, publishing, storage

PORTS: Mapping[str, Any] = {
    "merchants": storage.Merchants,
    "trials": storage.Trials,
    "purchases": storage.Purchases,
    "journal": storage.Journal,
    "inbox": storage.Inbox,
    "keys": storage.KeyRecords,
    "parked": storage.ParkedMessages,
    "grants": storage.Grants,
    "redactions": privacy.Redactions,
    "data": privacy.MerchantData,
    "outbox": storage.Outbox,
    "housekeeping": storage.Housekeeping,
    "runs": storage.JobRuns,
    "platform": platforms.PaymentPlatform,
    "publisher": publishing.EventPublisher,
    "sender": publishing.MessageSender,
    "replays": idempotency.ReplayCache,
}
# What only reads for a screen or an export, and changes nothing.
READ_ONLY = {"parked.list", "data.privacy_records", "data.trial_claim"}


@pytest.mark.parametrize("name", HANDLERS)
async def test_every_step_survives_every_fault(name: str) -> None:
    """Whatever befalls whichever step, once its caller has come again all rules hold; and no point was left out."""
    tally = await sweep(HANDLERS[name])

    print(f"{name}: {tally.points} points × {len(PortFault)} faults, {len(tally.hit)} befell")  # noqa: T201
    assert tally.wrong == []
    assert tally.hit == {(step, fault) for step in range(tally.points) for fault in PortFault}


async def test_every_call_of_every_port_is_a_step_of_some_handler() -> None:
    """No port has an awaited call at which nothing was ever made to go wrong."""
    calls = {
        f"{label}.{name}"
        for label, port in PORTS.items()
        for name, each in vars(port).items()
        if inspect.iscoroutinefunction(each)
    }

    swept = {label for handler in HANDLERS.values() for label in (await dry_run(handler)).steps}

    assert calls - READ_ONLY - swept == set()
    assert {"units.open", "now", "commit", "leadership.lead", "platform.refunds"} <= swept
