"""The example's Credit Service, as processes that suffer what Billing's suffer, and whether its figures are right.

It knows Billing by its events alone; here its balances are held against what Billing has recorded.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nats.js.errors import NotFoundError
from tests.faults.oracle import Evidence

from billing_adapters.nats.connection import NatsConnection
from billing_adapters.nats.streams import BILLING
from billing_core.domain.trials import TrialStatus

if TYPE_CHECKING:
    from credit_service.store import CreditStore

PACKAGE = "credit_service"
SOURCE = Path(__file__).parents[3] / "examples" / "credit-service" / "src"
DURABLE = "credit-service"
STORE = "credits.db"
ACK_WAIT_S = 4.0


def environment(around: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment of its processes: Billing's NATS, behind the line that breaks, and a store they share."""
    return {
        **around,
        "PYTHONPATH": f"{around['PYTHONPATH']}:{SOURCE}",
        "CREDIT_SERVICE_NATS_URL": around["BILLING_NATS_URL"],
        "CREDIT_SERVICE_STORE": str(folder / STORE),
        "CREDIT_SERVICE_ACK_WAIT_S": str(ACK_WAIT_S),
    }


async def is_behind(nats: NatsConnection) -> bool:
    """Whether there are events it has not taken yet."""
    try:
        info = await nats.jetstream.consumer_info(BILLING, DURABLE)
    except NotFoundError:  # it has not begun
        return True
    return bool(info.num_pending or info.num_ack_pending)


def balances(folder: Path) -> Mapping[str, int]:
    """Every merchant's credits, as the Credit Service has them."""
    with _Store(folder) as store:
        return store.balances()


def wrong_balances(evidence: Evidence, folder: Path) -> Iterator[str]:
    """Where the Credit Service has other figures than Billing's books, misses events, or could not read one."""
    due = ledger(evidence)
    with _Store(folder) as store:
        found = store.balances()
        for gap in store.gaps():
            yield f"the Credit Service misses the events {gap.first} to {gap.last} of {gap.merchant_id}"
        for parked in store.parked():
            yield f"the Credit Service parked an event: {parked.reason}"
    for merchant_id in sorted({*due, *found}):
        if due.get(merchant_id, 0) != found.get(merchant_id, 0):
            yield (
                f"{merchant_id} has {found.get(merchant_id, 0)} credits at the Credit Service"
                f" and {due.get(merchant_id, 0)} by Billing's books"
            )


def ledger(evidence: Evidence) -> Mapping[str, int]:
    """Each merchant's credits by what is recorded: paid purchases less what was taken back, and trials not over."""
    due: Counter[str] = Counter()
    for purchase in evidence.purchases:
        if purchase.is_paid:
            due[purchase.merchant_id] += purchase.offer.total_credits - purchase.credits_reversed
    for trial in evidence.trials:
        if trial.status is TrialStatus.ACTIVE:
            due[trial.merchant_id] += trial.credits
    return due


class _Store:
    """Its store, read with its own code."""

    def __init__(self, folder: Path) -> None:
        if str(SOURCE) not in sys.path:
            sys.path.append(str(SOURCE))
        from credit_service.store import CreditStore

        self._store = CreditStore(folder / STORE)

    def __enter__(self) -> "CreditStore":
        return self._store

    def __exit__(self, *_: object) -> None:
        self._store.close()
