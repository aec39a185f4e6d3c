"""The database refuses what the domain would never make, by constraints that all have names."""

import traceback
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import CheckConstraint, Constraint, ForeignKeyConstraint, PrimaryKeyConstraint, UniqueConstraint

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.refusals import REFUSALS, InvariantRefused
from billing_adapters.postgres.rows import PURCHASE_COLUMNS, purchase_values, trial_values
from billing_adapters.postgres.tables import metadata
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_core.errors import MerchantNotFound, StorageConflict
from billing_core.testing.builders import a_merchant, a_purchase, a_trial
from billing_core.testing.clock import MOMENT

# No caller can run into these: the statements that insert there say `on conflict`, or the id is made by us.
NEVER_MET = {
    "credit_grants_grant_id_unique",
    "credit_grants_pk",
    "idempotency_keys_pk",
    "inbox_pk",
    "job_runs_pk",
    "parked_messages_pk",
    "parked_messages_waiting_once",
    "privacy_records_pk",
    "sandbox_payments_pk",
    "trial_claims_pk",
}


def _keys() -> set[str]:
    """The names of everything that refuses a row because of another row."""
    unique = {index.name for table in metadata.tables.values() for index in table.indexes if index.unique}
    keyed = {
        constraint.name
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint | ForeignKeyConstraint)
    }
    return {str(name) for name in unique | keyed}


def _full_name(table: str, constraint: Constraint) -> str:
    """The name in the database: SQLAlchemy puts the table's before a check's when it writes the DDL."""
    name = str(constraint.name)
    return name if name.startswith(table) else f"{table}_{name}"


class TestNames:
    def test_every_constraint_has_a_name(self) -> None:
        """A failure can always be told by the name of what refused."""
        constraints = [each for table in metadata.tables.values() for each in table.constraints]

        assert [each for each in constraints if each.name is None] == []
        assert max(len(str(each.name)) for each in constraints) <= 63

    async def test_the_names_in_the_database_are_those_names(self, database_url: str) -> None:
        """PostgreSQL made up none of its own."""
        connection = await asyncpg.connect(database_url)
        try:
            rows = await connection.fetch(
                "select conname from pg_constraint where contype in ('c', 'p', 'u', 'f')"
                " and connamespace = 'public'::regnamespace and conrelid <> 0"
                " and conrelid::regclass::text <> 'alembic_version'"
            )
        finally:
            await connection.close()

        checks = {
            _full_name(table.name, each)
            for table in metadata.tables.values()
            for each in table.constraints
            if isinstance(each, CheckConstraint)
        }
        unique_indexes = {str(i.name) for table in metadata.tables.values() for i in table.indexes if i.unique}
        assert {row["conname"] for row in rows} == checks | (_keys() - unique_indexes)

    def test_every_key_has_its_refusal_or_is_never_met(self) -> None:
        """The table of refusals is complete and names nothing that is not there."""
        assert set(REFUSALS) | NEVER_MET == _keys()
        assert set(REFUSALS) & NEVER_MET == set()


