"""Stripe Checkout: a page of Stripe's for each purchase, and the truth about its payment."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from billing_adapters.platforms.stripe_checkout.calls import StripeCalls
from billing_adapters.platforms.stripe_checkout.failures import platform_errors
from billing_adapters.platforms.stripe_checkout.marks import NAME
from billing_adapters.platforms.stripe_checkout.notices import read_notice
from billing_adapters.platforms.stripe_checkout.reports import (
    PAYMENT_ID,
    SESSION_ID,
    Charge,
    Dispute,
    PaymentIntent,
    Session,
    report_of,
)
from billing_adapters.platforms.stripe_checkout.requests import checkout_params, idempotency_keys
from billing_core.domain.payments import PaymentReport
from billing_core.domain.purchases import Purchase
from billing_core.errors import PlatformProtocolError
from billing_core.ports.platforms import Checkout, Notice, PlatformAccount

_CLOCKS_APART = timedelta(minutes=1)


class StripePlatform:
    """The `PaymentPlatform` of one Stripe account, which sells to all merchants; whose payment it is stands in the
    session's metadata."""

    def __init__(self, calls: StripeCalls, *, test_mode: bool, checkout_hosts: frozenset[str]) -> None:
        self._calls, self._test_mode, self._checkout_hosts = calls, test_mode, checkout_hosts

    @property
    def name(self) -> str:
        """`stripe`."""
        return NAME

    @property
    def test_mode(self) -> bool:
        """Whether the secret key is one of Stripe's test mode."""
        return self._test_mode

    @property
    def needs_domain(self) -> bool:
        """False: one address for all."""
        return False

    @property
    def checkout_lifetime(self) -> timedelta:
        """23 hours: Stripe takes a deadline from 30 minutes to 24 hours ahead of its own clock, and a deadline, once
        told, is the same in every retry. The hour is for clocks that differ."""
        return timedelta(hours=23)

    @property
    def expiry_grace(self) -> timedelta:
        """An hour: a payer who confirms at the last second may still be busy with 3-D Secure. What settles later than
        that is not waited for here: a payment under way is reported as processing, and never expires."""
        return timedelta(hours=1)

    # --- what the service asks -------------------------------------------------------------------------------------

    async def create_checkout(self, purchase: Purchase, account: PlatformAccount) -> Checkout:
        """This will make the purchase's session; again gives the same one, as Stripe answered it first."""
        session = await self._calls.create_session(checkout_params(purchase), idempotency_keys(purchase))
        if session.url is None or not self._is_checkout_page(session.url):
            raise PlatformProtocolError(NAME, "it made a checkout without a page where it can be paid")
        return Checkout(platform_reference=session.id, url=session.url)

    async def look_up(self, platform_reference: str, account: PlatformAccount, now: datetime) -> PaymentReport | None:
        """This will ask Stripe about the session, and where there is a payment, about refunds and disputes.

        None where Stripe knows no such session, or Billing did not make it.
        """
        session = await self._session(platform_reference)
        if session is None:
            return None
        payment = await self._payment(session) if session.is_paid or session.status == "complete" else None
        charge = await self._charge(payment) if session.is_paid else None
        disputes = await self._disputes(payment, charge)
        with platform_errors("look_up"):
            return report_of(
                session,
                payment=payment,
                charge=charge,
                disputes=disputes,
                account=account,
                test_mode=self._test_mode,
                observed_at=now,
            )

    async def find_checkout(self, purchase: Purchase, account: PlatformAccount) -> str | None:
        """This will look through the sessions made while the purchase could be; of several the paid one counts."""
        first, last = purchase.created_at - _CLOCKS_APART, purchase.expires_at
        found = await self._calls.sessions_for(str(purchase.purchase_id), first, last)
        return max(found, key=_standing).id if found else None

    async def trace_payment(self, payment_id: str) -> str | None:
        """This will ask which session was paid by the payment intent; None where it was none of ours."""
        if not re.fullmatch(PAYMENT_ID, payment_id):
            return None
        sessions = await self._calls.sessions_paid_by(payment_id)
        return next((session.id for session in sessions if session.is_ours), None)

    async def cancel_checkout(self, platform_reference: str, account: PlatformAccount) -> None:
        """This will end the account's session if it is open; one that is over stays as it is."""
        session = await self._session(platform_reference)
        if session is None or session.platform_account_id != account.platform_account_id or session.status != "open":
            return
        if await self._calls.expire(platform_reference):
            return
        after = await self._session(platform_reference)  # it may have been paid in between, which is no error
        if after is not None and after.status == "open":
            raise PlatformProtocolError(NAME, "it refuses to end an open checkout")

    def read_notice(self, payload: Mapping[str, Any]) -> Notice | None:
        """This will read the body of a Stripe event; None for events about anything else than our payments."""
        return read_notice(payload)

    # --- how ---------------------------------------------------------------------------------------------------------

    def _is_checkout_page(self, url: str) -> bool:
        """Whether a merchant may be sent there: https, and exactly a host Stripe serves checkouts from."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return False
        return parts.scheme == "https" and parts.netloc in self._checkout_hosts

    async def _session(self, platform_reference: str) -> Session | None:
        if not re.fullmatch(SESSION_ID, platform_reference):
            return None
        session = await self._calls.session(platform_reference)
        return session if session is not None and session.is_ours else None

    async def _payment(self, session: Session) -> PaymentIntent | None:
        """The payment of a complete session: expanded, or asked for; None where nothing had to be paid."""
        if isinstance(session.payment_intent, str):
            return await self._calls.payment_intent(session.payment_intent)
        return session.payment_intent

    async def _charge(self, payment: PaymentIntent | None) -> Charge | None:
        charge = payment.latest_charge if payment is not None else None
        return await self._calls.charge(charge) if isinstance(charge, str) else charge

    async def _disputes(self, payment: PaymentIntent | None, charge: Charge | None) -> Sequence[Dispute]:
        if payment is None or charge is None or not charge.disputed:
            return ()
        return await self._calls.disputes(payment.id)


def _standing(session: Session) -> tuple[bool, bool, bool]:
    """How much a session counts among those of one purchase: paid most, then under way, then still open."""
    return session.is_paid, session.status == "complete", session.status == "open"
