"""Stripe on loopback: the API of one account, as much of it as sells credit packs, with true idempotency.

Beyond Stripe's own rules it breaks on demand (`faults`), tells what it was asked (`calls`), and obeys whoever plays
the payer and the bank (`pay`, `refund`, …).
"""

import asyncio
import hmac
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from billing_adapters.stand_ins.control import control_routes
from billing_adapters.stand_ins.faults import Fault, Faults, befall
from billing_adapters.stand_ins.serving import serving
from billing_adapters.stand_ins.stripe_account import API_VERSION, StripeAccount
from billing_adapters.stand_ins.stripe_answers import Answer, Refusal, missing
from billing_adapters.stand_ins.stripe_form import Schema
from billing_adapters.stand_ins.stripe_idempotency import Asked, IdempotencyKeys
from billing_adapters.stand_ins.stripe_lists import expand, page
from billing_adapters.stand_ins.stripe_objects import Body
from billing_adapters.stand_ins.stripe_params import (
    DISPUTES,
    EXPANDABLE,
    SESSIONS,
    check_params,
    read_params,
    session_schema,
)
from billing_adapters.stand_ins.stripe_session_rules import check_new_session
from billing_core.ports.clock import Clock

_LIMITERS_REASON = {"Stripe-Rate-Limited-Reason": "endpoint-rate"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that arrived, whatever became of it. `path` names the object, `params` are typed by the schema."""

    operation: str
    path: str
    params: Mapping[str, Any]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Endpoint:
    """What one path does. `act` gets the id in the path, where there is one, and the parameters."""

    operation: str
    method: str
    path: str
    schema: Schema
    act: Callable[[str, dict[str, Any]], Body]


class StripeStandIn(StripeAccount):
    """One Stripe account served over HTTP. `clock` is Stripe's own; default the system's."""

    def __init__(
        self,
        *,
        secret_key: str = "sk_test_sample",  # noqa: S107 - visibly a sample
        livemode: bool = False,
        retry_after_s: int = 1,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(livemode=livemode, clock=clock)
        self.faults = Faults()
        self._secret_key, self._retry_after_s, self._keys = secret_key, retry_after_s, IdempotencyKeys()
        self._calls: list[Call] = []
        self._running: set[asyncio.Task[Answer]] = set()
        self._may_create = asyncio.Event()
        self._may_create.set()

    @property
    def calls(self) -> Sequence[Call]:
        """What arrived, in order; but not what could not be read."""
        return tuple(self._calls)

    @asynccontextmanager
    async def open(self, *, port: int = 0) -> AsyncIterator[str]:
        """This will serve the account while the block runs, and give its base URL."""
        app = web.Application()
        for endpoint in self._endpoints():
            app.router.add_route(endpoint.method, endpoint.path, partial(self._handle, endpoint))
        app.add_routes([*control_routes(self), web.route("*", "/{unknown:.*}", _unknown)])
        app.on_cleanup.append(self._stop)
        async with serving(app, port=port) as url:
            yield url

    @contextmanager
    def hold_creates(self) -> Iterator[None]:
        """This will let creates wait, their key in use, while the block runs."""
        self._may_create.clear()
        try:
            yield
        finally:
            self._may_create.set()

    # --- one call ---------------------------------------------------------------------------------------------------

    def _endpoints(self) -> Iterator[_Endpoint]:
        sessions, one = "/v1/checkout/sessions", "/v1/checkout/sessions/{id}"
        session = partial(self._retrieve, "checkout.session")
        intent, charge = partial(self._retrieve, "payment_intent"), partial(self._retrieve, "charge")
        list_sessions = partial(self._list, "checkout.session", sessions)
        list_disputes = partial(self._list, "dispute", "/v1/disputes")
        for operation, method, path, schema, act in (
            ("create", "POST", sessions, session_schema(), self._create),
            ("list", "GET", sessions, SESSIONS, list_sessions),
            ("look_up", "GET", one, EXPANDABLE, session),
            ("expire", "POST", f"{one}/expire", EXPANDABLE, self._expire),
            ("payment_intent", "GET", "/v1/payment_intents/{id}", EXPANDABLE, intent),
            ("charge", "GET", "/v1/charges/{id}", EXPANDABLE, charge),
            ("disputes", "GET", "/v1/disputes", DISPUTES, list_disputes),
        ):
            yield _Endpoint(operation=operation, method=method, path=path, schema=schema, act=act)

    async def _handle(self, endpoint: _Endpoint, request: web.Request) -> web.StreamResponse:
        text = await request.text() if request.method == "POST" else request.url.raw_query_string
        try:
            params = read_params(text, endpoint.schema)
        except Refusal as refusal:
            return _written(refusal.answer())
        self._calls.append(
            Call(operation=endpoint.operation, path=request.path, params=params, headers=request.headers.copy())
        )
        fault = self.faults.take(endpoint.operation)

        async def act() -> web.StreamResponse:
            return _written(await self._to_its_end(self._answer(endpoint, request, params, fault)))

        broken = await befall(fault, request, act) if fault else None
        return broken if broken is not None else await act()

    async def _to_its_end(self, answering: Coroutine[Any, Any, Answer]) -> Answer:
        """What has begun is done, even where the caller no longer waits for it: a retry may meet it."""
        task = asyncio.create_task(answering)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _answer(
        self, endpoint: _Endpoint, request: web.Request, params: dict[str, Any], fault: Fault | None
    ) -> Answer:
        """The limiter and the key of the account come before the key of idempotency, the parameters after it."""
        act = partial(self._act, endpoint, request.match_info.get("id", ""), params, fault)
        key = request.headers.get("Idempotency-Key")
        try:
            self._admit(request, fault)
            if request.method != "POST" or key is None:
                return await act()
            return await self._keys.once(key, Asked(endpoint=request.path, params=params), act)
        except Refusal as refusal:
            return refusal.answer()

    def _admit(self, request: web.Request, fault: Fault | None) -> None:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        known = scheme == "Bearer" and hmac.compare_digest(key.encode(), self._secret_key.encode())
        if not known or fault is Fault.UNAUTHORIZED:
            raise Refusal("Invalid API Key provided", status=401, headers={"WWW-Authenticate": 'Basic realm="Stripe"'})
        if fault in {Fault.THROTTLED, Fault.TOO_MANY_REQUESTS}:
            asks_to_wait = fault is Fault.TOO_MANY_REQUESTS
            raise Refusal(
                "Request rate limit exceeded.",
                status=429,
                code="rate_limit",
                headers={"Retry-After": str(self._retry_after_s)} if asks_to_wait else _LIMITERS_REASON,
            )

    async def _act(self, endpoint: _Endpoint, named: str, params: dict[str, Any], fault: Fault | None) -> Answer:
        try:
            self._check(endpoint, params)
            if endpoint.operation == "create":
                await self._may_create.wait()
            if fault is Fault.SERVER_ERROR:
                raise Refusal("An unknown error occurred", status=500, kind="api_error", began=True)
            body = endpoint.act(named, params)
            expand(body, params.get("expand", ()), self._objects())
        except Refusal as refusal:
            return refusal.answer()
        if fault is Fault.NO_URL:
            body.pop("url", None)
        return Answer.of(body)

    def _check(self, endpoint: _Endpoint, params: dict[str, Any]) -> None:
        if endpoint.operation == "create":
            check_new_session(params, self._now_s())
        else:
            check_params(params, endpoint.schema)

    # --- what the endpoints do --------------------------------------------------------------------------------------

    def _create(self, _: str, params: dict[str, Any]) -> Body:
        return self._make(params).body()

    def _expire(self, session_id: str, params: dict[str, Any]) -> Body:
        session = self._retrieve("checkout.session", session_id, params)
        if session["status"] != "open":
            raise Refusal('Only Checkout Sessions with a status in ["open"] can be expired.', began=True)
        self.expire(session_id)
        return self.sessions[session_id].body()

    def _retrieve(self, kind: str, object_id: str, _: dict[str, Any]) -> Body:
        for body in self._objects():
            if body["object"] == kind and body["id"] == object_id:
                return body
        raise missing(kind, object_id)

    def _list(self, kind: str, url: str, _: str, params: dict[str, Any]) -> Body:
        return page((body for body in self._objects() if body["object"] == kind), params, url=url)

    async def _stop(self, _: web.Application) -> None:
        """Nothing that is held survives the server."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


async def _unknown(request: web.Request) -> web.StreamResponse:
    message = f"Unrecognized request URL ({request.method}: {request.path})."
    return _written(Refusal(message, status=404).answer())


def _written(answer: Answer) -> web.Response:
    headers = {"Request-Id": f"req_{secrets.token_hex(7)}", "Stripe-Version": API_VERSION, **answer.headers}
    return web.Response(status=answer.status, text=answer.body, headers=headers, content_type="application/json")
