"""Ways to forget too little of a shop that is gone, or too much."""

from dataclasses import replace

from tests.faults.defects.defect import Patch

from billing_core.domain import redaction
from billing_core.domain.pseudonyms import Pseudonyms
from billing_core.domain.purchases import Purchase
from billing_core.domain.trials import Trial
from billing_core.testing.memory.merchants import InMemoryMerchants
from billing_core.testing.memory.trials import InMemoryTrials
from billing_core.use_cases import redact_merchants


def return_url_kept(patch: Patch) -> None:
    """a redacted purchase keeps the address its merchant returned to, which names the shop"""

    def keep(purchase: Purchase, pseudonyms: Pseudonyms) -> Purchase:
        return replace(redaction.redact_purchase(purchase, pseudonyms), return_url=purchase.return_url)

    patch(redact_merchants, "redact_purchase", keep)


def returned_shop_unknown(patch: Patch) -> None:
    """a shop that was redacted and comes back is known by neither guard, where it is announced and where it asks"""
    claim = InMemoryTrials.claim

    async def by_name_alone(self: InMemoryTrials, trial: Trial, *, pseudonym: str | None = None) -> bool:
        return await claim(self, trial)

    patch(InMemoryMerchants, "_claim_by_name_again", lambda *_: None)
    patch(InMemoryTrials, "claim", by_name_alone)
