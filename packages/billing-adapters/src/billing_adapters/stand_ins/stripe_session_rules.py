"""What Stripe asks of a new Checkout Session beyond the schema of its parameters.

This Stripe sells at its hosted page, once, at prices told in the call; it says so where asked for more.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from billing_adapters.stand_ins.stripe_answers import Refusal
from billing_adapters.stand_ins.stripe_params import check_params, required, session_schema

MIN_LIFETIME_S, MAX_LIFETIME_S = 30 * 60, 24 * 60 * 60
# docs.stripe.com/currencies: a floor per currency, one ceiling of eight digits.
MIN_AMOUNT_MINOR, MAX_AMOUNT_MINOR = {"usd": 50}, 99_999_999
MAX_METADATA_KEYS, MAX_METADATA_NAME, MAX_METADATA_VALUE = 50, 40, 500
MAX_REFERENCE_LENGTH = 200


def check_new_session(params: Mapping[str, Any], now_s: int) -> None:
    """This will raise a Refusal where Stripe would make no session of these at the moment `now_s`, Unix seconds."""
    check_params(params, session_schema())
    _check_mode(params)
    for number, item in enumerate(params["line_items"]):
        _check_item(item, f"line_items[{number}]")
    _check_amount(params)
    _check_texts(params)
    _check_metadata(params.get("metadata", {}), "metadata")
    payment = params.get("payment_intent_data", {})
    _check_metadata(payment.get("metadata", {}), "payment_intent_data[metadata]")
    _check_expiry(params.get("expires_at", now_s + MAX_LIFETIME_S) - now_s)


def total_minor(params: Mapping[str, Any]) -> int:
    """What the line items of a new session come to, in minor units."""
    return sum(item["price_data"]["unit_amount"] * item["quantity"] for item in params["line_items"])


def currency_of(params: Mapping[str, Any]) -> str:
    """The currency of a new session, in the lower case Stripe answers in."""
    currency: str = params["line_items"][0]["price_data"]["currency"]
    return currency.lower()


def _check_mode(params: Mapping[str, Any]) -> None:
    for name in ("mode", "line_items", "success_url"):
        if not params.get(name):
            raise required(name)
    for name, known in (("mode", "payment"), ("ui_mode", "hosted_page")):
        if params.get(name, known) != known:
            raise Refusal(f"This stand-in knows the {name} `{known}` only.", param=name)


def _check_item(item: Mapping[str, Any], param: str) -> None:
    price = item.get("price_data", {})
    for name in ("currency", "product_data", "unit_amount"):
        if name not in price:
            raise required(f"{param}[price_data][{name}]")
    if "quantity" not in item:
        raise required(f"{param}[quantity]")
    if price["unit_amount"] < 0:
        raise Refusal("Invalid non-negative integer", param=f"{param}[price_data][unit_amount]")
    if item["quantity"] < 1:
        raise Refusal("This value must be greater than or equal to 1.", param=f"{param}[quantity]")
    currency = price["currency"]
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
        raise Refusal(f"Invalid currency: {currency}", param=f"{param}[price_data][currency]")


def _check_amount(params: Mapping[str, Any]) -> None:
    currency, amount_minor = currency_of(params), total_minor(params)
    if any(item["price_data"]["currency"].lower() != currency for item in params["line_items"]):
        raise Refusal("All line items must have the same currency.", param="line_items")
    if amount_minor < MIN_AMOUNT_MINOR.get(currency, 1):
        raise Refusal("The total amount due is too small.", code="amount_too_small", param="line_items")
    if amount_minor > MAX_AMOUNT_MINOR:
        raise Refusal("The total amount due is too large.", code="amount_too_large", param="line_items")


def _check_texts(params: Mapping[str, Any]) -> None:
    for name in ("success_url", "cancel_url"):
        if name in params and not _is_url(params[name]):
            raise Refusal("Not a valid URL", code="url_invalid", param=name)
    if len(params.get("client_reference_id", "")) > MAX_REFERENCE_LENGTH:
        raise Refusal(f"Can be up to {MAX_REFERENCE_LENGTH} characters.", param="client_reference_id")


def _is_url(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _check_metadata(metadata: Mapping[str, str], param: str) -> None:
    if len(metadata) > MAX_METADATA_KEYS:
        raise Refusal(f"You can specify up to {MAX_METADATA_KEYS} keys of metadata.", param=param)
    for name, value in metadata.items():
        if len(name) > MAX_METADATA_NAME:
            raise Refusal(f"Metadata keys can be up to {MAX_METADATA_NAME} characters long.", param=param)
        if len(value) > MAX_METADATA_VALUE:
            raise Refusal(f"Metadata values can be up to {MAX_METADATA_VALUE} characters.", param=f"{param}[{name}]")


def _check_expiry(lifetime_s: int) -> None:
    if lifetime_s < MIN_LIFETIME_S:
        raise Refusal("The `expires_at` timestamp must be at least 30 minutes from now.", param="expires_at")
    if lifetime_s > MAX_LIFETIME_S:
        raise Refusal("The `expires_at` timestamp must be less than 24 hours from now.", param="expires_at")
