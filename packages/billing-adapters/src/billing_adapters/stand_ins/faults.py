"""What can go wrong between a platform and us, switched on for as many calls as a test asks for."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from enum import StrEnum

from aiohttp import web

# Longer than any client here waits; the server's end cuts it short.
HANG_S = 120.0


class Fault(StrEnum):
    """A way for one call to go wrong. Only `LOST_ANSWER` and `NO_URL` have the effect that was asked for."""

    TIMEOUT = "timeout"  # no answer within any patience
    RESET = "reset"  # the connection breaks before anything happens
    TOO_MANY_REQUESTS = "429"  # HTTP 429 with Retry-After
    SERVER_ERROR = "500"  # HTTP 500 in the platform's own shape
    HTML_BODY = "html"  # HTTP 502 with a page for people
    HTML_SUCCESS = "html_success"  # HTTP 200 with a page for people
    THROTTLED = "throttled"  # the platform's own way to say "slower": Shopify inside a 200, Stripe by a 429
    UNAUTHORIZED = "401"  # the credentials are not accepted
    NO_URL = "no_url"  # HTTP 200, made, but without the page's address
    LOST_ANSWER = "lost_answer"  # done, and then the connection breaks


class Faults:
    """Faults that wait for the calls they will befall, in order, by operation."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Fault]] = defaultdict(deque)

    def plan(self, fault: Fault, operation: str, *, times: int = 1) -> None:
        """This will befall the next `times` calls of the operation."""
        self._waiting[operation].extend([fault] * times)

    def take(self, operation: str) -> Fault | None:
        """The fault of the call that is being answered, used up by it; None where it goes well."""
        waiting = self._waiting[operation]
        return waiting.popleft() if waiting else None

    def clear(self) -> None:
        """This will let everything go well again."""
        self._waiting.clear()


Act = Callable[[], Awaitable[web.StreamResponse]]


async def befall(fault: Fault, request: web.Request, act: Act) -> web.StreamResponse | None:
    """This will answer a call under a fault that is no platform's own; None where the platform must shape it."""
    match fault:
        case Fault.TIMEOUT:
            await asyncio.sleep(HANG_S)
            return _broken(request)
        case Fault.RESET:
            return _broken(request)
        case Fault.LOST_ANSWER:
            await act()
            return _broken(request)
        case Fault.HTML_BODY:
            return web.Response(status=502, text="<html><h1>Bad gateway</h1></html>", content_type="text/html")
        case Fault.HTML_SUCCESS:
            return web.Response(text="<html><h1>One moment please</h1></html>", content_type="text/html")
        case _:
            return None


def _broken(request: web.Request) -> web.Response:
    """Break the connection: the answer is never sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
