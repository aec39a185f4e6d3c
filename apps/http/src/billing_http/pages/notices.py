"""What the sandbox tells the service over NATS: the same kind of message the webhook service would send."""

import json
from datetime import datetime

from billing_adapters.platforms.sandbox import NAME, sandbox_notice
from billing_adapters.platforms.sandbox_books import SandboxEntry
from billing_core.domain.events import rfc3339
from billing_core.messages import PURCHASE_UPDATED
from billing_core.ports.publishing import MessageSender


async def send_notice(
    sender: MessageSender,
    decided: SandboxEntry,
    at: datetime,
    correlation_id: str | None,
    traceparent: str | None,
) -> None:
    """This will send the notice of a decision; again under the same id, so it counts once.

    Raises PublishingUnavailable.
    """
    payload = sandbox_notice(decided)
    message = {
        "platform": NAME,
        "delivery_id": payload["id"],
        "platform_account_id": decided.platform_account_id,
        "topic": payload["type"],
        "received_at": rfc3339(at),
        "payload": payload,
    }
    headers = {"Nats-Msg-Id": payload["id"], "Content-Type": "application/json"}
    if correlation_id is not None:
        headers["X-Correlation-Id"] = correlation_id
    if traceparent is not None:
        headers["traceparent"] = traceparent
    await sender.send(PURCHASE_UPDATED, json.dumps(message).encode(), headers)
