"""One merchant's events as they are published, as server-sent events (the HTML standard's `EventSource`)."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from billing_adapters.nats.connection import NatsConnection
from billing_adapters.nats.tail import tail
from billing_core.domain.merchants import MERCHANT_ID
from billing_core.errors import PublishingUnavailable
from billing_http.pages.development import DEFAULT_MERCHANT
from billing_http.pages.documents import SECURITY_HEADERS
from billing_http.state import Drain, State

SUBJECT = "evt.billing.>"
# A page that was reloaded, or came back from a checkout, shows what happened meanwhile; it knows repeats by their id.
LOOK_BACK_S = 3600
_HEARTBEAT_EVERY_S = 15.0
_LOOK_EVERY_S = 0.5
_MAX_WAITING = 1000


async def live_events(request: Request[State]) -> Response:
    """The events of `?merchant=`, the last hour's first; the stream ends with the client, NATS, or the server."""
    merchant_id = request.query_params.get("merchant", DEFAULT_MERCHANT)
    if not MERCHANT_ID.fullmatch(merchant_id):
        return PlainTextResponse("That cannot be a merchant id.\n", 400, headers=SECURITY_HEADERS)
    headers = {**SECURITY_HEADERS, "X-Accel-Buffering": "no"}
    stream = _stream(request.state["nats"], merchant_id, request.state["drain"])
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def _stream(nats: NatsConnection | None, merchant_id: str, drain: Drain) -> AsyncIterator[bytes]:
    waiting: asyncio.Queue[bytes | None] = asyncio.Queue(_MAX_WAITING)
    reader = asyncio.create_task(_read(nats, merchant_id, waiting), name=f"live events of {merchant_id}")
    try:
        yield b"retry: 2000\n: the events of one merchant\n\n"
        quiet_s = 0.0
        while not drain.begun:  # a stopping server waits for its responses, and this one has no end of its own
            try:
                chunk = await asyncio.wait_for(waiting.get(), _LOOK_EVERY_S)
            except TimeoutError:
                if reader.done():  # it failed: the end below tells how
                    return
                quiet_s += _LOOK_EVERY_S
                if quiet_s < _HEARTBEAT_EVERY_S:
                    continue
                chunk = b": still here\n\n"
            if chunk is None:
                return
            quiet_s = 0.0
            yield chunk
    finally:
        reader.cancel()
        with suppress(asyncio.CancelledError):
            await reader


async def _read(nats: NatsConnection | None, merchant_id: str, waiting: "asyncio.Queue[bytes | None]") -> None:
    try:
        if nats is None:
            raise PublishingUnavailable("there is no NATS behind this process")
        async for message in tail(nats, SUBJECT, since_s=LOOK_BACK_S, follow=True):
            if event := _event_of(merchant_id, message.body):
                await waiting.put(event)
    except PublishingUnavailable:
        await waiting.put(b"event: away\ndata: NATS cannot be reached right now\n\n")
    await waiting.put(None)


def _event_of(merchant_id: str, body: bytes) -> bytes | None:
    try:
        document = json.loads(body)
    except ValueError:  # not one of ours: the page shows our events only
        return None
    if not isinstance(document, dict) or document.get("subject") != merchant_id:
        return None
    return b"event: fact\ndata: " + json.dumps(document).encode() + b"\n\n"
