"""`python -m benchmarks.baselines.merchants`: announced merchants, one after the other."""

import os
from datetime import UTC, datetime
from typing import Any

import nats
import uvloop
from pydantic import BaseModel

from benchmarks.baselines.consuming import consume
from benchmarks.baselines.database import sessions
from benchmarks.baselines.models import InboxMessage, Merchant

SOURCE = "billing-merchant-created"


class Announced(BaseModel):
    """A merchant as another service announces it."""

    merchant_id: str
    platform: str
    platform_account_id: str
    platform_domain: str | None = None
    currency: str | None = None


async def register(message: dict[str, Any]) -> None:
    """This will register a merchant, once."""
    announced = Announced.model_validate(message["data"])
    async with sessions() as session:
        now = datetime.now(UTC)
        if await session.get(InboxMessage, (SOURCE, message["id"])) is not None:
            return
        session.add(InboxMessage(source=SOURCE, message_id=message["id"], received_at=now))
        merchant = await session.get(Merchant, announced.merchant_id, with_for_update=True)
        if merchant is None:
            session.add(Merchant(**announced.model_dump(), registered_at=now))
        else:
            merchant.platform_domain = announced.platform_domain or merchant.platform_domain
            merchant.currency = announced.currency or merchant.currency
        await session.commit()


async def run() -> None:
    """This will register until it is cancelled."""
    client = await nats.connect(os.environ["BILLING_NATS_URL"])
    await consume(client, "evt.merchant.created", SOURCE, "MERCHANT", register)


if __name__ == "__main__":
    uvloop.run(run())
