"""Messages of other services, put into their streams before a round begins."""

import json
import random
import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from nats.aio.client import Client

from billing_adapters.nats.connection import NatsConnection
from billing_adapters.nats.streams import ensure_consumers, ensure_streams
from billing_core.domain.events import rfc3339
from billing_core.messages import MERCHANT_CREATED, PURCHASE_UPDATED

ATOMIC: Final = 1000


async def open_streams(connection: NatsConnection) -> None:
    """This will make the three streams and our consumers. Those of the other services take atomic batches, so that
    filling them takes moments."""
    await ensure_streams(connection, manage_all=True)
    await ensure_consumers(connection)
    for name in ("MERCHANT", "WEBHOOK"):
        reply = await connection.client.request(f"$JS.API.STREAM.INFO.{name}", b"")
        config = json.loads(reply.data)["config"] | {"allow_atomic": True}
        await connection.client.request(f"$JS.API.STREAM.UPDATE.{name}", json.dumps(config).encode())


async def tell(client: Client, subject: str, bodies: Sequence[bytes]) -> None:
    """This will put the messages into the stream of the subject, in order, and return when all are stored."""
    for start in range(0, len(bodies), ATOMIC):
        chunk = bodies[start : start + ATOMIC]
        batch = {"Nats-Batch-Id": secrets.token_hex(16)}
        for number, body in enumerate(chunk[:-1], start=1):
            await client.publish(subject, body, headers=batch | {"Nats-Batch-Sequence": str(number)})
        last = batch | {"Nats-Batch-Sequence": str(len(chunk)), "Nats-Batch-Commit": "1"}
        answer = json.loads((await client.request(subject, chunk[-1], headers=last, timeout=30)).data)
        if "error" in answer:
            raise RuntimeError(f"{subject}: {answer}")


def with_repeats(bodies: Sequence[bytes], share: float) -> list[bytes]:
    """The messages with so many repeats among them, each within a thousand messages of the first."""
    chosen, told = random.Random(5), list(bodies)  # noqa: S311 - the same ones in every run
    wanted = round(len(bodies) * share / (1 - share))
    for place in sorted(chosen.sample(range(len(bodies)), wanted), reverse=True):
        told.insert(place + chosen.randint(1, 1000), bodies[place])
    return told


def notices(payments: Sequence[tuple[str, str]]) -> Iterator[bytes]:
    """The sandbox's notices that these (account, reference) are paid, in CloudEvents as our webhook door makes them."""
    at = rfc3339(datetime.now(UTC))
    for account, reference in payments:
        delivery = f"{reference}.paid"
        payload = {
            "type": "checkout.paid",
            "id": delivery,
            "account": account,
            "checkout": {"reference": reference, "status": "paid", "amount_minor": 4999, "currency": "USD"},
        }
        data = {
            "platform": "sandbox",
            "delivery_id": delivery,
            "platform_account_id": account,
            "topic": "checkout.paid",
            "received_at": at,
            "payload": payload,
        }
        yield _cloud_event(PURCHASE_UPDATED, f"sandbox:{delivery}", at, data)


def announcements(first: int, many: int) -> Iterator[bytes]:
    """`evt.merchant.created` of so many merchants."""
    at = rfc3339(datetime.now(UTC))
    for number in range(first, first + many):
        data = {
            "merchant_id": f"new-{number}",
            "platform": "sandbox",
            "platform_account_id": f"account-{number}",
            "platform_domain": f"shop-{number}.example",
            "currency": "USD",
        }
        yield _cloud_event(MERCHANT_CREATED, f"merchant-{number}", at, data)


def _cloud_event(kind: str, message_id: str, at: str, data: Mapping[str, object]) -> bytes:
    envelope = {
        "specversion": "1.0",
        "id": message_id,
        "type": kind,
        "source": "bench",
        "time": at,
        "datacontenttype": "application/json",
        "correlationid": f"bench.{message_id[-40:]}",
        "data": data,
    }
    return json.dumps(envelope).encode()
