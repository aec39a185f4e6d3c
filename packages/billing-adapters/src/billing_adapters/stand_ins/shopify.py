"""A Shopify for development and tests: the vendor's own schemas, executed, behind real HTTP.

It plays the billing part of the Admin API and the transactions of the Partner API, and gives shops' tokens. Which shop
a call is for follows from its token, as the one base URL stands for every shop's domain.
"""

import secrets
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from billing_adapters.clock import SystemClock
from billing_adapters.stand_ins.control import control_routes
from billing_adapters.stand_ins.faults import Act, Fault, Faults, befall
from billing_adapters.stand_ins.serving import serving
from billing_adapters.stand_ins.shopify_admin import AdminRoot
from billing_adapters.stand_ins.shopify_answers import (
    read_request,
    refusal,
    throttled,
    too_many_requests,
    unauthorized,
    with_cost,
)
from billing_adapters.stand_ins.shopify_books import Charge, RefundKind, Shop, ShopifyBooks
from billing_adapters.stand_ins.shopify_partner import PartnerRoot
from billing_adapters.stand_ins.shopify_schema import (
    ADMIN_VERSION,
    PARTNER_VERSION,
    admin_schema,
    execute,
    operation_of,
    partner_schema,
)
from billing_core.ports.clock import Clock

STATIC_SHOP = "gid://shopify/Shop/1"
_TOKEN_HEADER = "X-Shopify-Access-Token"  # noqa: S105 - a header's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that reached the stand-in, refused ones too. `shop` is None where no shop's token came with it."""

    operation: str
    shop: str | None
    variables: Mapping[str, Any]
    headers: Mapping[str, str]


