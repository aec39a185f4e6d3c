"""What marks a Stripe object as one of our payments: the metadata of its session and of its payment intent.

Stripe copies a session's metadata to nothing, a payment intent's to its charge; so both are given the same.
"""

import re
from collections.abc import Mapping

from billing_core.domain.purchases import Purchase

NAME = "stripe"
_REFERENCE = re.compile(r"CP-[0-9A-F]{20}")


def marks_of(purchase: Purchase) -> dict[str, str]:
    """The metadata of a purchase's payment; it depends on nothing of the purchase that ever changes."""
    return {
        "purchase_id": str(purchase.purchase_id),
        "merchant_id": purchase.merchant_id,
        "platform_account_id": purchase.platform_account_id,
        "reference": purchase.short_reference,
    }


def is_marked(client_reference_id: str | None, metadata: Mapping[str, str] | None) -> bool:
    """Whether a session may be ours: another use of the same Stripe account leaves both empty."""
    return client_reference_id is not None or purchase_reference(metadata) is not None


def purchase_reference(metadata: Mapping[str, str] | None) -> str | None:
    """The `Purchase.short_reference` of the object's payment, where it carries one."""
    reference = (metadata or {}).get("reference", "")
    return reference if _REFERENCE.fullmatch(reference) else None


def platform_account_id(metadata: Mapping[str, str] | None) -> str | None:
    """The account whose payment it is, where the object says."""
    return (metadata or {}).get("platform_account_id")
