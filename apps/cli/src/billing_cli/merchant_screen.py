"""One merchant on one screen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing_cli.container import CliContainer
from billing_cli.purchase_screen import advice
from billing_cli.terminal import moment
from billing_cli.trial_screen import advice as trial_advice
from billing_core.domain.events import rfc3339
from billing_core.domain.grants import CreditGrant
from billing_core.domain.merchants import Merchant
from billing_core.domain.purchases import Purchase
from billing_core.errors import MerchantNotFound
from billing_core.ports.records import PurchaseTotals
from billing_core.views import MerchantView, PurchaseView, TrialView

NEWEST = 10
MOST_REVIEWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantScreen:
    """What support is shown of a merchant at `now`."""

    merchant: Merchant
    trial: TrialView
    totals: PurchaseTotals
    purchases: Sequence[Purchase]
    open: Sequence[Purchase]
    to_review: Sequence[Purchase]
    grants: Sequence[CreditGrant]
    now: datetime

    def who(self) -> Mapping[str, object]:
        """Who it is."""
        return {
            "platform": self.merchant.platform,
            "platform account": self.merchant.platform_account_id,
            "shop domain": self.merchant.platform_domain,
            "currency": self.merchant.currency,
            "registered": self.merchant.registered_at,
        }

    def trial_facts(self) -> Mapping[str, object]:
        """How its trial stands."""
        trial = self.trial
        facts: dict[str, object] = {"status": trial.status, "credits": trial.credits, "days": trial.duration_days}
        if trial.id is not None:
            facts |= {
                "id": trial.id,
                "from": trial.started_at,
                "to": trial.ends_at,
                "first purchase": trial.converted_at,
            }
        return facts

    def figures(self) -> Mapping[str, object]:
        """Its purchases in figures."""
        counts = ", ".join(f"{count} {status}" for status, count in self.totals.counts.items() if count)
        return {
            "count": counts or "none yet",
            "credits purchased": self.totals.credits_purchased,
            "credits taken back": self.totals.credits_reversed,
            "goodwill credits": self._goodwill(),
        }

    def rows(self) -> Sequence[Sequence[object]]:
        """Its newest purchases."""
        return [
            (
                each.purchase_id,
                each.offer.pack,
                each.offer.price,
                each.status.value,
                moment(each.created_at),
                each.review.reason or "no",
            )
            for each in self.purchases
        ]

    def reviews(self) -> Mapping[str, object]:
        """Why a person must look, by purchase."""
        return {str(each.purchase_id): each.review.reason for each in self.to_review}

    def advice(self) -> Sequence[str]:
        """What a person can type next: first what needs one."""
        name = self.merchant.merchant_id
        lines = [line for each in self.to_review for line in advice(each)]
        waiting = [each for each in self.open if not each.needs_review]
        if waiting:
            lines.append(
                f"billing purchases reconcile --merchant {name}   # asks the platform about {len(waiting)} open"
            )
        lines += trial_advice(self.trial)
        lines.append(f'billing credits grant {name} 50 --reason "…"   # goodwill')
        return [*lines, f"billing events tail --merchant {name} --since 1d --no-follow"]

    def document(self) -> dict[str, Any]:
        """The same for programs."""
        purchases = [PurchaseView.of(each, self.now).to_document() for each in self.purchases]
        return {
            "merchant": {
                **MerchantView.of(self.merchant).to_document(),
                "platform_domain": self.merchant.platform_domain,
            },
            "trial": self.trial.to_document(),
            "purchases": {
                "counts": {status.value: count for status, count in self.totals.counts.items()},
                "credits_purchased": self.totals.credits_purchased,
                "credits_reversed": self.totals.credits_reversed,
                "newest": purchases,
            },
            "goodwill": {
                "credits": sum(each.credits for each in self.grants),
                "newest": [grant_document(each) for each in self.grants[:NEWEST]],
            },
            "open": [str(each.purchase_id) for each in self.open],
            "needs_review": list(self.reviews()),
            "reviews": [{"id": name, "reason": reason} for name, reason in self.reviews().items()],
            "next": list(self.advice()),
        }

    def _goodwill(self) -> str:
        if not self.grants:
            return "none"
        newest = self.grants[0]
        told = f"{sum(each.credits for each in self.grants)} in {len(self.grants)} grant(s)"
        return f"{told}; the newest {newest.credits} at {moment(newest.granted_at)} by {newest.actor}: {newest.reason}"


def grant_document(grant: CreditGrant) -> dict[str, Any]:
    """A grant for programs."""
    return {
        "grant_id": str(grant.grant_id),
        "credits": grant.credits,
        "reason": grant.reason,
        "actor": grant.actor,
        "granted_at": rfc3339(grant.granted_at),
    }


async def read_merchant(container: CliContainer, merchant_id: str) -> MerchantScreen:
    """This will read everything about the merchant. Raises MerchantNotFound, StorageUnavailable."""
    records, support, now = container.records(), container.support(), container.clock().now()
    found = await records.overview(merchant_id)
    if found is None:
        raise MerchantNotFound
    return MerchantScreen(
        merchant=found.merchant,
        trial=await read_trial(container, found.merchant),
        totals=found.totals,
        purchases=await support.list_purchases(merchant_id, limit=NEWEST),
        open=await support.open_purchases(merchant_id),
        to_review=await support.list_purchases(merchant_id, needs_review=True, limit=MOST_REVIEWS),
        grants=await support.grants_of(merchant_id),
        now=now,
    )


async def read_trial(container: CliContainer, merchant: Merchant) -> TrialView:
    """This will read the merchant's trial; `available` or `refused` before the first."""
    records = container.records()
    if trial := await records.trial(merchant.merchant_id):
        return TrialView.of(trial, container.clock().now())
    claimed = await records.trial_claimed(merchant.merchant_id)
    return TrialView.before_the_first(
        merchant.merchant_id, container.price_book().at(container.clock().now()).trial, claimed=claimed
    )
