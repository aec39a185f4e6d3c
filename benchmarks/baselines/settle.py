"""`python -m benchmarks.baselines.settle`: webhooks of the sandbox, one after the other, and their events."""

import asyncio
import os
from datetime import UTC, datetime
from typing import Any

import nats
import uvloop
from pydantic import BaseModel
from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from benchmarks.baselines.consuming import consume
from benchmarks.baselines.database import sessions
from benchmarks.baselines.events import announce, entry
from benchmarks.baselines.models import Base, InboxMessage, PaymentClaim, Purchase
from benchmarks.baselines.relay import relay_for_ever

SOURCE = "billing-purchase-updated"
PURCHASED = "evt.billing.credits.purchased"


class SandboxPayment(Base):
    """What was decided at a checkout of the sandbox."""

    __tablename__ = "sandbox_payments"
    reference: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    platform_account_id: Mapped[str]


class Checkout(BaseModel):
    """The checkout a notice is about."""

    reference: str
    status: str


class Payload(BaseModel):
    """The sandbox's notice."""

    type: str
    checkout: Checkout


class Webhook(BaseModel):
    """A webhook as it is relayed."""

    platform: str
    payload: Payload


async def settle(message: dict[str, Any]) -> None:
    """This will settle what a webhook is about, once."""
    webhook = Webhook.model_validate(message["data"])
    reference = webhook.payload.checkout.reference
    async with sessions() as session:
        now = datetime.now(UTC)
        if await session.get(InboxMessage, (SOURCE, message["id"])) is not None:
            return
        session.add(InboxMessage(source=SOURCE, message_id=message["id"], received_at=now))
        claim = await session.get_one(PaymentClaim, (webhook.platform, reference))
        payment = await session.get(SandboxPayment, reference)
        key = (claim.merchant_id, claim.purchase_id)
        purchase = await session.get_one(Purchase, key, with_for_update=True)
        if payment is not None and payment.status == "paid" and matches(purchase, payment):
            await complete(session, purchase, message, now)
        await session.commit()


def matches(purchase: Purchase, payment: SandboxPayment) -> bool:
    """Whether what was paid is what was offered, and not settled yet."""
    paid = (payment.amount_minor, payment.currency, payment.platform_account_id)
    offered = (purchase.amount_minor, purchase.currency, purchase.platform_account_id)
    return paid == offered and purchase.status in ("created", "pending")


async def complete(session: Any, purchase: Purchase, message: dict[str, Any], now: datetime) -> None:
    """This will complete the purchase, and announce it."""
    before = purchase.status
    purchase.status, purchase.test, purchase.late, purchase.check_at = "completed", True, False, None
    purchase.completed_at = purchase.ended_at = purchase.observed_at = now
    purchase.version += 1
    correlation_id = message["correlationid"]
    reason = f"notice {message['id']}"
    session.add(
        entry(purchase, "completed", before, actor=SOURCE, reason=reason, correlation_id=correlation_id, now=now)
    )
    data = {
        "merchant_id": purchase.merchant_id,
        "platform": purchase.platform,
        "purchase_id": purchase.purchase_id,
        "pack": purchase.pack,
        "credits": purchase.credits,
        "bonus_credits": purchase.bonus_credits,
        "price": {
            "amount_minor": purchase.amount_minor,
            "currency": purchase.currency,
            "amount": f"{purchase.amount_minor / 100:.2f}",
        },
        "test": True,
        "late": False,
        "completed_at": now,
    }
    await announce(session, purchase, PURCHASED, data, correlation_id, now)


async def run() -> None:
    """This will settle and relay until it is cancelled."""
    client = await nats.connect(os.environ["BILLING_NATS_URL"])
    subject = "evt.webhook.app.purchase_updated"
    await asyncio.gather(relay_for_ever(client), consume(client, subject, SOURCE, "WEBHOOK", settle))


if __name__ == "__main__":
    uvloop.run(run())