PENDING = a_purchase()
BROKEN_PURCHASES: dict[str, dict[str, Any]] = {
    "purchases_status_known": {"status": "paid", "check_at": None, "ended_at": MOMENT},
    "purchases_dispute_known": {"dispute": "maybe"},
    "purchases_completed_at_iff_paid": {"completed_at": MOMENT},
    "purchases_check_at_while_payable": {"check_at": None},
    "purchases_ended_at_iff_over": {"ended_at": MOMENT},
    "purchases_pending_has_checkout": {"checkout_url": None},
    "purchases_late_only_paid": {"late": True},
    "purchases_credits_positive": {"credits": 0},
    "purchases_amount_minor_bounded": {"amount_minor": 10**12 + 1},
    "purchases_refunded_minor_bounded": {"refunded_minor": 7000},
    "purchases_credits_reversed_bounded": {"credits_reversed": 1001},
    "purchases_currency_iso": {"currency": "usd"},
    "purchases_version_counts": {"version": -1},
    "purchases_merchant_id_length": {"merchant_id": "m" * 129},
    "purchases_platform_length": {"platform": ""},
    "purchases_platform_account_id_length": {"platform_account_id": "a" * 256},
    "purchases_pack_length": {"pack": ""},
    "purchases_catalog_version_length": {"catalog_version": ""},
    "purchases_return_url_length": {"return_url": "u" * 2049},
    "purchases_platform_reference_length": {"platform_reference": "r" * 256},
    "purchases_checkout_url_length": {"checkout_url": "u" * 8193},
    "purchases_review_reason_length": {"review_reason": "r" * 2001},
    "purchases_review_reference_length": {"review_reference": ""},
    "purchases_further_findings_length": {"further_findings": "f" * 10_001},
    "purchases_dismissed_length": {"dismissed": "d" * 10_001},
    "purchases_paid_minor_positive": {"paid_minor": -1},
    "purchases_merchant_id_known": {},
}
TRIAL = a_trial()
BROKEN_TRIALS: dict[str, dict[str, Any]] = {
    "trials_status_known": {"status": "paused", "ended_at": MOMENT},
    "trials_credits_positive": {"credits": 0},
    "trials_duration_days_bounded": {"duration_days": 3651},
    "trials_ends_after_start": {"ends_at": TRIAL.started_at},
    "trials_ended_at_iff_over": {"ended_at": MOMENT},
    "trials_version_counts": {"version": -1},
    "trials_merchant_id_length": {"merchant_id": ""},
    "trials_platform_length": {"platform": "p" * 65},
    "trials_platform_account_id_length": {"platform_account_id": ""},
    "trials_merchant_id_known": {},
}
OTHERS = {
    "credit_grants_credits_bounded": "insert into credit_grants values"
    " ('m', gen_random_uuid(), 'p', 0, 'r', 'a', now())",
    "credit_grants_reason_length": "insert into credit_grants values ('m', gen_random_uuid(), 'p', 1, '', 'a', now())",
    "merchants_merchant_id_shape": "insert into merchants values ('a b', 'sandbox', 'a', null, null, now())",
    "merchants_currency_iso": "insert into merchants values ('m', 'sandbox', 'a', null, 'US', now())",
    "merchants_event_sequence_counts": "insert into merchants values ('m', 'p', 'a', null, null, now(), -1)",
    "history_number_counts": "insert into history values"
    " ('m', gen_random_uuid(), 0, 'trial', 'w', null, 's', now(), 'a', null, 'c')",
    "history_subject_known": "insert into history values"
    " ('m', gen_random_uuid(), 1, 'credit', 'w', null, 's', now(), 'a', null, 'c')",
    "outbox_sequence_counts": "insert into outbox values ('m', 0, gen_random_uuid(), 't', '')",
    "idempotency_keys_answer_whole": "insert into idempotency_keys values"
    " ('m', 'r', 'k', 'f', now(), null, null, 'created', null)",
    "inbox_message_id_length": "insert into inbox values ('s', '', now())",
    "sandbox_payments_status_known": "insert into sandbox_payments values ('r', 'open', 1, 'USD', 'a', 't', now())",
    "sandbox_payments_refunded_minor_bounded": "insert into sandbox_payments values"
    " ('r', 'paid', 1, 'USD', 'a', 't', now(), 2)",
}


async def _refused_by(url: str, statement: str, *arguments: object) -> str | None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement, *arguments)
    except asyncpg.IntegrityConstraintViolationError as error:
        return str(error.constraint_name)
    finally:
        await connection.close()
    return None


