"""What Shopify's ids, times and objects look like; anything else is refused where it enters."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from billing_adapters.logs import get_logger
from billing_core.domain.money import Money
from billing_core.errors import PlatformProtocolError

NAME = "shopify"
CHARGE_GID = r"^gid://shopify/AppPurchaseOneTime/[0-9]{1,20}\Z"
SHOP_GID = r"^gid://shopify/Shop/[0-9]{1,20}\Z"


def _instant(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("is an ISO 8601 string")  # noqa: TRY004 - pydantic makes a ValidationError of ValueErrors only
    instant = datetime.fromisoformat(value)
    if instant.tzinfo is None:
        raise ValueError("has a time zone")
    return instant


Instant = Annotated[datetime, BeforeValidator(_instant)]


class Shape(BaseModel):
    """An object of Shopify's: strict about what we read, indifferent to what else is in it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", regex_engine="python-re")


class Amount(Shape):
    """Shopify's `MoneyV2` and `Money`: a decimal string, and an ISO 4217 currency."""

    amount: str
    currency: str = Field(alias="currencyCode")

    @property
    def is_negative(self) -> bool:
        """Whether it is below zero."""
        return self.amount.startswith("-")

    def magnitude(self) -> Money:
        """The amount without its sign. Raises PlatformProtocolError where it is not exact in its currency."""
        try:
            return Money.of(self.amount.removeprefix("-"), self.currency)
        except ValueError as wrong:
            raise PlatformProtocolError(NAME, "it told an amount that is none") from wrong


_Shape = TypeVar("_Shape", bound=Shape)


def shaped(shape: type[_Shape], value: Mapping[str, Any]) -> _Shape:
    """This will read what Shopify answered. Raises PlatformProtocolError where it has another shape."""
    try:
        return shape.model_validate(value)
    except ValidationError as wrong:
        faults = wrong.errors(include_url=False, include_context=False, include_input=False)
        places = ["/".join(str(part) for part in fault["loc"]) for fault in faults[:5]]
        get_logger(NAME).warning("shopify.answer_misshapen", expected=shape.__name__, places=places)
        raise PlatformProtocolError(NAME, "its answer has an unknown shape") from None
