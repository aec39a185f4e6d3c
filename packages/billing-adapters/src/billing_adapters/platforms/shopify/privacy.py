"""Shopify's mandatory compliance webhooks (shopify.dev/docs/apps/build/compliance/privacy-law-compliance)."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field, ValidationError

from billing_adapters.platforms.shopify.shapes import Shape
from billing_core.errors import MalformedMessage
from billing_core.ports.platforms import PrivacyTopic

PRIVACY_TOPICS: Final[Mapping[str, PrivacyTopic]] = {
    "customers/data_request": PrivacyTopic.CUSTOMER_DATA,
    "customers/redact": PrivacyTopic.CUSTOMER_REDACTION,
    "shop/redact": PrivacyTopic.SHOP_REDACTION,
}
# All that any of them tells of a shop. What they tell of its customers is never read.
SHOP_FIELDS: Final = ("shop_id", "shop_domain")


class _Body(Shape):
    shop_id: int = Field(ge=1, lt=10**20)


def read_shop(payload: Mapping[str, Any]) -> str:
    """This will read the gid of the shop a webhook is about. Raises MalformedMessage."""
    try:
        return f"gid://shopify/Shop/{_Body.model_validate(payload).shop_id}"
    except ValidationError as wrong:
        raise MalformedMessage("payload/shop_id: Shopify names the shop by a number") from wrong
