"""What Stripe is asked for: a Checkout Session in payment mode.

The parameters and the idempotency key follow from the purchase alone, from parts of it that never change, so that a
retry is the same request to the byte. Stripe refuses a key that comes again with anything else.
"""

from typing import TYPE_CHECKING
from uuid import uuid4

from billing_adapters.platforms.stripe_checkout.amounts import to_stripe
from billing_adapters.platforms.stripe_checkout.marks import marks_of
from billing_core.domain.packs import Offer
from billing_core.domain.purchases import Purchase

if TYPE_CHECKING:
    from stripe.params.checkout import SessionCreateParams

_SESSION_ID = "session_id={CHECKOUT_SESSION_ID}"  # Stripe fills it in; the braces must reach it as they are


def checkout_params(purchase: Purchase) -> "SessionCreateParams":
    """The parameters of the purchase's session. Raises PlatformRejected where Stripe cannot charge its price.

    The methods of payment are not restricted: what the account has switched on in Stripe's dashboard is offered, and
    methods that settle later are followed until they do. Adaptive pricing is off, so that what is paid is what was
    offered, in its currency.
    """
    marks = marks_of(purchase)
    price = purchase.offer.price
    return {
        "mode": "payment",
        "client_reference_id": str(purchase.purchase_id),
        "metadata": marks,
        "payment_intent_data": {"metadata": marks},
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": price.currency.lower(),
                    "unit_amount": to_stripe(price),
                    "product_data": {"name": _product_name(purchase.offer)},
                },
            }
        ],
        "adaptive_pricing": {"enabled": False},
        "success_url": _with_session_id(purchase.return_url),
        "cancel_url": purchase.return_url,
        "expires_at": int(purchase.expires_at.timestamp()),
    }


def idempotency_keys(purchase: Purchase) -> tuple[str, str, str]:
    """The purchase's keys, in the order they are used: its id, its second key, and one of this attempt alone.

    Stripe saves the first answer to a key even where it is a 500, and gives nothing else under that key for a day. The
    next key then makes the session, which is safe: nobody was given the page of one that a 500 may have left behind.
    """
    first = str(purchase.purchase_id)
    return first, f"{first}-2", f"{first}-{uuid4()}"


def _product_name(offer: Offer) -> str:
    bonus = f" + {offer.bonus_credits} bonus credits" if offer.bonus_credits else ""
    return f"{offer.credits} credits{bonus}"


def _with_session_id(return_url: str) -> str:
    """The return URL, to the byte, with the session's id after what its query says, before its fragment."""
    address, mark, fragment = return_url.partition("#")
    _, asks, query = address.partition("?")
    joint = "?" if not asks else "&" if query and not query.endswith("&") else ""
    return f"{address}{joint}{_SESSION_ID}{mark}{fragment}"
