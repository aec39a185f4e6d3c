"""The Partner API's answers: the organization's transactions, newest first."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from graphql import GraphQLError, GraphQLResolveInfo

from billing_adapters.stand_ins.shopify_books import TYPES, ShopifyBooks, Transaction, decimal_text
from billing_adapters.stand_ins.shopify_pages import Node, page_of

APP_GID = "gid://partners/App/1"
LARGEST_PAGE = 100
# What lies between the merchant's money (gross) and the payout (net): who takes one for the other is found out.
SHOPIFYS_SHARE = Decimal("0.15")


class PartnerRoot:
    """The root fields of the Partner API."""

    def __init__(self, books: ShopifyBooks) -> None:
        self._books = books

    def fields(self) -> Mapping[str, Any]:
        """Every root field of the schema with what resolves it."""
        return {
            "transactions": self._transactions,
            "transaction": lambda info, id: self._nodes().get(id),  # noqa: A006 - the schema's word
            "app": _not_played,
            "appCreditCreate": _not_played,
        }

    def _transactions(self, info: GraphQLResolveInfo, **asked: Any) -> Node:
        page = {name: asked.pop(name, None) for name in ("first", "after", "last", "before")}
        found = [self._node(entry) for entry in reversed(self._books.transactions) if self._is_asked(entry, asked)]
        return page_of(found, largest=LARGEST_PAGE, **page)

    def _is_asked(self, entry: Transaction, asked: Mapping[str, Any]) -> bool:
        shop = self._books.shops[entry.charge.shop]
        made_at, earliest, latest = entry.created_at, asked.get("createdAtMin"), asked.get("createdAtMax")
        return (
            asked.get("appId") in (None, APP_GID)
            and asked.get("shopId") in (None, _partner_shop_gid(shop.number))
            and asked.get("myshopifyDomain") in (None, shop.domain)
            and (asked.get("types") is None or entry.kind in asked["types"])
            and (earliest is None or made_at >= _time(earliest))
            and (latest is None or made_at <= _time(latest))
        )

    def _nodes(self) -> Mapping[str, Node]:
        return {entry.gid: self._node(entry) for entry in self._books.transactions}

    def _node(self, entry: Transaction) -> Node:
        shop = self._books.shops[entry.charge.shop]
        fee = (abs(entry.amount) * SHOPIFYS_SHARE).quantize(Decimal("0.01")).copy_sign(entry.amount)
        return {
            "__typename": TYPES[entry.kind],
            "id": entry.gid,
            "app": {"id": APP_GID, "name": "Sample app", "events": _not_played},
            "chargeId": entry.charge.gid,
            "createdAt": entry.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "grossAmount": _money(entry, entry.amount),
            "netAmount": _money(entry, entry.amount - fee),
            "shopifyFee": _money(entry, fee),
            "shop": {
                "id": _partner_shop_gid(shop.number),
                "name": shop.domain.removesuffix(".myshopify.com"),
                "myshopifyDomain": shop.domain,
                "avatarUrl": None,
            },
        }


def _money(entry: Transaction, amount: Decimal) -> Node:
    return {"amount": decimal_text(amount), "currencyCode": entry.charge.currency}


def _partner_shop_gid(number: str) -> str:
    """The Partner API has its own gids; only the number at the end is the shop's."""
    return f"gid://partners/Shop/{number}"


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise GraphQLError(f"{text!r} is not an ISO 8601 time") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _not_played(info: GraphQLResolveInfo, **asked: Any) -> None:
    raise GraphQLError(f"the stand-in does not play {info.parent_type.name}.{info.field_name}")
