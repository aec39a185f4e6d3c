"""What one Shopify knows about its shops' charges and the partner's transactions."""

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal

from billing_core.domain.money import Money
from billing_core.ports.clock import Clock

Status = Literal["PENDING", "ACTIVE", "DECLINED", "EXPIRED"]
RefundKind = Literal["APP_SALE_ADJUSTMENT", "APP_SALE_CREDIT"]
TransactionKind = Literal["APP_ONE_TIME_SALE"] | RefundKind
TYPES: Mapping[TransactionKind, str] = {
    "APP_ONE_TIME_SALE": "AppOneTimeSale",
    "APP_SALE_ADJUSTMENT": "AppSaleAdjustment",
    "APP_SALE_CREDIT": "AppSaleCredit",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A shop that installed the app."""

    gid: str  # gid://shopify/Shop/1
    domain: str  # shop-1.myshopify.com

    @property
    def number(self) -> str:
        """The number that ends the gid."""
        return self.gid.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A one-time charge. `PENDING` becomes one of the others, once and for ever."""

    gid: str
    shop: str  # the gid of the shop
    name: str
    amount: str  # as Shopify writes decimals: "9.99", "10.0"
    currency: str
    status: Status
    test: bool
    created_at: datetime
    updated_at: datetime
    return_url: str
    confirmation_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A line of the partner's earnings. Money given back is negative, as it is taken from the payout."""

    gid: str
    kind: TransactionKind
    charge: Charge
    amount: Decimal  # what the merchant paid, without taxes
    created_at: datetime


class ShopifyBooks:
    """Shops, charges and transactions, in the order they came to be."""

    def __init__(self, clock: Clock) -> None:
        self.shops: dict[str, Shop] = {}
        self._charges: dict[str, Charge] = {}
        self._transactions: list[Transaction] = []
        self._clock = clock
        # A stand-in that is started again must not give out a number twice: who asks may remember.
        self._numbers = itertools.count(time.time_ns() // 1_000)

    @property
    def charges(self) -> Mapping[str, Charge]:
        """Every charge by its gid, oldest first."""
        return MappingProxyType(self._charges)

    @property
    def transactions(self) -> Sequence[Transaction]:
        """Every transaction, oldest first."""
        return tuple(self._transactions)

    def shop(self, gid: str, domain: str | None = None) -> Shop:
        """This will give the shop of this gid, noting it down with its domain where it is new."""
        known = self.shops.get(gid)
        if known is None or (domain and domain != known.domain):
            known = Shop(gid=gid, domain=domain or f"shop-{gid.rsplit('/', 1)[-1]}.myshopify.com")
            self.shops[gid] = known
        return known

    def charge(self, shop: Shop, *, name: str, amount: Decimal, currency: str, return_url: str, test: bool) -> Charge:
        """This will make a charge that waits for the merchant."""
        number, now = next(self._numbers), self._clock.now()
        made = Charge(
            gid=f"gid://shopify/AppPurchaseOneTime/{number}",
            shop=shop.gid,
            name=name,
            amount=decimal_text(amount),
            currency=currency,
            status="PENDING",
            test=test,
            created_at=now,
            updated_at=now,
            return_url=return_url,
            confirmation_url=f"https://{shop.domain}/admin/charges/1/{number}/ApplicationCharge/confirm",
        )
        self._charges[made.gid] = made
        return made

    def settle(self, gid: str, status: Status) -> None:
        """This will end a pending charge. Raises KeyError for an unknown one, ValueError where it has ended before."""
        charge = self._charges[gid]
        if charge.status != "PENDING":
            raise ValueError(f"{gid} is {charge.status}, which is final")
        self._charges[gid] = replace(charge, status=status, updated_at=self._clock.now())
        if status == "ACTIVE" and not charge.test:
            self._enter("APP_ONE_TIME_SALE", charge, Decimal(charge.amount))

    def refund(self, gid: str, amount_minor: int, kind: RefundKind) -> None:
        """This will give money back, which the charge itself never tells. Raises KeyError, ValueError if unpaid."""
        charge = self._charges[gid]
        if charge.status != "ACTIVE":
            raise ValueError(f"{gid} is {charge.status}: nothing was paid")
        self._enter(kind, charge, -Decimal(Money(amount_minor=amount_minor, currency=charge.currency).amount))

    def notice(self, gid: str) -> dict[str, Any]:
        """The body of `app_purchases_one_time/update` as the charge stands. Raises KeyError for an unknown one."""
        charge = self._charges[gid]
        return {
            "app_purchase_one_time": {
                "admin_graphql_api_id": charge.gid,
                "name": charge.name,
                "status": charge.status,
                "admin_graphql_api_shop_id": charge.shop,
                "created_at": time_text(charge.created_at),
                "updated_at": time_text(charge.updated_at),
            }
        }

    def _enter(self, kind: TransactionKind, charge: Charge, amount: Decimal) -> None:
        gid = f"gid://partners/{TYPES[kind]}/{next(self._numbers)}"
        self._transactions.append(
            Transaction(gid=gid, kind=kind, charge=charge, amount=amount, created_at=self._clock.now())
        )


def decimal_text(amount: Decimal) -> str:
    """A decimal as Shopify writes it: plain, with at least one and no needless decimals."""
    plain = f"{amount.normalize():f}"
    return plain if "." in plain else f"{plain}.0"


def time_text(moment: datetime) -> str:
    """A time as Shopify writes it: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
