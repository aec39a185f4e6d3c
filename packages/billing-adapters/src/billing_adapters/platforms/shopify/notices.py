"""Shopify's webhook body of `app_purchases_one_time/update`."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from billing_adapters.platforms.shopify.charges import PAYMENT_STATUSES, reference_in
from billing_adapters.platforms.shopify.shapes import CHARGE_GID, SHOP_GID, Instant, Shape
from billing_core.domain.payments import PaymentStatus
from billing_core.errors import MalformedMessage
from billing_core.ports.platforms import Notice


def read_charge_notice(payload: Mapping[str, Any]) -> Notice | None:
    """This will read the body; None while the charge waits for the merchant, which is no news. Raises MalformedMessage.

    The body tells neither price nor test flag, and anyone could have written it: it only points at the charge.
    """
    told = _read(payload)
    status = PAYMENT_STATUSES.get(told.status.upper())
    if status is None:
        raise MalformedMessage("payload/app_purchase_one_time/status: Shopify has no such status")
    if status is PaymentStatus.PENDING:
        return None
    return Notice(
        platform_reference=told.admin_graphql_api_id,
        purchase_reference=reference_in(told.name),
        platform_account_id=told.admin_graphql_api_shop_id,
    )


class _Told(Shape):
    admin_graphql_api_id: str = Field(pattern=CHARGE_GID)
    admin_graphql_api_shop_id: str = Field(pattern=SHOP_GID)
    name: str
    status: str
    created_at: Instant
    updated_at: Instant


class _Body(Shape):
    app_purchase_one_time: _Told


def _read(payload: Mapping[str, Any]) -> _Told:
    try:
        return _Body.model_validate(payload).app_purchase_one_time
    except ValidationError as wrong:
        error = wrong.errors(include_url=False, include_context=False, include_input=False)[0]
        place = "/".join(str(part) for part in ("payload", *error["loc"]))
        raise MalformedMessage(f"{place}: {error['msg']}") from wrong
