"""Shopify as a `PaymentPlatform`: a one-time charge that the merchant approves on a page of Shopify's."""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any

from billing_adapters.platforms.shopify.admin_api import AdminApi
from billing_adapters.platforms.shopify.charges import (
    Charge,
    CreateAnswer,
    LookUpAnswer,
    SweepAnswer,
    charge_variables,
)
from billing_adapters.platforms.shopify.documents import CREATE_CHARGE, LOOK_UP_CHARGE, SWEEP_CHARGES
from billing_adapters.platforms.shopify.notices import read_charge_notice
from billing_adapters.platforms.shopify.privacy import PRIVACY_TOPICS, read_shop
from billing_adapters.platforms.shopify.shapes import CHARGE_GID, NAME, shaped
from billing_core.domain.payments import PaymentReport
from billing_core.domain.purchases import Purchase
from billing_core.errors import PlatformProtocolError
from billing_core.ports.platforms import Checkout, Notice, PlatformAccount, PrivacyTopic

CLOCK_ALLOWANCE = timedelta(minutes=10)
PAGE_SIZE = 50
MAX_PAGES = 100


class ShopifyPlatform:
    """The `PaymentPlatform` of Shopify. With `test_mode` its charges are never billed."""

    def __init__(self, api: AdminApi, *, test_mode: bool) -> None:
        self._api, self._test_mode = api, test_mode

    @property
    def name(self) -> str:
        """`shopify`."""
        return NAME

    @property
    def test_mode(self) -> bool:
        """Whether it makes test charges."""
        return self._test_mode

    @property
    def needs_domain(self) -> bool:
        """True: each shop's API is at its own domain."""
        return True

    @property
    def checkout_lifetime(self) -> timedelta:
        """Two days: then Shopify gives a charge up that nobody approved."""
        return timedelta(hours=48)

    @property
    def expiry_grace(self) -> timedelta:
        """Two hours, as Shopify does not promise to the minute when it gives up."""
        return timedelta(hours=2)

    async def create_checkout(self, purchase: Purchase, account: PlatformAccount) -> Checkout:
        """This will make a charge and give the page where the merchant approves it; again makes another charge.

        Raises PlatformRejected where Shopify refuses, another PlatformError where a charge may exist.
        """
        data = await self._api.write(CREATE_CHARGE, charge_variables(purchase, test=self._test_mode), account)
        return shaped(CreateAnswer, data).checkout()

    async def look_up(self, platform_reference: str, account: PlatformAccount, now: datetime) -> PaymentReport | None:
        """This will ask how the charge stands; None where the shop has none of that id. Raises PlatformError."""
        if not re.fullmatch(CHARGE_GID, platform_reference):
            return None
        data = await self._api.read(LOOK_UP_CHARGE, {"id": platform_reference}, account)
        charge = shaped(LookUpAnswer, data).node
        if charge is None:
            return None
        if charge.id != platform_reference:
            raise PlatformProtocolError(NAME, "it answered with another charge than the one asked about")
        return charge.report(account, now)

    async def find_checkout(self, purchase: Purchase, account: PlatformAccount) -> str | None:
        """This will search the shop's charges, from the newest back to the purchase's beginning, for the one that
        names the purchase: the paid one where there is one, else the newest. Raises PlatformError."""
        newest: str | None = None
        async with aclosing(self._charges(account, since=purchase.created_at - CLOCK_ALLOWANCE)) as charges:
            async for charge in charges:
                if not charge.is_for(purchase):
                    continue
                if charge.is_paid:
                    return charge.id
                newest = newest or charge.id
        return newest

    async def trace_payment(self, payment_id: str) -> str | None:
        """None: every notice of Shopify's names its charge."""
        return None

    async def cancel_checkout(self, platform_reference: str, account: PlatformAccount) -> None:
        """Nothing happens: Shopify has no way to take back a one-time charge; it ends by itself after two days."""

    def read_notice(self, payload: Mapping[str, Any]) -> Notice | None:
        """This will read a body of `app_purchases_one_time/update`; None while the charge waits for the merchant.
        Raises MalformedMessage."""
        return read_charge_notice(payload)

    @property
    def privacy_topics(self) -> Mapping[str, PrivacyTopic]:
        """Shopify's mandatory compliance webhooks."""
        return PRIVACY_TOPICS

    def read_shop(self, payload: Mapping[str, Any]) -> str:
        """This will read whose shop a compliance webhook is about. Raises MalformedMessage."""
        return read_shop(payload)

    async def _charges(self, account: PlatformAccount, *, since: datetime) -> AsyncGenerator[Charge, None]:
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            data = await self._api.read(SWEEP_CHARGES, {"first": PAGE_SIZE, "after": cursor}, account)
            page = shaped(SweepAnswer, data)
            for charge in page.charges:
                if charge.created_at < since:
                    return
                yield charge
            cursor = page.next_cursor
            if cursor is None:
                return
        raise PlatformProtocolError(NAME, "it lists more charges than can be searched")
