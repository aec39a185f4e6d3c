"""The command line, called as a process of its own would call it, and a shop's books to look at."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import structlog
from typer.testing import CliRunner, Result

from billing_adapters.clock import new_id
from billing_adapters.nats.connection import NatsConnection, open_nats
from billing_adapters.nats.streams import ensure_consumers, ensure_streams
from billing_adapters.platforms.sandbox_books import PostgresSandboxBooks, SandboxEntry
from billing_adapters.platforms.sandbox_offer import reference_of
from billing_adapters.postgres.database import open_database
from billing_adapters.postgres.support import PostgresSupport
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_cli.main import app
from billing_core.domain.events import Origin
from billing_core.domain.merchants import Merchant
from billing_core.domain.money import Money
from billing_core.domain.packs import default_catalog
from billing_core.domain.payments import PaymentReport, PaymentStatus
from billing_core.domain.purchases import create_purchase
from billing_core.domain.trials import start_trial
from billing_core.ports.storage import ParkedMessage, UnitOfWork

REDACTION_KEY = "sample-redaction-key-of-these-tests"


class Billing:
    """The command `billing`, with an environment of this test alone."""

    def __init__(self, environment: dict[str, str | None]) -> None:
        self.environment = environment

    def __call__(self, *arguments: str) -> Result:
        """This will run the command and return its exit code and what it wrote."""
        # In a thread of its own: the loop of the test's fixtures may be running here.
        with ThreadPoolExecutor(max_workers=1) as executor:
            return executor.submit(CliRunner().invoke, app, list(arguments), env=self.environment).result()

    def json(self, *arguments: str) -> Any:
        """This will run the command with `--json` and return its one document."""
        result = self(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What is in the database: a merchant with a trial, an open purchase, one to review, and a parked message."""

    merchant_id: str
    trial_id: UUID
    open_id: UUID
    review_id: UUID
    parked_id: UUID


class Sandbox:
    """The sandbox's checkouts, as their payers use them."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url

    async def pay(self, purchase_id: UUID, *, amount_minor: int | None = None) -> None:
        """This will pay the purchase at its checkout, its price or another amount; no notice is sent."""
        async with open_database(
            self._database_url, pool_size=1, application_name="tests", every_merchant=True
        ) as database:
            purchase = await PostgresSupport(database).find_purchase(purchase_id)
            assert purchase is not None
            price = purchase.offer.price
            if amount_minor is not None:
                price = Money(amount_minor=amount_minor, currency=price.currency)
            entry = SandboxEntry(
                reference=reference_of(purchase),
                status=PaymentStatus.PAID,
                platform_account_id=purchase.platform_account_id,
                price=price,
            )
            assert await PostgresSandboxBooks(database).enter(entry) == entry

    async def open_checkout(self, purchase_id: UUID) -> None:
        """This will make the purchase pending, as the platform's answer does."""
        async with open_database(
            self._database_url, pool_size=1, application_name="tests", every_merchant=True
        ) as database:
            purchase = await PostgresSupport(database).find_purchase(purchase_id)
        assert purchase is not None
        await self.execute(
            "update purchases set status = 'pending', platform_reference = $2, checkout_url = 'https://pay.example' "
            "where purchase_id = $1",
            purchase_id,
            reference_of(purchase),
        )

    async def claim_for_another(self, purchase_id: UUID, other_id: UUID) -> None:
        """This will make the payment of one purchase another one's of the merchant."""
        await self.execute(
            "insert into payment_claims (platform, platform_reference, merchant_id, purchase_id) "
            "select 'sandbox', reference, 'm-1', $2 from sandbox_payments where reference like $1",
            f"sbx_{purchase_id.hex}%",
            other_id,
        )

    async def execute(self, statement: str, *values: object) -> None:
        """This will change what stands in the database."""
        connection = await asyncpg.connect(self._database_url)
        try:
            await connection.execute(statement, *values)
        finally:
            await connection.close()


@pytest.fixture
def lone_billing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Billing:
    """The command with no server it could reach and no settings of the machine's."""
    monkeypatch.chdir(tmp_path)
    nowhere = "127.0.0.1:1"
    return Billing(
        {
            "BILLING_ENV": None,
            "BILLING_DATABASE_URL": f"postgresql://billing:hidden@{nowhere}/billing",
            "BILLING_REDIS_URL": f"redis://:hidden@{nowhere}/0",
            "BILLING_NATS_URL": f"nats://hidden@{nowhere}",
        }
    )


@pytest.fixture
def billing(lone_billing: Billing, database_url: str, redis_url: str, nats_url: str) -> Billing:
    """The command on real servers."""
    return Billing(
        {
            **lone_billing.environment,
            "BILLING_DATABASE_URL": database_url,
            "BILLING_REDIS_URL": redis_url,
            "BILLING_NATS_URL": nats_url,
            "BILLING_REDACTION_KEY": REDACTION_KEY,
        }
    )


