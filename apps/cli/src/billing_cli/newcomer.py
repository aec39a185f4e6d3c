"""A merchant nobody knew: announced over NATS as the merchant service would, and awaited."""

import asyncio
import json
import uuid

from billing_adapters.nats.access import ANYBODY, NatsAccess
from billing_adapters.nats.connection import open_nats
from billing_adapters.nats.publisher import NatsMessageSender
from billing_adapters.postgres.database import open_database
from billing_adapters.postgres.patience import PATIENT
from billing_adapters.postgres.records import PostgresRecords
from billing_cli.errors import ServiceFailed
from billing_core.messages import MERCHANT_CREATED

REGISTERED_TIMEOUT_S = 60.0
POLL_S = 0.02


async def announce_merchant(
    nats_url: str, *, merchant_id: str, platform: str, access: NatsAccess = ANYBODY
) -> dict[str, str]:
    """This will publish `evt.merchant.created` and return its data. Raises PublishingUnavailable."""
    data = {"merchant_id": merchant_id, "platform": platform, "platform_account_id": merchant_id, "currency": "USD"}
    event_id = str(uuid.uuid4())
    event = {
        "specversion": "1.0",
        "id": event_id,
        "source": "billing-cli",
        "type": MERCHANT_CREATED,
        "subject": merchant_id,
        "data": data,
    }
    headers = {"Nats-Msg-Id": event_id, "Content-Type": "application/cloudevents+json"}
    async with open_nats(nats_url, name="billing-cli", access=access) as connection:
        await NatsMessageSender(connection).send(MERCHANT_CREATED, json.dumps(event).encode(), headers)
    return data


async def wait_until_registered(database_url: str, merchant_id: str) -> None:
    """This will return once Billing knows the merchant. Raises ServiceFailed where it takes more than a minute."""
    async with open_database(database_url, pool_size=1, application_name="billing-cli", patience=PATIENT) as database:
        records = PostgresRecords(database)
        try:
            async with asyncio.timeout(REGISTERED_TIMEOUT_S):
                while await records.merchant(merchant_id) is None:  # noqa: ASYNC110 - another process does it
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise ServiceFailed(
                f"merchant {merchant_id} was announced but not registered; see the worker's log"
            ) from None
