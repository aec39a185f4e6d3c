"""What each failure of the database means in billing's own words: the one table. No foreign exception passes it."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final

import asyncpg

from billing_adapters.postgres.tables import ONE_ACTIVE_TRIAL, payment_claims
from billing_core.errors import (
    BillingError,
    MerchantNotFound,
    ReferenceAlreadyClaimed,
    StorageConflict,
    StorageUnavailable,
)

FOREIGN: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    asyncio.IncompleteReadError,
)


class InvariantRefused(BillingError):
    """The database refused a value the domain should never have made: a fault of ours, not of the caller."""

    code = "INVARIANT_REFUSED"


def _changed_meanwhile() -> BillingError:
    return StorageConflict("Another transaction changed the same thing first.")


def _no_schema() -> BillingError:
    return StorageUnavailable("The database schema is missing or older than this program: run `billing db upgrade`.")


def _no_permission() -> BillingError:
    return StorageUnavailable(
        "The role in BILLING_DATABASE_URL lacks a permission: run `billing db roles`, and grant the process its role."
    )


# The class of SQLSTATEs whose messages tell values: data exceptions.
_ABOUT_VALUES: Final = "22"

Refusal = Callable[[], BillingError]

# A named constraint that callers can run into, and what it means to them. The others are invariants.
REFUSALS: Final[dict[str, Refusal]] = {
    "trials_merchant_id_known": MerchantNotFound,
    "purchases_merchant_id_known": MerchantNotFound,
    "archived_purchases_merchant_id_known": MerchantNotFound,
    ONE_ACTIVE_TRIAL: _changed_meanwhile,
    "history_pk": _changed_meanwhile,
    "outbox_pk": _changed_meanwhile,
    "outbox_event_id_unique": _changed_meanwhile,
    "purchases_pk": _changed_meanwhile,
    "purchases_purchase_id_unique": _changed_meanwhile,
    "archived_purchases_pk": _changed_meanwhile,
    "archived_purchases_purchase_id_unique": _changed_meanwhile,
    "trials_pk": _changed_meanwhile,
    "trials_trial_id_unique": _changed_meanwhile,
    "merchants_pk": _changed_meanwhile,
    "payment_claims_pk": ReferenceAlreadyClaimed,
}

# The first entry whose text begins the error's SQLSTATE counts (PostgreSQL manual, appendix A).
_BY_SQLSTATE: Final[tuple[tuple[str, Refusal], ...]] = (
    ("40", StorageConflict),  # serialization failure, deadlock
    ("55P03", StorageConflict),  # lock_timeout
    ("22", InvariantRefused),  # a value that cannot be stored
    ("23", InvariantRefused),  # a constraint that no caller can run into
    ("42P01", _no_schema),
    ("42703", _no_schema),
    ("42704", _no_schema),  # a type or role that is not there
    ("42883", _no_schema),  # a function
    ("42501", _no_permission),
    ("", StorageUnavailable),
)


def refusal_of(error: BaseException) -> BillingError:
    """This will say what a foreign error means to Billing."""
    if isinstance(error, asyncpg.PostgresError):
        constraint = getattr(error, "constraint_name", None)
        if constraint in REFUSALS:
            return REFUSALS[constraint]()
        if isinstance(error, asyncpg.InsufficientPrivilegeError) and _is_anothers_row(error):
            # Of a claim that is another merchant's nothing is seen, but that it is there.
            return ReferenceAlreadyClaimed() if f'"{payment_claims}"' in str(error) else StorageConflict()
        state = error.sqlstate or ""
        return next(refusal for prefix, refusal in _BY_SQLSTATE if state.startswith(prefix))()
    if isinstance(error, asyncpg.DataError):  # the client's own: the value has no form on the wire
        return InvariantRefused()
    return StorageUnavailable()


def _is_anothers_row(error: asyncpg.InsufficientPrivilegeError) -> bool:
    """Whether row-level security refused a row: PostgreSQL has no code of its own for it, and words in many tongues."""
    return bool(error.server_source_function == "ExecWithCheckOptions")


def is_broken(error: BaseException | None) -> bool:
    """Whether after this error the connection may hang or be half-way through an answer, and must be thrown away."""
    if isinstance(error, Exception):
        return isinstance(error, StorageUnavailable) and not isinstance(error, StorageConflict)
    return error is not None  # a cancellation may have struck in the middle of a command


def hide_values(error: BaseException) -> None:
    """This will take the values of rows and parameters out of a foreign error: it is logged as a cause."""
    if isinstance(error, asyncpg.PostgresError):
        error.detail = None  # "Failing row contains (…)", "Key (…)=(…) already exists"
        if (error.sqlstate or "").startswith(_ABOUT_VALUES):
            error.args = (f"{type(error).__name__} (the values are left out)",)
    elif isinstance(error, asyncpg.DataError):
        error.args = ("a parameter has no form on the wire (the value is left out)",)


class Translated:
    """A block out of which foreign errors come as Billing's own; the foreign one is kept as the cause, unless it would
    tell the values it is about."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """This will raise the refusal of a foreign error."""
        if isinstance(error, FOREIGN):
            hide_values(error)
            raise refusal_of(error) from error


translated: Final = Translated()
