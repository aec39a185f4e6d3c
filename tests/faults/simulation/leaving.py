"""A shop that goes for good, is redacted, and comes back under another merchant id."""

import asyncio

from tests.faults.simulation.payers import Platforms
from tests.faults.simulation.processes import Incarnation
from tests.faults.simulation.surroundings import SHOPS, Surroundings

from billing_core.domain.merchants import Merchant
from billing_core.errors import TrialAlreadyUsed
from billing_core.testing import a_caller, a_merchant
from billing_core.testing.in_memory_billing import RETURN_URL

GONE = ("m-0", "m-1")
RETURNED = {"m-9": SHOPS[GONE[0]]}
_A_WHILE_S = 600.0


async def goes_and_comes_back(around: Surroundings, platforms: Platforms, process: Incarnation) -> None:
    """This will have the shop of two merchants redacted, by a worker, and let it come back; and hold against everybody
    what is left of its names, what changed of its purchases, and what nobody did."""
    history, before = around.history, _ledger(around)
    platforms.shop_is_gone(around.shops[GONE[0]])
    await asyncio.sleep(_A_WHILE_S)
    history.reach("shop redacted")
    for table in _named_in(around):
        history.breach("privacy", f"a redacted shop is named in {table}")
    if _ledger(around) != before:
        history.breach("privacy", "a redaction changed what was bought")
    merchant = _returned()
    platforms.announce(merchant)
    await asyncio.sleep(_A_WHILE_S)
    try:
        await process.billing.activate_trial(a_caller(merchant), "k-back")
    except TrialAlreadyUsed:
        history.reach("shop came back")


def _returned() -> Merchant:
    ((merchant_id, (platform, account)),) = RETURNED.items()
    return a_merchant(merchant_id, platform=platform, platform_account_id=account)


def _ledger(around: Surroundings) -> object:
    tables = around.storage.tables
    figures = {
        each.purchase_id: (each.status, each.offer, each.paid_minor, each.refunded_minor, each.credits_reversed)
        for each in (*tables.purchases.values(), *tables.archive.values())
    }
    return figures, dict(tables.payment_claims), sorted(map(str, tables.trial_claims.values()))


def _named_in(around: Surroundings) -> list[str]:
    tables = around.storage.tables
    account = around.shops[GONE[0]].platform_account_id
    held = {
        name: [each for each in getattr(tables, name).values() if each.merchant_id in GONE]
        for name in ("merchants", "trials", "purchases", "archive", "changes")
    }
    texts = {name: repr(rows) for name, rows in held.items()} | {"trial_claims": repr(list(tables.trial_claims))}
    return [name for name, text in texts.items() if account in text or RETURN_URL in text]
