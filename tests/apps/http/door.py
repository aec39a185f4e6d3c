"""The HTTP app over Billing in memory, and tokens to knock with."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, fields
from typing import Any
from uuid import uuid4

import httpx2
from joserfc import jwt
from joserfc.jwk import OctKey
from starlette.types import Receive, Scope, Send

from billing_adapters.nats.connection import NatsConnection
from billing_adapters.settings import Settings
from billing_core.ports.clock import Clock
from billing_core.ports.platforms import PaymentPlatform
from billing_core.ports.publishing import MessageSender
from billing_core.testing import InMemoryBilling
from billing_core.use_cases.caller import Caller
from billing_http.app import create_app
from billing_http.rate_limits import RateLimits
from billing_http.state import Billing, Drain, Probe
from billing_http.tokens import token_verifier

SECRET = "a-secret-of-the-tests-with-enough-bytes-in-it"
SCOPES = "billing:read billing:write"
RETURN_URL = "https://shop.example/billing"
WANTED = {"pack": "large", "return_url": RETURN_URL}

Headers = Sequence[tuple[str, str]]


def some_settings(**values: Any) -> Settings:
    """A configuration that names every value the environment of the tests could change."""
    defaults: dict[str, Any] = {
        "env": "development",
        "jwt_secret": SECRET,
        "jwt_public_key": None,
        "jwt_jwks_url": None,
        "jwt_issuer": "issuer",
        "jwt_audience": "billing",
        "platforms": ("sandbox", "shopify"),
        "return_url_hosts": (),
        "metrics_auth": "token",
        "docs": False,
        "development_page": False,
    }
    return Settings(**defaults | values)


def some_claims(clock: Clock, merchant_id: str | None, **changes: Any) -> dict[str, Any]:
    """The claims of a good token; a change to None leaves the claim out."""
    now = int(clock.now().timestamp())
    claims = {
        "iss": "issuer",
        "aud": "billing",
        "iat": now,
        "exp": now + 600,
        "sub": "user-1",
        "merchant_id": merchant_id,
        "platform": "sandbox",
        "scope": SCOPES,
    }
    return {name: value for name, value in (claims | changes).items() if value is not None}


def signed(claims: Mapping[str, Any], *, header: Mapping[str, Any] | None = None, secret: str = SECRET) -> str:
    """An HS256 token."""
    return jwt.encode({"alg": "HS256", **(header or {})}, dict(claims), OctKey.import_key(secret), algorithms=["HS256"])


@dataclass
class Door:
    """A running app, a merchant it knows, and that merchant's token."""

    client: httpx2.AsyncClient
    billing: InMemoryBilling
    caller: Caller
    drain: Drain
    probes: dict[str, Probe]
    token: str = field(init=False)

    def __post_init__(self) -> None:
        self.token = signed(some_claims(self.billing.clock, self.caller.merchant_id))

    def headers(self, *, without: Sequence[str] = (), more: Headers = ()) -> Headers:
        """The headers of a good request, less those named and with more at the end."""
        good = (
            ("Authorization", f"Bearer {self.token}"),
            ("X-Platform", "sandbox"),
            ("Idempotency-Key", str(uuid4())),
            ("Content-Type", "application/json"),
        )
        return [*(each for each in good if each[0] not in without), *more]

    async def get(self, path: str, **kwargs: Any) -> httpx2.Response:
        """This will ask with good headers, unless others are given."""
        return await self.client.get(path, headers=kwargs.pop("headers", self.headers()), **kwargs)

    async def post(self, path: str, body: Any = None, *, key: str | None = None, **kwargs: Any) -> httpx2.Response:
        """This will post `body` (bytes as they are, all else as JSON) with good headers, unless others are given."""
        keyed = self.headers(without=["Idempotency-Key"], more=[("Idempotency-Key", key)]) if key else self.headers()
        headers = kwargs.pop("headers", keyed)
        content = {"content": body} if isinstance(body, bytes) or hasattr(body, "__aiter__") else {"json": body}
        return await self.client.post(path, headers=headers, **content, **kwargs)

    def stored(self) -> object:
        """Everything that is stored, to compare before and after."""
        tables = self.billing.storage.tables
        rows = {each.name: dict(getattr(tables, each.name)) for each in fields(tables)}
        return rows | {"calls": len(self.billing.platform.calls)}


async def up() -> None:
    """A server that answers."""


@asynccontextmanager
async def open_door(
    billing: InMemoryBilling,
    settings: Settings | None = None,
    *,
    sender: MessageSender | None = None,
    platforms: Mapping[str, PaymentPlatform] | None = None,
    crowded: bool = False,
    limits: RateLimits | None = None,
    spans: Any = None,
) -> AsyncIterator[Door]:
    """This will run the app over `billing`; with another sender or other platforms than its own, where given, and as
    if more were asked of the database than it can do where it is `crowded`; with rate limits and in `spans` where they
    are given."""
    settings, drain = settings or some_settings(), Drain()
    probes: dict[str, Probe] = {"postgres": up, "redis": up, "nats": up}
    opened = Billing(
        tokens=token_verifier(settings, billing.clock),
        limits=limits,
        activate_trial=billing.activate_trial,
        create_purchase=billing.create_purchase,
        read=billing.read,
        platforms=platforms or billing.platforms,
        sender=sender or billing.sender,
        nats=NatsConnection("nats://127.0.0.1:1", name="tests"),
        probes=probes,
        is_crowded=lambda: crowded,
        spans=spans,
    )
    app = create_app(settings, lambda _: nullcontext(opened), drain=drain)
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": dict(state or {})}, receive, send)

        transport = httpx2.ASGITransport(with_state)
        async with httpx2.AsyncClient(transport=transport, base_url="http://billing.test") as client:
            caller = await billing.register()
            yield Door(client=client, billing=billing, caller=caller, drain=drain, probes=probes)


def assert_problem(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """This will check that the answer is a whole problem document, and give it."""
    assert (response.status_code, response.json().get("code")) == (status, code), response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    more = {"INVALID_REQUEST": {"errors"}, "PLATFORM_ERROR": {"retryable", "platform"}}.get(code, set())
    assert problem.keys() == {"type", "title", "status", "detail", "instance", "code", "correlation_id"} | more
    assert problem["type"] == f"urn:billing:problem:{code}"
    assert problem["status"] == status
    assert problem["instance"] == response.request.url.raw_path.decode().partition("?")[0]
    assert problem["correlation_id"] == response.headers["x-correlation-id"]
    return problem
