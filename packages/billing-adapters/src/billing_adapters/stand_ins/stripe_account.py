"""One Stripe account: its sessions and payments, and what payers, payees and banks do to them.

Every act refuses with a ValueError what could not happen at Stripe, and with a KeyError a session it does not know.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal, get_args

from billing_adapters.clock import SystemClock
from billing_adapters.stand_ins.stripe_objects import Body, Dispute, DisputeStatus, Payment, Refund, Session
from billing_adapters.stand_ins.stripe_session_rules import MAX_LIFETIME_S, currency_of, total_minor
from billing_core.ports.clock import Clock

API_VERSION = "2026-10-28.endive"


class StripeAccount:
    """What Stripe knows of one account. Its clock decides when a session that nobody paid expires."""

    def __init__(self, *, livemode: bool, clock: Clock | None) -> None:
        self._livemode, self._clock = livemode, clock or SystemClock()
        self._sessions: dict[str, Session] = {}
        self._payments: dict[str, Payment] = {}  # by the id of their session

    @property
    def sessions(self) -> Mapping[str, Session]:
        """The sessions as they stand, by id, oldest first."""
        now_s = self._now_s()
        for session in self._sessions.values():
            if session.status == "open" and now_s >= session.expires_at:
                self._sessions[session.id] = replace(session, status="expired")
        return MappingProxyType(self._sessions)

    # --- what payers do ---------------------------------------------------------------------------------------------

    def pay(self, session_id: str) -> None:
        """This will pay an open session at once, as by card."""
        self._complete(session_id, "succeeded")

    def process(self, session_id: str) -> None:
        """This will complete an open session whose money is still under way, as by bank debit."""
        self._complete(session_id, "processing")

    def succeed(self, session_id: str) -> None:
        """This will let the money of a processing session arrive."""
        self._settle(session_id, "succeeded")

    def fail(self, session_id: str) -> None:
        """This will let the money of a processing session not arrive: it stays complete, and unpaid."""
        self._settle(session_id, "failed")

    def expire(self, session_id: str) -> None:
        """This will end an open session."""
        self._sessions[session_id] = replace(self._open(session_id), status="expired")

    # --- what becomes of a payment ----------------------------------------------------------------------------------

    def refund(self, session_id: str, amount_minor: int) -> None:
        """This will give back a part of what was paid, at most what is left of it."""
        payment = self._paid(session_id)
        if not 0 < amount_minor <= payment.amount - payment.amount_refunded:
            raise ValueError(f"{payment.amount - payment.amount_refunded} are left to refund, not {amount_minor}")
        refund = Refund(id=_new_id("re"), created=self._now_s(), amount=amount_minor)
        self._payments[session_id] = replace(payment, refunds=(*payment.refunds, refund))

    def fail_refund(self, session_id: str, amount_minor: int) -> None:
        """This will let the newest refund of that amount not arrive: its money is the account's again."""
        payment = self._paid(session_id)
        for refund in reversed(payment.refunds):
            if refund.amount == amount_minor and refund.status == "succeeded":
                failed, others = replace(refund, status="failed"), (r for r in payment.refunds if r is not refund)
                self._payments[session_id] = replace(payment, refunds=(*others, failed))
                return
        raise ValueError(f"no refund of {amount_minor} can fail")

    def dispute(self, session_id: str, status: str) -> None:
        """This will open a dispute about the payment, or move it to another of Stripe's statuses."""
        payment = self._paid(session_id)
        dispute = payment.dispute or Dispute(id=_new_id("du"), created=self._now_s(), status="needs_response")
        self._payments[session_id] = replace(payment, dispute=replace(dispute, status=_dispute_status(status)))

    def event(self, session_id: str, type: str) -> dict[str, Any]:  # noqa: A002 - Stripe's own name for it
        """A new event about the session, its charge, its newest refund or its dispute, each as it stands."""
        return {
            "id": _new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self._now_s(),
            "data": {"object": self._noticed(session_id, type)},
            "livemode": self._livemode,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": type,
        }

    # --- what the API finds -----------------------------------------------------------------------------------------

    def _make(self, params: Mapping[str, Any]) -> Session:
        now_s, mode = self._now_s(), "live" if self._livemode else "test"
        session = Session(
            id=f"cs_{mode}_a1{secrets.token_hex(28)}",
            created=now_s,
            expires_at=params.get("expires_at", now_s + MAX_LIFETIME_S),
            amount_total=total_minor(params),
            currency=currency_of(params),
            params=params,
            livemode=self._livemode,
        )
        self._sessions[session.id] = session
        return session

    def _objects(self) -> Iterable[Body]:
        """Every object but the refunds, the newest of its kind first."""
        for session in reversed(tuple(self.sessions.values())):
            yield session.body()
        for payment in reversed(self._payments.values()):
            yield payment.intent_body()
            yield payment.charge_body()
            yield from [payment.dispute_body(payment.dispute)] if payment.dispute else []

    def _now_s(self) -> int:
        return int(self._clock.now().timestamp())

    # --- the steps of the above -------------------------------------------------------------------------------------

    def _complete(self, session_id: str, status: Literal["succeeded", "processing"]) -> None:
        session = self._open(session_id)
        payment = Payment(
            intent_id=_new_id("pi"),
            charge_id=_new_id("ch"),
            created=self._now_s(),
            amount=session.amount_total,
            currency=session.currency,
            metadata=session.params.get("payment_intent_data", {}).get("metadata", {}),
            livemode=self._livemode,
            status=status,
        )
        self._payments[session_id] = payment
        self._sessions[session_id] = replace(
            session,
            status="complete",
            payment_status="paid" if status == "succeeded" else "unpaid",
            payment_intent=payment.intent_id,
        )

    def _settle(self, session_id: str, status: Literal["succeeded", "failed"]) -> None:
        payment = self._payments.get(self.sessions[session_id].id)
        if payment is None or payment.status != "processing":
            raise ValueError(f"the payment of {session_id} is not under way")
        self._payments[session_id] = replace(payment, status=status)
        if status == "succeeded":
            self._sessions[session_id] = replace(self._sessions[session_id], payment_status="paid")

    def _open(self, session_id: str) -> Session:
        session = self.sessions[session_id]
        if session.status != "open":
            raise ValueError(f"the session {session_id} is {session.status}, not open")
        return session

    def _paid(self, session_id: str) -> Payment:
        payment = self._payments.get(self.sessions[session_id].id)
        if payment is None or payment.status != "succeeded":
            raise ValueError(f"the session {session_id} is not paid")
        return payment

    def _noticed(self, session_id: str, event_type: str) -> Body:
        if event_type.startswith("checkout.session."):
            return self.sessions[session_id].body()
        payment = self._paid(session_id)
        if event_type.startswith("charge.dispute.") and payment.dispute:
            return payment.dispute_body(payment.dispute)
        if event_type.startswith(("refund.", "charge.refund.")) and payment.refunds:
            return payment.refund_body(payment.refunds[-1])
        if event_type in {"charge.refunded", "charge.succeeded"}:
            return payment.charge_body()
        raise ValueError(f"nothing to tell in a {event_type} about {session_id}")


def _new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


def _dispute_status(text: str) -> DisputeStatus:
    for status in get_args(DisputeStatus):
        if status == text:
            return status  # type: ignore[no-any-return]  # `get_args` tells no types
    raise ValueError(f"{text} is no status of a dispute at Stripe")
