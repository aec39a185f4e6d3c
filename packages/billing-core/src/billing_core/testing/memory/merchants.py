"""Merchants in memory."""

from collections.abc import Mapping, Sequence

from billing_core.domain.merchants import Merchant
from billing_core.testing.memory.locks import Row
from billing_core.testing.memory.transaction import Transaction


class InMemoryMerchants:
    """The merchants as one transaction sees them."""

    def __init__(self, transaction: Transaction) -> None:
        self._tx = transaction

    async def lock(self, merchant_id: str) -> Merchant | None:
        """See `Merchants.lock`."""
        if self._tx.view.merchants.get(merchant_id) is None:
            return None
        await self._tx.hold(merchant_row(merchant_id))
        return self._tx.view.merchants.get(merchant_id)

    async def get_many(self, merchant_ids: Sequence[str]) -> Mapping[str, Merchant]:
        """See `Merchants.get_many`."""
        found = ((key, self._tx.view.merchants.get(key)) for key in merchant_ids)
        return {key: merchant for key, merchant in found if merchant is not None}

    async def add(
        self, merchants: Sequence[Merchant], *, pseudonyms: Mapping[str, str] | None = None
    ) -> Mapping[str, Merchant]:
        """See `Merchants.add`."""
        known = {}
        for merchant in sorted(merchants, key=lambda each: each.merchant_id):
            await self._tx.hold(merchant_row(merchant.merchant_id))
            if (before := self._tx.view.merchants.get(merchant.merchant_id)) is not None:
                known[merchant.merchant_id] = before
            else:
                self._tx.view.merchants.put(merchant.merchant_id, merchant)
                if pseudonyms is not None:
                    self._claim_by_name_again(merchant, pseudonyms[merchant.merchant_id])
        return known

    async def save(self, merchants: Sequence[Merchant]) -> None:
        """See `Merchants.save`."""
        for merchant in sorted(merchants, key=lambda each: each.merchant_id):
            await self._tx.hold(merchant_row(merchant.merchant_id))
            self._tx.view.merchants.put(merchant.merchant_id, merchant)

    def _claim_by_name_again(self, merchant: Merchant, pseudonym: str) -> None:
        name, claims = (merchant.platform, merchant.platform_account_id), self._tx.view.trial_claims
        if claims.get(name) is None and (claim := claims.get((merchant.platform, pseudonym))) is not None:
            claims.remove((merchant.platform, pseudonym))
            claims.put(name, claim)


def merchant_row(merchant_id: str) -> Row:
    """The row other parts of the transaction hold for a merchant."""
    return ("merchant", merchant_id)