@pytest.fixture
def streams(nats_url: str) -> None:
    """NATS with every stream and consumer."""

    async def make() -> None:
        async with open_nats(nats_url, name="tests") as connection:
            await ensure_streams(connection, manage_all=True)
            await ensure_consumers(connection)

    with ThreadPoolExecutor(max_workers=1) as executor:
        executor.submit(asyncio.run, make()).result()


@pytest.fixture
def books(database_url: str) -> Iterator[Books]:
    """A shop's books."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        yield executor.submit(asyncio.run, fill(database_url)).result()


@pytest.fixture
def sandbox(database_url: str) -> Sandbox:
    """The sandbox of the test's database."""
    return Sandbox(database_url)


def typed(environment: Mapping[str, str | None], answer: bytes, *arguments: str) -> tuple[int, str]:
    """This will run the command with a terminal as its stdin, type the answer, and give exit code and stderr."""
    terminal, stdin = os.openpty()
    try:
        os.write(terminal, answer)
        done = subprocess.run(
            [sys.executable, "-m", "billing_cli", *arguments],
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment_of(environment),
        )
    finally:
        os.close(terminal)
        os.close(stdin)
    return done.returncode, done.stderr


def environment_of(wanted: Mapping[str, str | None]) -> dict[str, str]:
    """The machine's environment with the wanted variables in it, and without those that are None."""
    kept = {name: value for name, value in os.environ.items() if name not in wanted}
    return kept | {name: value for name, value in wanted.items() if value is not None}


def in_database(database_url: str, act: Callable[[UnitOfWork], Awaitable[Any]]) -> None:
    """This will do something in a transaction of the test's database, which `act` commits."""

    async def work() -> None:
        async with (
            open_database(database_url, pool_size=1, application_name="tests", every_merchant=True) as database,
            PostgresUnits(database)() as uow,
        ):
            await act(uow)

    with ThreadPoolExecutor(max_workers=1) as executor:
        executor.submit(asyncio.run, work()).result()


def on_nats(nats_url: str, act: Callable[[NatsConnection], Awaitable[Any]]) -> None:
    """This will do something to NATS behind Billing's back."""

    async def work() -> None:
        async with open_nats(nats_url, name="tests") as connection:
            await act(connection)

    with ThreadPoolExecutor(max_workers=1) as executor:
        executor.submit(asyncio.run, work()).result()


async def fill(database_url: str, merchant_id: str = "m-1") -> Books:
    """This will write the books of a shop."""
    now = datetime.now(UTC)
    by = Origin(actor="tests", correlation_id="c-1")
    merchant = Merchant(merchant_id=merchant_id, platform="sandbox", platform_account_id="shop-1", registered_at=now)
    catalog = default_catalog()
    started = start_trial(new_id(), merchant, catalog.trial, now, by)
    offers = {offer.pack: offer for offer in catalog.offers(home_currency=None)}
    made = [
        create_purchase(
            new_id(),
            merchant,
            offers[pack],
            return_url="https://shop.example/back",
            lifetime=timedelta(hours=24),
            test=True,
            now=now,
            by=by,
        )
        for pack in ("small", "large")
    ]
    wrong_price = PaymentReport(
        platform_reference="sbx_2",
        status=PaymentStatus.PAID,
        observed_at=now,
        price=Money(amount_minor=1, currency="USD"),
        platform_account_id="shop-1",
    )
    reviewed = made[1].purchase.settle(wrong_price, now, by)
    parked = ParkedMessage(
        parked_id=new_id(),
        source="billing-merchant-created",
        message_id="x-1",
        subject="evt.merchant.created",
        body=b"\x1b[2J not json",
        headers={"Nats-Msg-Id": "x-1"},
        reason="the body is not JSON",
        parked_at=now,
    )
    async with (
        open_database(database_url, pool_size=2, application_name="tests", every_merchant=True) as database,
        PostgresUnits(database)() as uow,
    ):
        await uow.merchants.add([merchant])
        await uow.trials.claim(started.trial)
        await uow.trials.add([started.trial])
        await uow.purchases.add([made[0].purchase, reviewed.purchase])
        await uow.journal.record([*started.changes, *made[0].changes, *made[1].changes, *reviewed.changes])
        await uow.parked.add([parked])
        await uow.commit()
    return Books(
        merchant_id=merchant_id,
        trial_id=started.trial.trial_id,
        open_id=made[0].purchase.purchase_id,
        review_id=reviewed.purchase.purchase_id,
        parked_id=parked.parked_id,
    )


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """Commands quieten the logs of their process; here that process is everybody's."""
    yield
    structlog.reset_defaults()
