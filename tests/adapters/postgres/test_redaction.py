"""After a redaction the database, read as text from end to end, names the shop nowhere; and knows it all the same."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import pytest
from tests.core.use_cases.gone_shop import (
    BY,
    GID,
    IDENTITY,
    LONG_AFTER,
    MERCHANT_ID,
    NEW_ID,
    GoneShop,
    a_gone_shop,
    a_shop,
    some_billing,
)
from tests.postgres_storage import PostgresStorage

from billing_adapters.platforms.sandbox import SandboxPlatform, sandbox_notice
from billing_adapters.platforms.sandbox_books import PostgresSandboxBooks
from billing_adapters.postgres.database import Database
from billing_core.domain.payments import PaymentStatus
from billing_core.errors import TrialAlreadyUsed
from billing_core.testing import (
    FixedClock,
    InMemoryBilling,
    a_caller,
    a_merchant,
    a_merchant_created,
    a_purchase_updated,
)
from billing_core.use_cases.inbound import Done

_TABLES = "select table_name from information_schema.tables where table_schema = 'public'"
_COLUMNS = (
    "select column_name, data_type from information_schema.columns where table_name = $1 and table_schema = 'public'"
)
# What must be equal before and after: everything but the names and words.
_LEDGER = {
    "purchases": "platform_account_id return_url checkout_url",
    "archived_purchases": "platform_account_id return_url checkout_url",
    "payment_claims": "",
    "trials": "platform_account_id",
    "trial_claims": "platform_account_id",
    "credit_grants": "reason",
    "history": "actor reason correlation_id",
    "outbox": "body published_at",
    "merchants": "platform_account_id platform_domain",
}
_SUMS = (
    "select sum(amount_minor), sum(paid_minor), sum(refunded_minor), sum(credits), sum(bonus_credits),"
    " sum(credits_reversed), count(*) from (select * from purchases union all select * from archived_purchases) as all_"
)


async def dumped(url: str) -> Mapping[str, str]:
    """Every table of the database as text, whatever its columns are of: bytes as the text they may be."""
    connection = await asyncpg.connect(url)
    try:
        texts = {}
        for table in await connection.fetch(_TABLES):
            name = table["table_name"]
            columns = [_as_text(**each) for each in await connection.fetch(_COLUMNS, name)]
            rows = await connection.fetch(f"select concat_ws('|', {', '.join(columns)}) as row from {name}")  # noqa: S608
            texts[name] = "\n".join(row["row"] for row in rows)
        return texts
    finally:
        await connection.close()


def _as_text(column_name: str, data_type: str) -> str:
    return f"encode({column_name}, 'escape')" if data_type == "bytea" else f"{column_name}::text"


async def named_in(url: str) -> Mapping[str, Sequence[str]]:
    """The tables in which something of the shop's identity stands."""
    texts = {table: text.lower() for table, text in (await dumped(url)).items()}
    found = {table: [name for name in IDENTITY if name.lower() in text] for table, text in texts.items()}
    return {table: names for table, names in found.items() if names}


async def ledger(url: str) -> Any:
    """Everything that must stay, and its sums."""
    connection = await asyncpg.connect(url)
    try:
        kept = {}
        for table, left_out in _LEDGER.items():
            names = [each["column_name"] for each in await connection.fetch(_COLUMNS, table)]
            wanted = ", ".join(name for name in names if name not in left_out.split())
            rows = await connection.fetch(f"select {wanted} from {table} order by 1, 2, 3")  # noqa: S608
            kept[table] = [tuple(row) for row in rows]
        return kept, tuple(await connection.fetchrow(_SUMS))
    finally:
        await connection.close()


@pytest.fixture
def billing(database: Database) -> InMemoryBilling:
    """The use cases on the real database, with platforms that follow a script."""
    return some_billing(storage=PostgresStorage.over(database))


@pytest.fixture
async def shop(billing: InMemoryBilling) -> GoneShop:
    """A shop that was in every table and is gone."""
    return await a_gone_shop(billing)


