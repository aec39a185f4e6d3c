"""Who buys: a merchant on one platform, as another service announced it."""

import re
from dataclasses import dataclass, replace
from datetime import datetime

from billing_core.domain.pseudonyms import Pseudonyms, is_pseudonym, is_same_account
from billing_core.errors import MerchantConflict

MERCHANT_ID = re.compile(r"[A-Za-z0-9._:\-]{1,128}")
PLATFORM_ACCOUNT_ID = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Merchant:
    """A merchant; `platform_account_id` is the shop, which outlives reinstalls under new merchant ids."""

    merchant_id: str
    platform: str
    platform_account_id: str
    platform_domain: str | None = None
    currency: str | None = None
    registered_at: datetime

    def __post_init__(self) -> None:
        if not MERCHANT_ID.fullmatch(self.merchant_id):
            raise ValueError("merchant_id must be 1-128 characters of A-Z a-z 0-9 . _ : -")
        if not PLATFORM_ACCOUNT_ID.fullmatch(self.platform_account_id):
            raise ValueError("platform_account_id must be 1-255 visible ASCII characters")

    @property
    def is_redacted(self) -> bool:
        """Whether its identity is gone, and only the ledger is left of it, until it is announced again."""
        return is_pseudonym(self.platform_account_id)

    def is_same_shop(self, other: "Merchant", pseudonyms: Pseudonyms | None = None) -> bool:
        """Whether both are one account of one platform; a redacted one is known again by its pseudonym."""
        return other.platform == self.platform and is_same_account(
            pseudonyms, self.platform, self.platform_account_id, other.platform_account_id
        )

    def announced_again(self, other: "Merchant", pseudonyms: Pseudonyms | None = None) -> "Merchant":
        """This will take over what may change (domain, currency), and the name of an account that was redacted.

        Raises MerchantConflict where platform or account differ: they decide who has had a trial, so a second
        announcement must not move them.
        """
        if not self.is_same_shop(other, pseudonyms):
            raise MerchantConflict(
                f"merchant {self.merchant_id} is already registered on {self.platform} with another account"
            )
        return replace(
            self,
            platform_account_id=other.platform_account_id,
            platform_domain=other.platform_domain or self.platform_domain,
            currency=other.currency or self.currency,
        )
