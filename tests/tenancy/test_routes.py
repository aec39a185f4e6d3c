"""Every route and verb with another merchant's ids, made from the app's own table of routes.

A route that is added has no crossing here, and `test_every_route_is_crossed` fails until it has one.
"""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from tests.apps.http.door import SCOPES, signed, some_claims, some_settings
from tests.tenancy.neighbours import Neighbour, Neighbours

from billing_adapters.clock import SystemClock
from billing_adapters.postgres import roles
from billing_adapters.postgres.statements import Statement
from billing_adapters.postgres.tables import metadata
from billing_adapters.postgres.wire import Record, Wire
from billing_http.app import create_app
from billing_http.operations import OPERATIONS

_row = Wire.row
UNKNOWN = UUID("0192f5c0-0000-7000-8000-000000000000")
SETTINGS: Mapping[str, Any] = {
    "platforms": ("sandbox",),
    "docs": True,
    "development_page": True,
    "webhook_door": True,
    "shopify_client_secret": "sample",
    "metrics_auth": "token",
}
# Routes that speak of no merchant to whoever asks, and why. They are asked with my token and must not tell of theirs.
ABOUT_NOBODY = {
    ("GET", "/health"): "how the process is",
    ("GET", "/health/live"): "how the process is",
    ("GET", "/health/ready"): "how the process is",
    ("GET", "/metrics"): "figures of the process, with no merchant in their labels",
    ("GET", "/openapi.json"): "the contract",
    ("GET", "/docs"): "the contract",
    ("GET", "/docs/start.js"): "the page that shows the contract",
    ("GET", "/docs/swagger-ui-bundle.js"): "the page that shows the contract",
    ("GET", "/docs/swagger-ui.css"): "the page that shows the contract",
}
# Pages of a developer's own machine, where who opens them is everybody; production refuses to serve them.
DEVELOPMENT_ONLY = {
    ("GET", "/sandbox/checkout/{reference}"),
    ("POST", "/sandbox/checkout/{reference}"),
    ("GET", "/sandbox/static/{name}"),
    ("GET", "/"),
    ("GET", "/development/token"),
    ("GET", "/development/events"),
    ("GET", "/development/receipts/{purchase_id:uuid}"),
    ("POST", "/development/merchants"),
    ("GET", "/development/static/{name}"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """My token at the running app."""

    client: httpx2.AsyncClient
    mine: Neighbour
    theirs: Neighbour

    async def ask(self, method: str, path: str, **more: Any) -> httpx2.Response:
        """This will ask as myself."""
        claims = some_claims(
            SystemClock(), self.mine.merchant.merchant_id, scope=f"{SCOPES} metrics:read", iss="issuer"
        )
        headers = {
            "Authorization": f"Bearer {signed(claims)}",
            "X-Platform": "sandbox",
            "Idempotency-Key": more.pop("key", str(uuid4())),
        }
        return await self.client.request(method, path, headers=headers, **more)


Crossing = Callable[[Visit], Awaitable[None]]


@pytest.fixture(params=[roles.API, "admin"], ids=["both walls", "the first wall alone"])
async def visit(
    request: pytest.FixtureRequest,
    neighbours: Neighbours,
    role_urls: Mapping[str, str],
    redis_url: str,
    nats_url: str,
) -> AsyncIterator[Visit]:
    """The app on real servers, with its real role, and as a superuser, whom row-level security does not hold."""
    urls = {"database_url": role_urls[request.param], "redis_url": redis_url, "nats_url": nats_url}
    async with asked(create_app(some_settings(**{**SETTINGS, **urls}))) as client:
        yield Visit(client=client, mine=neighbours.mine, theirs=neighbours.theirs)


@asynccontextmanager
async def asked(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the app while it runs."""
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": dict(state or {})}, receive, send)

        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(with_state), base_url="http://billing.test") as it:
            yield it


# --- the crossings ---------------------------------------------------------------------------------------------------


async def overview(visit: Visit) -> None:
    """My overview is mine, whoever else is named beside."""
    mine = await visit.ask("GET", "/api/billing")
    assert mine.json()["merchant"]["id"] == visit.mine.merchant.merchant_id
    assert mine.json()["purchases"]["credits_purchased"] == visit.mine.archived.offer.total_credits
    await names_them(visit, "GET", "/api/billing")


async def show_trial(visit: Visit) -> None:
    """My trial is mine."""
    mine = await visit.ask("GET", "/api/billing/trials")
    assert mine.json()["id"] == str(visit.mine.trial.trial_id)
    await names_them(visit, "GET", "/api/billing/trials")


async def activate_trial(visit: Visit) -> None:
    """Their idempotency key is none of mine: nothing is replayed, and my own trial is what counts."""
    crossed = await visit.ask("POST", "/api/billing/trials", json={}, key=visit.theirs.key.key.key)
    assert (crossed.status_code, crossed.json()["code"]) == (409, "TRIAL_ALREADY_USED")
    await names_them(visit, "POST", "/api/billing/trials", json={})
    named = await visit.ask("POST", "/api/billing/trials", json={"merchant_id": visit.theirs.merchant.merchant_id})
    assert (named.status_code, named.json()["code"]) == (400, "INVALID_REQUEST")


async def create_purchase(visit: Visit) -> None:
    """Their open purchase of the same pack is not given to me, nor their answer under the same key."""
    wanted = {"pack": "small", "return_url": "https://mine.example/billing"}
    bought = await visit.ask("POST", "/api/billing/purchases", json=wanted, key=visit.theirs.key.key.key)
    assert bought.status_code == 201
    assert bought.json()["merchant_id"] == visit.mine.merchant.merchant_id
    assert "idempotency-replayed" not in bought.headers
    named = wanted | {"merchant_id": visit.theirs.merchant.merchant_id}
    refused = await visit.ask("POST", "/api/billing/purchases", json=named)
    assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_REQUEST")


async def list_purchases(visit: Visit) -> None:
    """Only mine, live or archived, also from a place in their list on."""
    after_theirs = _cursor(UUID(int=visit.theirs.live.purchase_id.int + 1))
    for query in ("", "?archived=true", f"?cursor={after_theirs}", f"?archived=true&cursor={after_theirs}"):
        page = (await visit.ask("GET", f"/api/billing/purchases{query}")).json()
        assert {each["merchant_id"] for each in page["data"]} <= {visit.mine.merchant.merchant_id}
        assert page["data"] or "cursor" in query
    await names_them(visit, "GET", "/api/billing/purchases")


async def show_purchase(visit: Visit) -> None:
    """Theirs answers as an id that never was."""
    await answers_as_unknown(visit, "/api/billing/purchases/{}")


async def show_history(visit: Visit) -> None:
    """Theirs answers as an id that never was; so does what is no purchase of theirs but has a history."""
    await answers_as_unknown(visit, "/api/billing/purchases/{}/history", visit.theirs.trial.trial_id)


async def list_packs(visit: Visit) -> None:
    """What I can buy is told without a word of them."""
    await names_them(visit, "GET", "/api/billing/packs")


CROSSINGS: Mapping[tuple[str, str], Crossing] = {
    ("GET", "/api/billing"): overview,
    ("POST", "/api/billing/trials"): activate_trial,
    ("GET", "/api/billing/trials"): show_trial,
    ("POST", "/api/billing/purchases"): create_purchase,
    ("GET", "/api/billing/purchases"): list_purchases,
    ("GET", "/api/billing/purchases/{id}"): show_purchase,
    ("GET", "/api/billing/purchases/{id}/history"): show_history,
    ("GET", "/api/billing/packs"): list_packs,
}


async def answers_as_unknown(visit: Visit, path: str, *more: UUID) -> None:
    """Each of their ids is answered word for word like one nobody has: status, headers and body."""
    unknown = _told(await visit.ask("GET", path.format(UNKNOWN)), UNKNOWN)
    assert unknown[0] == 404
    for each in (visit.theirs.live.purchase_id, visit.theirs.archived.purchase_id, *more):
        assert _told(await visit.ask("GET", path.format(each)), each) == unknown


async def names_them(visit: Visit, method: str, path: str, **more: Any) -> None:
    """Their id in the query is refused, and in headers that other services know it is nothing."""
    theirs = visit.theirs.merchant.merchant_id
    named = await visit.ask(method, f"{path}?merchant_id={theirs}", **more)
    assert (named.status_code, named.json()["code"]) == (400, "INVALID_REQUEST")


def _told(answer: httpx2.Response, asked_for: UUID) -> tuple[int, dict[str, str], str]:
    """All of an answer but what every answer has of its own: its correlation id, and the path that was asked for."""
    own = (answer.headers["x-correlation-id"], str(asked_for))
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-correlation-id", "traceparent")}
    body = answer.text
    for each in own:
        body = body.replace(each, "…")
    return answer.status_code, headers, body


def _cursor(purchase_id: UUID) -> str:
    return base64.urlsafe_b64encode(purchase_id.bytes).decode().rstrip("=")


# --- the tests -------------------------------------------------------------------------------------------------------


def _routes(**changes: Any) -> set[tuple[str, str]]:
    """Every verb of every path the app answers."""
    app = create_app(some_settings(**{**SETTINGS, **changes}))
    routes = [route for route in app.routes if isinstance(route, Route)]
    assert len(routes) == len(app.routes)
    return {(method, route.path) for route in routes for method in route.methods or () if method != "HEAD"}


def test_every_route_is_crossed() -> None:
    """The table of routes and what is tried here are one list."""
    webhooks = {("POST", "/webhooks/shopify")}  # proves itself by the platform's signature, and answers nothing

    assert _routes() - DEVELOPMENT_ONLY - ABOUT_NOBODY.keys() - webhooks == CROSSINGS.keys()
    assert {(each.method, each.path) for each in OPERATIONS} == CROSSINGS.keys()
    assert _routes(env="production", platforms=("stripe",), development_page=False, docs=False) <= {
        *CROSSINGS,
        *ABOUT_NOBODY,
        *webhooks,
        ("POST", "/webhooks/stripe"),
    }


@pytest.mark.parametrize("route", CROSSINGS, ids=" ".join)
async def test_another_merchants_ids_get_nothing(route: tuple[str, str], visit: Visit, admin: Any) -> None:
    """Neither a word of what is theirs nor a change of it."""
    before = await _everything_of(admin, visit.theirs)
    heard: list[httpx2.Response] = []
    visit.client.event_hooks["response"].append(_keeping(heard))

    await CROSSINGS[route](visit)

    assert heard
    for answer in heard:
        _tells_nothing_of(visit.theirs, answer)
    assert await _everything_of(admin, visit.theirs) == before


@pytest.mark.parametrize("route", ABOUT_NOBODY, ids=" ".join)
async def test_what_is_about_nobody_tells_of_nobody(route: tuple[str, str], visit: Visit) -> None:
    """After both have been asked about, so that there is something to tell."""
    await visit.ask("GET", "/api/billing")
    answer = await visit.ask(*route)

    assert answer.status_code == 200
    for each in (visit.mine, visit.theirs):
        _tells_nothing_of(each, answer)


@pytest.mark.parametrize("path", ["/api/billing/purchases/{}", "/api/billing/purchases/{}/history"])
async def test_a_foreign_id_is_looked_for_as_an_unknown_one(
    path: str, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same statements in the same order: nothing is asked first, so no answer takes longer for what it found."""
    run: list[str] = []

    async def row(wire: Wire, statement: Statement, **values: object) -> Record | None:
        run.append(statement.text)
        return await _row(wire, statement, **values)

    monkeypatch.setattr(Wire, "row", row)
    told = []
    for each in (UNKNOWN, visit.theirs.live.purchase_id, visit.theirs.archived.purchase_id):
        run.clear()
        answer = await visit.ask("GET", path.format(each))
        told.append((answer.status_code, *run))

    assert told[0][0] == 404
    assert len(told[0]) > 1
    assert told[1:] == told[:1] * 2


def _keeping(heard: list[httpx2.Response]) -> Callable[[httpx2.Response], Awaitable[None]]:
    async def keep(answer: httpx2.Response) -> None:
        await answer.aread()
        heard.append(answer)

    return keep


def _tells_nothing_of(other: Neighbour, answer: httpx2.Response) -> None:
    """What the caller sent itself may come back; nothing else of the other may."""
    sent = f"{answer.request.url} {answer.request.headers} {answer.request.content!r}"
    told = f"{answer.headers} {answer.text}"
    assert [mark for mark in other.marks() if mark in told and mark not in sent] == []


async def _everything_of(admin: Any, other: Neighbour) -> Mapping[str, Any]:
    """Every row of theirs, as a superuser sees them."""
    tables = [table.name for table in metadata.sorted_tables if "merchant_id" in table.c]
    rows = {
        table: await admin.fetch(f'select * from "{table}" where merchant_id = $1', other.merchant.merchant_id)  # noqa: S608
        for table in tables
    }
    return {
        table: sorted(json.dumps([str(value) for value in row.values()]) for row in found)
        for table, found in rows.items()
    }