class TestRedaction:
    async def test_no_table_names_it_and_the_ledger_is_what_it_was(
        self, billing: InMemoryBilling, shop: GoneShop, database_url: str
    ) -> None:
        """Sums, statuses, claims, references, numbers and moments are equal, row by row; the names are gone."""
        everywhere = {
            "merchants", "trials", "trial_claims", "purchases", "archived_purchases", "credit_grants", "history",
            "outbox", "idempotency_keys", "parked_messages",
        }  # fmt: skip
        before = await ledger(database_url)
        assert set(await named_in(database_url)) == everywhere

        redaction = await billing.redact_merchants.merchant(MERCHANT_ID, BY)

        assert await named_in(database_url) == {}
        assert await ledger(database_url) == before
        assert {name: many > 0 for name, many in redaction.figures.items()} == dict.fromkeys(redaction.figures, True)

    async def test_a_dry_run_tells_the_same_and_changes_nothing(
        self, billing: InMemoryBilling, shop: GoneShop, database_url: str
    ) -> None:
        """Not a byte of any table."""
        before = await dumped(database_url)

        dry = await billing.redact_merchants.merchant(MERCHANT_ID, BY, dry_run=True)

        assert await dumped(database_url) == before
        assert dry == await billing.redact_merchants.merchant(MERCHANT_ID, BY)

    async def test_twice_is_once(self, billing: InMemoryBilling, shop: GoneShop, database_url: str) -> None:
        """The second time changes not a byte."""
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)
        after = await dumped(database_url)

        again = await billing.redact_merchants.merchant(MERCHANT_ID, BY)

        assert again.changed == 0
        assert await dumped(database_url) == after

    async def test_a_late_payment_is_settled_and_names_nobody(
        self, billing: InMemoryBilling, shop: GoneShop, database_url: str
    ) -> None:
        """By the platform's reference, once, although its notice names the shop."""
        await billing.redact_merchants.merchant(MERCHANT_ID, BY)
        reference = str(shop.unpaid.platform_reference)
        billing.platform.pay(reference)
        notice = a_purchase_updated(platform="shopify", payload={"reference": reference, "account": GID})

        outcomes = [*await billing.handle_webhooks([notice]), *await billing.handle_webhooks([notice])]

        purchase = await billing.storage.records.purchase(MERCHANT_ID, shop.unpaid.id)
        assert outcomes == [Done(), Done()]
        assert purchase is not None
        assert (purchase.status, purchase.needs_review) == ("completed", False)
        assert await named_in(database_url) == {}

    @pytest.mark.parametrize("merchant_id", [MERCHANT_ID, NEW_ID])
    async def test_the_shop_gets_no_second_trial(
        self, billing: InMemoryBilling, shop: GoneShop, merchant_id: str
    ) -> None:
        """Back under its own id or another one; and it is shown so before it asks."""
        await billing.redact_merchants.shops([shop.account], BY)
        await billing.register_merchants([a_merchant_created(a_shop(merchant_id))])
        caller = a_caller(a_shop(merchant_id))

        shown = (await billing.read.trial(caller)).status

        assert shown == ("expired" if merchant_id == MERCHANT_ID else "refused")
        with pytest.raises(TrialAlreadyUsed):
            await billing.activate_trial(caller, "k-2")

    async def test_comings_and_goings_at_once_give_one_trial(self, billing: InMemoryBilling, database_url: str) -> None:
        """A shop that is redacted, announced and asking for its trial under many ids at the same time has one claim,
        and one trial that was not refused."""
        await billing.register(a_shop("m-000"))

        async def comes(number: int) -> None:
            caller = await billing.register(a_shop(f"m-{number:03}"))
            with_trial = await asyncio.gather(billing.activate_trial(caller, "k"), return_exceptions=True)
            del with_trial  # refused, given, or undone by another: the database tells what came of it

        async def goes() -> None:
            await asyncio.gather(billing.redact_merchants.shops([("shopify", GID)], BY), return_exceptions=True)

        for first in range(0, 24, 8):
            await asyncio.gather(*(comes(first + each) if each % 2 else goes() for each in range(8)))

        connection = await asyncpg.connect(database_url)
        try:
            claims = await connection.fetchval("select count(*) from trial_claims")
            trials = await connection.fetchval("select count(*) from trials where status <> 'refused'")
        finally:
            await connection.close()
        assert (claims, trials) == (1, 1)


class TestSandbox:
    async def test_its_books_name_nobody_either_and_it_is_still_paid(
        self, database: Database, database_url: str
    ) -> None:
        """What was paid before is told under the pseudonym; what is paid afterwards is known by its reference."""
        books = PostgresSandboxBooks(database)
        sandbox = SandboxPlatform(books, base_url="http://127.0.0.1", secret="a-secret-of-32-bytes-or-more-…")
        platforms: Any = [sandbox]
        billing = InMemoryBilling(platforms=platforms, clock=FixedClock(), storage=_storage(database))
        merchant = a_merchant(MERCHANT_ID, platform_account_id=GID)
        caller = await billing.register(merchant)
        before, after = await _offered(billing, sandbox, "small"), await _offered(billing, sandbox, "large")
        await _paid(billing, sandbox, before)
        billing.clock.advance(LONG_AFTER)

        await billing.redact_merchants.merchant(MERCHANT_ID, BY)
        redacted = await named_in(database_url)
        looked = await billing.operate.reconcile([(MERCHANT_ID, each[0]) for each in (before, after)], BY)
        outcome = await _paid(billing, sandbox, after)

        assert redacted == {}
        assert [each.fault for each in looked] == [None, None]
        assert outcome == Done()
        kept = [await billing.storage.records.purchase(MERCHANT_ID, each[0]) for each in (before, after)]
        assert [(each.status, each.needs_review) for each in kept if each] == [("completed", False)] * 2
        assert caller.merchant_id == MERCHANT_ID


def _storage(database: Database) -> Any:
    return PostgresStorage.over(database)


async def _offered(billing: InMemoryBilling, sandbox: SandboxPlatform, pack: str) -> Any:
    """A purchase's id, and the offer in the address of its checkout."""
    merchant = a_merchant(MERCHANT_ID, platform_account_id=GID)
    purchase = await billing.buy(a_caller(merchant), pack)
    token = str(purchase.checkout_url).partition("?offer=")[2]
    return purchase.id, sandbox.read_offer(str(purchase.platform_reference), token)


async def _paid(billing: InMemoryBilling, sandbox: SandboxPlatform, offered: Any) -> Any:
    entry = await sandbox.decide(offered[1], PaymentStatus.PAID)
    (outcome,) = await billing.handle_webhooks([a_purchase_updated(payload=sandbox_notice(entry))])
    return outcome
