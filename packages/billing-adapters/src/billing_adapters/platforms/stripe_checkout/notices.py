"""Stripe's notices: the bodies of its events, and what they point at. Pure; nothing here knows Stripe's library."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError

from billing_adapters.platforms.stripe_checkout.marks import is_marked, platform_account_id, purchase_reference
from billing_adapters.platforms.stripe_checkout.reports import PAYMENT_ID, SESSION_ID, Told
from billing_core.errors import MalformedMessage
from billing_core.ports.platforms import Notice

_T = TypeVar("_T", bound=Told)


def read_notice(payload: Mapping[str, Any]) -> Notice | None:
    """This will read a Stripe event. None where it is of another type, or about a payment that is none of ours.

    Raises MalformedMessage where Stripe could not have sent it.
    """
    event = _read(_Event, payload, "payload")
    shape = _OBJECTS.get(event.type)
    return _read(shape, event.data.object, "payload/data/object").notice() if shape else None


class _Data(Told):
    object: dict[str, Any]


class _Event(Told):
    object: Literal["event"] = "event"
    id: str = Field(pattern=r"^evt_[A-Za-z0-9_-]{1,250}$")
    type: str = Field(min_length=1)
    data: _Data


class _NoticedSession(Told):
    object: Literal["checkout.session"] = "checkout.session"
    id: str = Field(pattern=SESSION_ID)
    mode: str = "payment"
    client_reference_id: str | None = None
    metadata: dict[str, str] | None = None

    def notice(self) -> Notice | None:
        # A body that was cut down to its id may be of one of ours; a whole one says so.
        says = {"client_reference_id", "metadata"} & self.model_fields_set
        if self.mode != "payment" or (says and not is_marked(self.client_reference_id, self.metadata)):
            return None
        return Notice(
            platform_reference=self.id,
            purchase_reference=purchase_reference(self.metadata),
            platform_account_id=platform_account_id(self.metadata),
        )


class _NoticedPayment(Told):
    """What came after a payment. A dispute and a refund carry marks of their own, mostly none: they are traced."""

    payment_intent: str | None = Field(pattern=PAYMENT_ID)
    metadata: dict[str, str] | None = None

    def notice(self) -> Notice | None:
        if self.payment_intent is None:
            return None  # none of ours: every payment of a Checkout Session has an intent
        return Notice(
            payment_id=self.payment_intent,
            purchase_reference=purchase_reference(self.metadata),
            platform_account_id=platform_account_id(self.metadata),
        )


class _NoticedCharge(_NoticedPayment):
    object: Literal["charge"] = "charge"


class _NoticedRefund(_NoticedPayment):
    object: Literal["refund"] = "refund"


class _NoticedDispute(_NoticedPayment):
    object: Literal["dispute"] = "dispute"


_OBJECTS: Mapping[str, type[_NoticedSession | _NoticedPayment]] = {
    "checkout.session.completed": _NoticedSession,
    "checkout.session.async_payment_succeeded": _NoticedSession,
    "checkout.session.async_payment_failed": _NoticedSession,
    "checkout.session.expired": _NoticedSession,
    "charge.refunded": _NoticedCharge,
    "charge.refund.updated": _NoticedRefund,
    "refund.created": _NoticedRefund,
    "refund.updated": _NoticedRefund,
    "refund.failed": _NoticedRefund,
    "charge.dispute.created": _NoticedDispute,
    "charge.dispute.updated": _NoticedDispute,
    "charge.dispute.closed": _NoticedDispute,
    "charge.dispute.funds_withdrawn": _NoticedDispute,
    "charge.dispute.funds_reinstated": _NoticedDispute,
}


def _read(shape: type[_T], body: Mapping[str, Any], place: str) -> _T:
    try:
        return shape.model_validate(body)
    except ValidationError as wrong:
        error = wrong.errors(include_url=False, include_context=False, include_input=False)[0]
        where = "/".join(str(part) for part in (place, *error["loc"]))
        raise MalformedMessage(f"{where}: {error['msg']}") from wrong
