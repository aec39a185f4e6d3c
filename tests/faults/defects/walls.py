"""Walls taken down: ways to let in, or to tell, what nobody should. Each is caught by a test, which the catalogue
names."""

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import structlog
from sqlalchemy import bindparam, select, union_all
from starlette.requests import Request
from tests.faults.defects.defect import Patch

from billing_adapters.postgres import database, migrations, records, refusals, roles, row_security
from billing_adapters.postgres.purchases import columns_of
from billing_adapters.postgres.row_security import caller
from billing_adapters.postgres.rows import HISTORY_COLUMNS
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.tables import archived_purchases, history, purchases
from billing_core.use_cases.caller import Caller
from billing_core.use_cases.read_billing import ReadBilling
from billing_http import edge, requests, tokens
from billing_http.head import head_of
from billing_http.keys import VerificationKey
from billing_http.state import State
from billing_http.tokens import Principal, TokenVerifier

TABLES = (purchases, archived_purchases)

# --- tokens ----------------------------------------------------------------------------------------------------------


def signature_not_verified(patch: Patch) -> None:
    """a token's signature is not looked at"""

    def believed(token: str, key: VerificationKey) -> bytes:
        return tokens._decoded(token.split(".")[1])

    patch(tokens, "_signed_payload", believed)


def audience_not_checked(patch: Patch) -> None:
    """a token for another service is accepted"""
    _claimed(patch, lambda verifier, claims: {**claims, "aud": verifier._audience})


def issuer_not_checked(patch: Patch) -> None:
    """a token of another issuer is accepted, if only our key fits"""
    _claimed(patch, lambda verifier, claims: {**claims, "iss": verifier._issuer})


def expiry_not_checked(patch: Patch) -> None:
    """a token is good for ever"""
    patch(tokens, "_check_times", lambda claims, now_s: None)


def platform_claim_not_compared(patch: Patch) -> None:
    """whoever has a token of one platform may ask as on another"""
    authenticate = requests.authenticate

    async def on_any(request: Request[State], scope: str) -> Principal:
        principal = await authenticate(request, scope)
        return replace(principal, platform=head_of(request.scope).one(b"x-platform"))

    patch(requests, "authenticate", on_any)


def _claimed(patch: Patch, changed: Any) -> None:
    read = TokenVerifier._principal
    patch(TokenVerifier, "_principal", lambda self, claims, now: read(self, changed(self, claims), now))


# --- the edge --------------------------------------------------------------------------------------------------------


def lenient_json(patch: Patch) -> None:
    """of a name that comes twice the last counts, and NaN is a number"""
    patch(requests, "read_json", json.loads)


def bodies_without_limit(patch: Patch) -> None:
    """a body may be as large as it likes"""
    patch(edge, "MAX_BODY_BYTES", 2**40)


# --- secrets ---------------------------------------------------------------------------------------------------------


def token_in_the_log(patch: Patch) -> None:
    """a line of the log has the token of the request it is about"""
    authenticate = requests.authenticate

    async def told(request: Request[State], scope: str) -> Principal:
        authorization = head_of(request.scope).one(b"authorization")
        structlog.get_logger().info("authenticating", authorization=authorization)
        return await authenticate(request, scope)

    patch(requests, "authenticate", told)


def values_in_sql_errors(patch: Patch) -> None:
    """what Postgres says against a row is logged with the row"""
    patch(refusals, "hide_values", lambda error: None)


# --- tenants ---------------------------------------------------------------------------------------------------------


def purchase_of_anybody(patch: Patch) -> None:
    """a purchase is read by its id alone"""
    both = [columns_of(table).where(table.c.purchase_id == bindparam("purchase_id")) for table in TABLES]
    patch(records, "_GET", Statement(union_all(*[each.where(caller().is_not(None)) for each in both])))


def history_of_anybody(patch: Patch) -> None:
    """a history is read by its subject alone, and whoever asks is known by it"""
    patch(ReadBilling, "purchase", _anything)
    entries = select(*HISTORY_COLUMNS).where(history.c.subject_id == bindparam("subject_id"), caller().is_not(None))
    patch(records, "HISTORY", Statement(entries.order_by(history.c.number)))


def everybody_seen_by_the_app(patch: Patch) -> None:
    """the HTTP app's role sees every merchant's rows, as a worker's does"""
    patch(roles, "_SEES_EVERYBODY", {**roles._SEES_EVERYBODY, roles.API: "all"})


def owner_not_walled(patch: Patch) -> None:
    """row-level security is not forced, so the tables' owner is above it"""
    upgrade = migrations.upgrade

    async def without_force(url: str, revision: str = "head") -> None:
        await upgrade(url, revision)
        connection = await asyncpg.connect(url)
        await connection.execute("alter table purchases no force row level security")
        await connection.close()

    patch(migrations, "upgrade", without_force)


def narrowed_for_good(patch: Patch) -> None:
    """whose rows are seen is the connection's to keep, also for the next who borrows it"""
    patch(database, "narrowing", lambda merchant_id: row_security.narrowing(merchant_id).replace("set local", "set"))


async def _anything(read: ReadBilling, whoever: Caller, purchase_id: UUID) -> None:
    """Nothing is refused."""
