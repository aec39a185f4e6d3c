"""The Admin API's answers: what each root field of the vendor's schema gives one shop."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from graphql import GraphQLResolveInfo

from billing_adapters.stand_ins.shopify_books import Charge, Shop, ShopifyBooks, time_text
from billing_adapters.stand_ins.shopify_pages import Node, page_of

LARGEST_PAGE = 250
LOWEST_PRICE = Decimal("0.50")


class AdminRoot:
    """The root fields of the Admin API for the shop whose token asks."""

    def __init__(self, books: ShopifyBooks, shop: Shop, *, without_url: bool = False) -> None:
        self._books, self._shop, self._without_url = books, shop, without_url
        self._installation_gid = f"gid://shopify/AppInstallation/{shop.number}"

    def fields(self) -> Mapping[str, Any]:
        """Every root field of the schema with what resolves it."""
        return {
            "appPurchaseOneTimeCreate": self._create,
            "node": lambda info, id: self._node(id),  # noqa: A006 - the schema's word
            "nodes": lambda info, ids: [self._node(each) for each in ids],
            "currentAppInstallation": lambda info: self._installation(),
            "appInstallation": lambda info, **asked: self._installation_of(asked.get("id")),
            "shop": lambda info: self._shop_node(),
            "shopBillingPreferences": {"currency": "USD"},
        }

    def _create(self, info: GraphQLResolveInfo, **asked: Any) -> Node:
        if refusal := _refusal(asked["price"]["amount"], asked["returnUrl"]):
            return {"appPurchaseOneTime": None, "confirmationUrl": None, "userErrors": [refusal]}
        charge = self._books.charge(
            self._shop,
            name=asked["name"],
            amount=asked["price"]["amount"],
            currency=asked["price"]["currencyCode"],
            return_url=asked["returnUrl"],
            test=bool(asked["test"]),
        )
        url = None if self._without_url else charge.confirmation_url
        return {"appPurchaseOneTime": _charge_node(charge), "confirmationUrl": url, "userErrors": []}

    def _node(self, gid: str) -> Node | None:
        charge = self._books.charges.get(gid)
        if charge is not None and charge.shop == self._shop.gid:
            return _charge_node(charge)
        if gid == self._shop.gid:
            return self._shop_node()
        return self._installation() if gid == self._installation_gid else None

    def _installation_of(self, gid: str | None) -> Node | None:
        return self._installation() if gid in (None, self._installation_gid) else None

    def _installation(self) -> Node:
        domain = self._shop.domain
        return {
            "__typename": "AppInstallation",
            "id": self._installation_gid,
            "accessScopes": [],
            "credits": lambda info, **asked: _connection([], **asked),
            "launchUrl": f"https://{domain}/admin/apps/1",
            "oneTimePurchases": lambda info, **asked: _connection(self._own_charges(), **asked),
            "uninstallUrl": None,
        }

    def _own_charges(self) -> list[Charge]:
        return [charge for charge in self._books.charges.values() if charge.shop == self._shop.gid]

    def _shop_node(self) -> Node:
        return {
            "__typename": "Shop",
            "id": self._shop.gid,
            "name": self._shop.domain.removesuffix(".myshopify.com"),
            "myshopifyDomain": self._shop.domain,
            "currencyCode": "USD",
            "plan": {"partnerDevelopment": True, "publicDisplayName": "Development", "shopifyPlus": False},
        }


def _refusal(amount: Decimal, return_url: str) -> Node | None:
    """Why Shopify would not make the charge, as a `UserError`; None where it would."""
    if amount < LOWEST_PRICE:
        return {"field": None, "message": "Validation failed: Price must be greater than or equal to 0.5"}
    if not _is_address(return_url):
        return {"field": ["returnUrl"], "message": "Validation failed: Return url is invalid"}
    return None


def _is_address(url: str) -> bool:
    try:
        address = urlsplit(url)
    except ValueError:
        return False
    return address.scheme in ("http", "https") and bool(address.hostname)


def _connection(charges: list[Charge], *, sortKey: str, reverse: bool, **asked: Any) -> Node:  # noqa: N803
    key = _by_creation if sortKey == "CREATED_AT" else _by_number
    ordered = sorted(charges, key=key, reverse=reverse)
    return page_of([_charge_node(charge) for charge in ordered], largest=LARGEST_PAGE, **asked)


def _by_number(charge: Charge) -> tuple[float, int]:
    return 0.0, int(charge.gid.rsplit("/", 1)[-1])


def _by_creation(charge: Charge) -> tuple[float, int]:
    return charge.created_at.timestamp(), _by_number(charge)[1]


def _charge_node(charge: Charge) -> Node:
    return {
        "__typename": "AppPurchaseOneTime",
        "id": charge.gid,
        "name": charge.name,
        "price": {"amount": charge.amount, "currencyCode": charge.currency},
        "status": charge.status,
        "test": charge.test,
        "createdAt": time_text(charge.created_at),
    }
