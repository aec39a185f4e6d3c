"""Refunds of Shopify charges: its Partner API is the only place that tells of them.

How the vendor's schema is read:
- `AppSaleAdjustment` is "a refund, downgrade, or adjustment of an app charge", `AppSaleCredit` an app credit; both name
  the `chargeId` they are about, an Admin API id. Those of other kinds of charge (subscriptions, usage) are passed over.
- `netAmount` is "the net amount that is added to or deducted from your payout": its sign tells the direction, below
  zero is money given back. `grossAmount` is "the total amount that the merchant paid, excluding taxes": without its
  sign it is what the merchant got back of the price, before Shopify's fee.
- What was given back of a charge is the sum over all of its transactions, in the currency's minor units, never below 0.
- Shopify calls its transactions "for analytics purposes only": what they tell moves credits, never money, and stands in
  the purchase's history like everything else.
- Ids of shops carry the same number here (`gid://partners/Shop/1`) and in the Admin API (`gid://shopify/Shop/1`).
"""

import re
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import httpx2
from aiolimiter import AsyncLimiter
from pydantic import Field

from billing_adapters.logs import get_logger
from billing_adapters.platforms.shopify.answers import TOKEN_HEADER, read_answer
from billing_adapters.platforms.shopify.documents import LIST_REFUNDS
from billing_adapters.platforms.shopify.shapes import CHARGE_GID, NAME, Amount, Shape, shaped
from billing_adapters.platforms.shopify.throttles import Throttles
from billing_adapters.platforms.shopify.wire import Wire
from billing_core.domain.money import Money
from billing_core.errors import PlatformProtocolError, PlatformThrottled
from billing_core.ports.platforms import Refund

PAGE_SIZE = 100
MAX_PAGES = 100
# Half of the four requests a second that each client of the Partner API may make.
REQUESTS_PER_SECOND = 2.0
_THROTTLE_KEY = "partner"


class ShopifyRefunds:
    """The `RefundSource` of Shopify. `endpoint` is the organization's GraphQL address, `app_id` narrows to one app."""

    def __init__(
        self,
        wire: Wire,
        *,
        endpoint: str,
        token: str,
        app_id: str | None,
        throttles: Throttles,
        requests_per_second: float = REQUESTS_PER_SECOND,
    ) -> None:
        self._wire, self._endpoint, self._token, self._app_id = wire, endpoint, token, app_id
        self._throttles, self._pace = throttles, AsyncLimiter(requests_per_second, 1)

    @property
    def platform(self) -> str:
        """`shopify`."""
        return NAME

    async def refunds(self, since: datetime) -> Sequence[Refund]:
        """This will give each one-time charge with an adjustment or credit since then, with all that was ever given
        back of it. Raises PlatformError."""
        changed: dict[str, set[str]] = defaultdict(set)
        moment = since.astimezone(UTC).isoformat().replace("+00:00", "Z")
        async with aclosing(self._transactions(createdAtMin=moment)) as transactions:
            async for each in transactions:
                if each.is_told_whole():
                    changed[each.shop_gid].add(each.charge_gid)
        refunds: list[Refund] = []
        for shop_gid, charge_gids in sorted(changed.items()):
            refunds += await self._of_shop(shop_gid, charge_gids)
        return tuple(refunds)

    async def _of_shop(self, shop_gid: str, charge_gids: Iterable[str]) -> list[Refund]:
        found: dict[str, list[_Transaction]] = defaultdict(list)
        async with aclosing(self._transactions(shopId=shop_gid)) as transactions:
            async for each in transactions:
                if each.charge_id is not None:
                    found[each.charge_id].append(each)
        return [
            Refund(
                platform_reference=charge_gid,
                platform_account_id=shop_gid.replace("gid://partners/", "gid://shopify/", 1),
                refunded=refunded,
            )
            for charge_gid in sorted(charge_gids)
            if (refunded := _refunded(charge_gid, found[charge_gid])) is not None
        ]

    async def _transactions(self, **narrowing: str) -> AsyncGenerator["_Transaction", None]:
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await self._page(narrowing | ({"after": cursor} if cursor else {}))
            for edge in page.edges:
                yield edge.node
            cursor = page.next_cursor
            if cursor is None:
                return
        raise PlatformProtocolError(NAME, "its Partner API lists more transactions than can be read")

    async def _page(self, narrowing: dict[str, str]) -> "_Page":
        self._throttles.check(_THROTTLE_KEY)
        variables: dict[str, Any] = {"first": PAGE_SIZE, **narrowing}
        if self._app_id is not None:
            variables["appId"] = self._app_id
        headers = {TOKEN_HEADER: self._token, "Accept": "application/json"}
        body = {"query": LIST_REFUNDS, "variables": variables}
        request = httpx2.Request("POST", self._endpoint, json=body, headers=headers)
        async with self._pace:
            response = await self._wire.send(request, repeatable=True)
        try:
            return shaped(_Answer, read_answer(response)).page
        except PlatformThrottled as throttled:
            self._throttles.remember(_THROTTLE_KEY, throttled)
            raise


class _Shop(Shape):
    id: str = Field(pattern=r"^gid://partners/Shop/[0-9]{1,20}\Z")


class _Transaction(Shape):
    id: str
    charge_id: str | None = Field(alias="chargeId")
    gross: Amount | None = Field(alias="grossAmount")
    net: Amount = Field(alias="netAmount")
    shop: _Shop | None

    @property
    def shop_gid(self) -> str:
        """The shop's id, of a transaction that is told whole."""
        return self.shop.id if self.shop else ""

    @property
    def charge_gid(self) -> str:
        """The charge's id, of a transaction that is told whole."""
        return self.charge_id or ""

    def is_told_whole(self) -> bool:
        """Whether it is about a one-time charge of a shop that is told; one without a shop is told in the log."""
        if not re.fullmatch(CHARGE_GID, self.charge_gid):
            return False
        if self.shop is None:
            get_logger(NAME).warning("shopify.refund_without_shop", charge=self.charge_gid, transaction=self.id)
        return self.shop is not None

    def given_back(self, gross: Amount) -> int:
        """How much of the price the merchant got back with it, in minor units; below zero where it was taken again."""
        amount_minor = gross.magnitude().amount_minor
        return amount_minor if self.net.is_negative else -amount_minor


class _Edge(Shape):
    cursor: str
    node: _Transaction


class _PageInfo(Shape):
    has_next_page: bool = Field(alias="hasNextPage")


class _Page(Shape):
    edges: list[_Edge]
    page_info: _PageInfo = Field(alias="pageInfo")

    @property
    def next_cursor(self) -> str | None:
        """Where the next page begins; None after the last."""
        if not self.page_info.has_next_page:
            return None
        if not self.edges or not self.edges[-1].cursor:
            raise PlatformProtocolError(NAME, "it told of a next page, but not where it begins")
        return self.edges[-1].cursor


class _Answer(Shape):
    page: _Page = Field(alias="transactions")


def _refunded(charge_gid: str, transactions: Sequence[_Transaction]) -> Money | None:
    """What was given back of the charge; None where that cannot be told, which stands in the log for a person."""
    amounts = [each.gross for each in transactions if each.gross is not None]
    if len(amounts) != len(transactions) or len({amount.currency for amount in amounts}) != 1:
        get_logger(NAME).warning("shopify.refund_unclear", charge=charge_gid, transactions=len(transactions))
        return None
    given_back = sum(each.given_back(gross) for each, gross in zip(transactions, amounts, strict=True))
    return Money(amount_minor=max(given_back, 0), currency=amounts[0].currency)