class TestInvariants:
    @pytest.mark.parametrize("constraint", BROKEN_PURCHASES)
    async def test_a_purchase_that_cannot_be_is_refused(self, database_url: str, constraint: str) -> None:
        """Raw SQL cannot store what the type forbids."""
        names = [column.name for column in PURCHASE_COLUMNS]
        row = dict(zip(names, purchase_values(PENDING), strict=True)) | BROKEN_PURCHASES[constraint]
        places = ", ".join(f"${number}" for number in range(1, len(row) + 1))

        assert await _refused_by(database_url, f"insert into purchases values ({places})", *row.values()) == constraint  # noqa: S608

    @pytest.mark.parametrize("constraint", BROKEN_TRIALS)
    async def test_a_trial_that_cannot_be_is_refused(self, database_url: str, constraint: str) -> None:
        """Raw SQL cannot store what the type forbids."""
        names = [column.name for column in metadata.tables["trials"].c]
        row = dict(zip(names, trial_values(TRIAL), strict=True)) | BROKEN_TRIALS[constraint]
        places = ", ".join(f"${number}" for number in range(1, len(row) + 1))

        assert await _refused_by(database_url, f"insert into trials values ({places})", *row.values()) == constraint  # noqa: S608

    @pytest.mark.parametrize("constraint", OTHERS)
    async def test_other_rows_that_cannot_be_are_refused(self, database_url: str, constraint: str) -> None:
        """Raw SQL cannot store what the type forbids."""
        assert await _refused_by(database_url, OTHERS[constraint]) == constraint

    def test_no_check_of_purchases_and_trials_is_forgotten(self) -> None:
        """Every check of the two central tables is broken above."""
        for table, broken in (("purchases", BROKEN_PURCHASES), ("trials", BROKEN_TRIALS)):
            named = {
                _full_name(table, each)
                for each in metadata.tables[table].constraints
                if isinstance(each, CheckConstraint | ForeignKeyConstraint)
            }
            assert named == set(broken)


class TestRefusals:
    async def test_a_purchase_of_nobody_is_merchant_not_found(self, database: Database) -> None:
        """The foreign key speaks in the core's words."""
        async with PostgresUnits(database)() as uow:
            with pytest.raises(MerchantNotFound):
                await uow.purchases.add([a_purchase()])
                await uow.flush()

    async def test_the_same_purchase_twice_is_a_conflict(self, database: Database) -> None:
        """A primary key that two transactions can meet asks the second to try again."""
        merchant = a_merchant()
        purchase = a_purchase(merchant)

        async with PostgresUnits(database)() as uow:
            await uow.merchants.add([merchant])
            await uow.purchases.add([purchase])
            with pytest.raises(StorageConflict):
                await uow.purchases.add([purchase])
                await uow.flush()

    async def test_a_failed_transaction_does_not_pretend_to_commit(self, database: Database) -> None:
        """PostgreSQL answers COMMIT with a silent undoing; the caller is told, and acknowledges nothing."""
        async with PostgresUnits(database)() as uow:
            with pytest.raises(MerchantNotFound):
                await uow.purchases.add([a_purchase()])
                await uow.flush()
            with pytest.raises(StorageConflict):
                await uow.commit()

    @pytest.mark.parametrize("actor", ["a\0b", "\ud800", "a" * 256])
    async def test_text_that_cannot_be_stored_is_our_own_fault(self, database: Database, actor: str) -> None:
        """NUL, a lone surrogate, a text too long: never the driver's exception."""
        merchant = a_merchant(platform_domain="d")

        async with PostgresUnits(database)() as uow:
            await uow.merchants.add([merchant])
            with pytest.raises(InvariantRefused):
                await uow.inbox.record("source", [actor], MOMENT + timedelta(days=1))

    @pytest.mark.parametrize(
        ("more", "named"),
        [
            ("a" * 256, 'CheckViolationError: new row for relation "inbox" violates check constraint "inbox_'),
            ("\0", "left out"),
        ],
    )
    async def test_what_was_refused_is_not_repeated(self, database: Database, more: str, named: str) -> None:
        """PostgreSQL says "Failing row contains (…)", and so would every log: the constraint is told alone."""
        source, canary = "canary-4f1d" + more, "another-7e02"

        async with PostgresUnits(database)() as uow:
            with pytest.raises(InvariantRefused) as refused:
                await uow.inbox.record(source, [canary], MOMENT + timedelta(days=1))

        # What was raised with which words, without the lines of the code that stand between.
        told = [line for line in traceback.format_exception(refused.value) if not line.startswith("  ")]
        assert any(named in text for text in told)
        for text in told:
            assert "canary-4f1d" not in text
            assert "another-7e02" not in text
            assert "Failing row" not in text
