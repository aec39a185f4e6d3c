"""Events of trials and purchases, as the first build makes and records them."""

import hashlib
import uuid
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.baselines.models import HistoryEntry, Merchant, OutboxEvent, Purchase, Trial

NAMESPACE = uuid.UUID("6f0cf8a1-9a52-5d5e-9b8a-52b0bb0f3b0e")


class Envelope(BaseModel):
    """A CloudEvent."""

    specversion: str = "1.0"
    id: uuid.UUID
    source: str = "billing-service"
    type: str
    subject: str
    time: datetime
    datacontenttype: str = "application/json"
    correlationid: str
    traceparent: str
    sequence: int
    data: dict[str, Any]


async def announce(
    session: AsyncSession, of: Purchase | Trial, kind: str, data: dict[str, Any], correlation_id: str, now: datetime
) -> None:
    """This will put an event into the outbox, under the merchant's next number."""
    merchant_id, subject_id = of.merchant_id, of.trial_id if isinstance(of, Trial) else of.purchase_id
    merchant = await session.get_one(Merchant, merchant_id, with_for_update=True)
    merchant.event_sequence += 1
    event_id = uuid.uuid5(NAMESPACE, f"{kind}|{subject_id}")
    trace = hashlib.sha256(correlation_id.encode()).hexdigest()
    event = Envelope(
        id=event_id,
        type=kind,
        subject=merchant_id,
        time=now,
        correlationid=correlation_id,
        traceparent=f"00-{trace[:32]}-{trace[32:48]}-00",
        sequence=merchant.event_sequence,
        data=data,
    )
    session.add(
        OutboxEvent(
            merchant_id=merchant_id,
            sequence=merchant.event_sequence,
            event_id=event_id,
            type=kind,
            body=event.model_dump_json().encode(),
        )
    )


def entry(
    of: Purchase | Trial, what: str, before: str, *, actor: str, reason: str | None, correlation_id: str, now: datetime
) -> HistoryEntry:
    """An entry of a trial's or purchase's history."""
    subject_id = of.trial_id if isinstance(of, Trial) else of.purchase_id
    return HistoryEntry(
        merchant_id=of.merchant_id,
        subject_id=subject_id,
        number=of.version,
        subject="trial" if isinstance(of, Trial) else "purchase",
        what=what,
        status_before=before,
        status_after=of.status,
        at=now,
        actor=actor,
        reason=reason,
        correlation_id=correlation_id,
    )
