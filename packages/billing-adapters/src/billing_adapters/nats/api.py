"""Asking JetStream's API in its own words."""

import json
from typing import Any

from nats.errors import NoRespondersError
from nats.js.errors import APIError, ServiceUnavailableError

from billing_adapters.nats.connection import REQUEST_TIMEOUT_S, NatsConnection


async def stream_info(connection: NatsConnection, name: str) -> dict[str, Any]:
    """The stream's settings, state and, in a cluster, replicas. Raises nats-py's NotFoundError, and whatever else it
    raises."""
    return await ask(connection, f"STREAM.INFO.{name}", {})


async def stream_config(connection: NatsConnection, name: str) -> dict[str, Any]:
    """The settings of the stream. Raises nats-py's NotFoundError, and whatever else it raises."""
    config: dict[str, Any] = (await stream_info(connection, name))["config"]
    return config


async def ask(connection: NatsConnection, question: str, document: dict[str, Any]) -> dict[str, Any]:
    """This will ask, and return the answer. Raises nats-py's errors, and PublishingUnavailable while NATS is away."""
    # Not through nats-py's StreamConfig: settings of a newer server that it does not know would be lost by an update.
    try:
        reply = await connection.client.request(
            f"$JS.API.{question}", json.dumps(document).encode(), timeout=REQUEST_TIMEOUT_S
        )
    except NoRespondersError:
        raise ServiceUnavailableError from None
    answer: dict[str, Any] = json.loads(reply.data)
    if "error" in answer:
        raise APIError.from_error(answer["error"])
    return answer