class ShopifyStandIn:
    """One Shopify: its shops, their charges, the tokens that open them. `clock` is Shopify's own."""

    def __init__(
        self,
        *,
        static_token: str = "shpat_sample",  # noqa: S107 - visibly a sample
        partner_token: str = "prtapi_sample",  # noqa: S107
        api_version: str = ADMIN_VERSION,
        partner_api_version: str = PARTNER_VERSION,
        answers_version: str | None = None,
        token_lifetime_s: int = 3600,
        retry_after_s: float = 0.1,
        clock: Clock | None = None,
    ) -> None:
        self.faults = Faults()
        self.answers_version = answers_version  # X-Shopify-API-Version in answers; None: the one that was asked for
        self.token_lifetime_s = token_lifetime_s
        self._static_token, self._partner_token = static_token, partner_token
        self._api_version, self._partner_api_version = api_version, partner_api_version
        self._retry_after_s, self._clock = retry_after_s, clock or SystemClock()
        self._books = ShopifyBooks(self._clock)
        self._tokens: dict[str, tuple[str, datetime]] = {}
        self._calls: list[Call] = []

    @property
    def charges(self) -> Mapping[str, Charge]:
        """Every charge by its gid, oldest first."""
        return self._books.charges

    @property
    def calls(self) -> Sequence[Call]:
        """Every call so far, in order."""
        return tuple(self._calls)

    @asynccontextmanager
    async def open(self, *, port: int = 0) -> AsyncIterator[str]:
        """This will answer on loopback while the block runs, and give the base URL. Port 0 picks a free one."""
        app = web.Application()
        app.add_routes(control_routes(self))
        app.add_routes(
            [
                web.get("/token", self._give_token),
                web.post("/admin/api/{version}/graphql.json", self._serve_admin),
                web.post(r"/{organization_id:\d+}/api/{version}/graphql.json", self._serve_partner),
            ]
        )
        app.on_response_prepare.append(self._sign)
        async with serving(app, port=port) as base_url:
            yield base_url

    # --- what the merchant and the platform do ---------------------------------------------------------------------

    def approve(self, gid: str) -> None:
        """This will have the merchant approve and pay. Raises KeyError, ValueError where the charge has ended."""
        self._books.settle(gid, "ACTIVE")

    def decline(self, gid: str) -> None:
        """This will have the merchant say no. Raises KeyError, ValueError where the charge has ended."""
        self._books.settle(gid, "DECLINED")

    def expire(self, gid: str) -> None:
        """This will let the charge's two days pass. Raises KeyError, ValueError where the charge has ended."""
        self._books.settle(gid, "EXPIRED")

    def refund(self, gid: str, amount_minor: int, *, kind: RefundKind = "APP_SALE_ADJUSTMENT") -> None:
        """This will give money back, which only the Partner API tells. Raises KeyError, ValueError where unpaid."""
        self._books.refund(gid, amount_minor, kind)

    def notice(self, gid: str) -> dict[str, Any]:
        """The body of `app_purchases_one_time/update` as the charge stands. Raises KeyError for an unknown one."""
        return self._books.notice(gid)

    def revoke_tokens(self) -> None:
        """This will make every token given by /token so far worthless."""
        self._tokens.clear()

    # --- what is asked over HTTP -----------------------------------------------------------------------------------

    async def _serve_admin(self, request: web.Request) -> web.StreamResponse:
        asked, shop = await read_request(request), self._shop_of(request)
        operation = self._note(request, asked, shop)
        if request.match_info["version"] != self._api_version:
            return refusal(404, "Not Found")
        if shop is None:
            return unauthorized()
        fault = self.faults.take(operation)
        root = AdminRoot(self._books, shop, without_url=fault is Fault.NO_URL)

        async def act() -> web.StreamResponse:
            return with_cost(execute(admin_schema(), asked, root.fields()), operation)

        return await self._answer(fault, request, act, slower=throttled(operation))

    async def _serve_partner(self, request: web.Request) -> web.StreamResponse:
        asked = await read_request(request)
        operation = self._note(request, asked, None)
        if request.match_info["version"] != self._partner_api_version:
            return refusal(404, "Not Found")
        if request.headers.get(_TOKEN_HEADER) != self._partner_token:
            return unauthorized()

        async def act() -> web.StreamResponse:
            return web.json_response(execute(partner_schema(), asked, PartnerRoot(self._books).fields()))

        return await self._answer(self.faults.take(operation), request, act, slower=too_many_requests())

    async def _give_token(self, request: web.Request) -> web.StreamResponse:
        gid = request.query.get("platform_account_id")
        self._calls.append(Call(operation="token", shop=gid, variables=dict(request.query), headers=request.headers))
        if not gid:
            return refusal(400, "platform_account_id is missing")
        shop = self._books.shop(gid, request.query.get("domain"))

        async def act() -> web.StreamResponse:
            token = f"shpat_{secrets.token_hex(16)}"
            self._tokens[token] = shop.gid, self._clock.now() + timedelta(seconds=self.token_lifetime_s)
            return web.json_response({"access_token": token, "expires_in": self.token_lifetime_s})

        return await self._answer(self.faults.take("token"), request, act, slower=too_many_requests())

    # --- how it answers --------------------------------------------------------------------------------------------

    def _shop_of(self, request: web.Request) -> Shop | None:
        token = request.headers.get(_TOKEN_HEADER)
        if token == self._static_token:
            return self._books.shop(STATIC_SHOP)
        gid, expires_at = self._tokens.get(token or "", (None, None))
        return self._books.shop(gid) if gid and expires_at and self._clock.now() < expires_at else None

    def _note(self, request: web.Request, asked: Mapping[str, Any], shop: Shop | None) -> str:
        operation = operation_of(asked["query"], asked.get("operationName"))
        call = Call(
            operation=operation,
            shop=shop.gid if shop else None,
            variables=asked.get("variables") or {},
            headers=request.headers,
        )
        self._calls.append(call)
        return operation

    async def _answer(
        self, fault: Fault | None, request: web.Request, act: Act, *, slower: web.Response
    ) -> web.StreamResponse:
        if fault is None or fault is Fault.NO_URL:
            return await act()
        befallen = await befall(fault, request, act)
        return befallen if befallen is not None else self._shaped(fault, slower)

    def _shaped(self, fault: Fault, slower: web.Response) -> web.StreamResponse:
        match fault:
            case Fault.UNAUTHORIZED:
                return unauthorized()
            case Fault.TOO_MANY_REQUESTS:
                return too_many_requests(self._retry_after_s)
            case Fault.THROTTLED:
                return slower
            case _:
                return refusal(500, "Internal Server Error")

    async def _sign(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers["X-Request-Id"] = str(uuid.uuid4())
        if version := self.answers_version or request.match_info.get("version"):
            response.headers["X-Shopify-API-Version"] = version
