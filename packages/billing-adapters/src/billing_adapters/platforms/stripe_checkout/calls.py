"""The calls to Stripe's API: each by the official library, each answer read strictly, each failure a PlatformError."""

from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import TypeVar

import stripe
from stripe.params.checkout import SessionCreateParams, SessionListParamsCreated

from billing_adapters.platforms.stripe_checkout.failures import is_missing, is_replay, is_saved_failure, platform_errors
from billing_adapters.platforms.stripe_checkout.marks import NAME
from billing_adapters.platforms.stripe_checkout.reports import Charge, Dispute, NewSession, PaymentIntent, Session, Told
from billing_core.errors import PlatformAuthError, PlatformUnavailable

_LARGEST_PAGE = 100  # Stripe's own limit
MAX_PAGES = 100

_T = TypeVar("_T", bound=Told)
_Answer = TypeVar("_Answer")


class StripeCalls:
    """What Billing asks of Stripe. Every method may raise any PlatformError but PlatformRejected, which is
    `create_session`'s alone."""

    def __init__(self, client: stripe.StripeClient | None) -> None:
        """This will call through the client; without one (there is no key) every call is a PlatformAuthError."""
        self._client = client

    async def create_session(self, params: SessionCreateParams, keys: Sequence[str]) -> NewSession:
        """This will make a session, or give the one that was made under the first of the idempotency keys whose saved
        answer is of use: neither a 5xx nor a session without a page."""
        *earlier, last = keys
        with platform_errors("create", creating=True):
            for key in earlier:
                try:
                    answer = await self._sessions.create_async(params, {"idempotency_key": key})
                except stripe.APIError as failure:
                    if not is_saved_failure(failure):
                        raise
                    continue
                session = _read(NewSession, answer)
                if session.url is not None or not is_replay(answer.last_response):
                    return session
            return _read(NewSession, await self._sessions.create_async(params, {"idempotency_key": last}))

    async def session(self, session_id: str) -> Session | None:
        """The session with its payment, as far as Stripe expands it; None where there is none of that id."""
        with platform_errors("look_up"):
            asked = self._sessions.retrieve_async(session_id, {"expand": ["payment_intent.latest_charge"]})
            answer = await _unless_missing(asked)
            return None if answer is None else _read(Session, answer)

    async def payment_intent(self, payment_id: str) -> PaymentIntent | None:
        """The payment with its charge, as far as Stripe expands it; None where there is none of that id."""
        with platform_errors("payment_intent"):
            asked = self._v1.payment_intents.retrieve_async(payment_id, {"expand": ["latest_charge"]})
            answer = await _unless_missing(asked)
            return None if answer is None else _read(PaymentIntent, answer)

    async def charge(self, charge_id: str) -> Charge | None:
        """The charge; None where there is none of that id."""
        with platform_errors("charge"):
            answer = await _unless_missing(self._v1.charges.retrieve_async(charge_id))
            return None if answer is None else _read(Charge, answer)

    async def disputes(self, payment_id: str) -> Sequence[Dispute]:
        """The disputes about a payment; there are never more of them than a page holds."""
        with platform_errors("disputes"):
            page = await self._v1.disputes.list_async({"payment_intent": payment_id, "limit": _LARGEST_PAGE})
            return [_read(Dispute, each) for each in page.data]

    async def sessions_paid_by(self, payment_id: str) -> Sequence[Session]:
        """The session a payment was made at: one, or none."""
        with platform_errors("trace"):
            page = await _unless_missing(self._sessions.list_async({"payment_intent": payment_id}))
            return [] if page is None else [_read(Session, each) for each in page.data]

    async def sessions_for(self, client_reference_id: str, first: datetime, last: datetime) -> Sequence[Session]:
        """The sessions of that reference which were made between two moments; Stripe has no filter by reference."""
        created: SessionListParamsCreated = {"gte": int(first.timestamp()), "lte": int(last.timestamp())}
        found: list[Session] = []
        with platform_errors("find"):
            page = await self._sessions.list_async({"created": created, "limit": _LARGEST_PAGE})
            for _ in range(MAX_PAGES):
                ours = (each for each in page.data if getattr(each, "client_reference_id", None) == client_reference_id)
                found += [_read(Session, each) for each in ours]
                if not page.has_more:
                    return found
                page = await page.next_page_async()
        raise PlatformUnavailable(NAME, "it has too many sessions to find one among them")

    async def expire(self, session_id: str) -> bool:
        """This will end an open session; False where Stripe refuses, mostly as it is not open."""
        with platform_errors("expire"):
            try:
                await self._sessions.expire_async(session_id)
            except stripe.InvalidRequestError:
                return False
            return True

    @property
    def _v1(self) -> stripe.V1Services:
        if self._client is None:
            raise PlatformAuthError(NAME, "BILLING_STRIPE_SECRET_KEY is not set")
        return self._client.v1

    @property
    def _sessions(self) -> stripe.checkout.SessionService:
        return self._v1.checkout.sessions


async def _unless_missing(answer: Awaitable[_Answer]) -> _Answer | None:
    """The answer; None where Stripe knows nothing of the id asked for."""
    try:
        return await answer
    except stripe.StripeError as failure:
        if is_missing(failure):
            return None
        raise


def _read(shape: type[_T], answer: stripe.StripeObject) -> _T:
    """The answer, where it is what was asked for; a ValueError (pydantic's) or an AttributeError where it is not."""
    return shape.model_validate(answer.to_dict())
