"""Gathering what the oracle judges: from Postgres, the stream, the platform's books, the logs and the clients."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import httpx2
from sqlalchemy import select
from tests.faults.chaos.system import System
from tests.faults.oracle import BookEntry, Evidence, Told

from billing_adapters.nats.tail import tail
from billing_adapters.postgres.database import Database, open_database
from billing_adapters.postgres.patience import PATIENT
from billing_adapters.postgres.purchases import columns_of
from billing_adapters.postgres.rows import MERCHANT_COLUMNS, TRIAL_COLUMNS, purchase_of, trial_of
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.support import PostgresSupport
from billing_adapters.postgres.tables import archived_purchases, purchases, sandbox_payments
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_adapters.postgres.wire import Record
from billing_core.domain.events import Fact
from billing_core.domain.money import Money
from billing_core.domain.payments import DisputeStatus, PaymentStatus
from billing_core.messages import Event, decode_event
from billing_core.ports.storage import ParkedMessage

A_DAY_S = 24 * 3600.0
MOST_PARKED = 100_000
# How the stand-in's disputes are told; those it never gets into here are left out.
_DISPUTES = {
    "needs_response": DisputeStatus.OPEN,
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
}


async def gather_evidence(system: System, told: Sequence[Told], poison: Iterable[frozenset[str]]) -> Evidence:
    """This will read everything there is to judge; whatever still runs should have come to rest."""
    url = str(system.urls.postgres)
    async with open_database(
        url, pool_size=2, application_name="chaos", every_merchant=True, patience=PATIENT
    ) as database:
        waiting = await PostgresSupport(database).unpublished_count_and_oldest()
        live, old = Statement(columns_of(purchases)), Statement(columns_of(archived_purchases))
        rows = [*await database.rows(live), *await database.rows(old)]
        return Evidence(
            purchases=[purchase_of(row) for row in rows],
            trials=[trial_of(row) for row in await database.rows(Statement(select(*TRIAL_COLUMNS)))],
            shops=await _shops(database),
            published=await published(system),
            books={**await _stripes_books(system), **await _sandboxs_books(database)},
            told=told,
            parked=await _parked(database),
            poisoned=frozenset(each for ids in poison for each in ids),
            unpublished=waiting.events,
            logs=system.logs,
            canaries=system.canaries,
        )


async def published(system: System) -> Sequence[Event[Fact]]:
    """The stream BILLING from its first message to its last."""
    messages = tail(system.nats, "evt.billing.>", since_s=A_DAY_S, follow=False)
    return [decode_event(each.body) async for each in messages]


async def _shops(database: Database) -> Mapping[str, str]:
    rows = await database.rows(Statement(select(*MERCHANT_COLUMNS)))
    return {row["merchant_id"]: f"{row['platform']} {row['platform_account_id']}" for row in rows}


async def _parked(database: Database) -> Sequence[ParkedMessage]:
    async with PostgresUnits(database)() as uow:
        return await uow.parked.list(MOST_PARKED)


async def _stripes_books(system: System) -> Mapping[str, BookEntry]:
    async with httpx2.AsyncClient(timeout=60) as client:
        state = (await client.get(f"{system.platform_url}/_control")).json()
    return {
        reference: _entry(session, state["charges"].get(reference)) for reference, session in state["sessions"].items()
    }


async def _sandboxs_books(database: Database) -> Mapping[str, BookEntry]:
    rows = await database.rows(Statement(select(sandbox_payments)))
    return {row["reference"]: _decided(row) for row in rows}


def _decided(row: Record) -> BookEntry:
    return BookEntry(
        reference=row["reference"],
        paid=row["status"] == PaymentStatus.PAID,
        price=Money(amount_minor=row["amount_minor"], currency=row["currency"]),
        refunded_minor=row["refunded_minor"],
        dispute=DisputeStatus.NONE,
    )


def _entry(session: Mapping[str, Any], charge: Mapping[str, Any] | None) -> BookEntry:
    refunds = charge["refunds"] if charge else ()
    dispute = charge["dispute"] if charge else None
    return BookEntry(
        reference=session["id"],
        paid=session["payment_status"] == "paid",
        price=Money(amount_minor=session["amount_total"], currency=session["currency"].upper()),
        refunded_minor=sum(each["amount"] for each in refunds if each["status"] == "succeeded"),
        dispute=_DISPUTES[dispute["status"]] if dispute else DisputeStatus.NONE,
    )
