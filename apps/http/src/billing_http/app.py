"""The application: its routes, what surrounds them, and what is open while it runs."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billing_adapters.clock import new_id
from billing_adapters.logs import get_logger
from billing_adapters.postgres.patience import PROMPT
from billing_adapters.resources import open_resources
from billing_adapters.settings import Settings
from billing_core.errors import BillingError, PlatformError, StorageUnavailable
from billing_http.container import Container
from billing_http.docs_page import docs_routes
from billing_http.health import health_routes
from billing_http.metrics import CONTENT_TYPE, HttpMetrics
from billing_http.middleware import Correlation, Limits, Observation
from billing_http.operations import billing_routes
from billing_http.pages import development_routes, sandbox_routes
from billing_http.problems import problem_response, status_of
from billing_http.refusals import HttpRefusal, InternalError, MethodNotAllowed, NotFound
from billing_http.requests import authenticate
from billing_http.state import Billing, Drain, OpenBilling, State
from billing_http.webhooks import BODY_BYTES, webhook_routes


@asynccontextmanager
async def open_billing(settings: Settings) -> AsyncIterator[Billing]:
    """This will open Postgres, Redis, NATS and the platforms of the configuration, and close them at the end."""
    async with open_resources(settings, app="http", patience=PROMPT) as resources:
        yield Container(settings=settings, resources=resources).billing()


def create_app(
    settings: Settings, open_billing: OpenBilling = open_billing, *, drain: Drain | None = None
) -> Starlette:
    """This will make the application. `open_billing` opens what it works with; tests hand in one over memory.
    `drain`, once begun, makes it unready."""
    metrics, drain = HttpMetrics(), drain or Drain()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[State]:
        async with open_billing(settings) as billing:
            yield State(**billing, settings=settings, metrics=metrics, drain=drain)

    app = Starlette(
        routes=_routes(settings),
        middleware=[
            Middleware(Correlation, new_id=new_id),
            Middleware(Observation, metrics=metrics),
            Middleware(Limits, body_bytes=BODY_BYTES),
        ],
        exception_handlers={BillingError: _refuse, HTTPException: _refuse_route},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # a path with a slash too many is an unknown path
    return app


def _routes(settings: Settings) -> Sequence[Route]:
    routes = [*billing_routes(), *health_routes(), Route("/metrics", _metrics), *webhook_routes(settings)]
    if settings.docs:
        routes += docs_routes(settings.platforms)
    # People's pages, without tokens: only where the configuration asks for them.
    if "sandbox" in settings.platforms:
        routes += sandbox_routes(settings)
    if settings.development_page:
        routes += development_routes(settings)
    return routes


async def _metrics(request: Request[State]) -> Response:
    if request.state["settings"].metrics_auth == "token":
        await authenticate(request, "metrics:read")
    return Response(request.state["metrics"].text(), headers={"Content-Type": CONTENT_TYPE})


async def _refuse(request: Request, refusal: Exception) -> Response:
    if not isinstance(refusal, BillingError):
        raise refusal
    if isinstance(refusal, (PlatformError, StorageUnavailable)):
        get_logger("http").warning("not_available", error=type(refusal).__name__, reason=str(refusal))
    elif status_of(type(refusal)) == HTTPStatus.INTERNAL_SERVER_ERROR:
        get_logger("http").error("unexpected_refusal", exc_info=refusal)
    return problem_response(request.scope, refusal)


async def _refuse_route(request: Request, refusal: Exception) -> Response:
    """Starlette's own refusals: no route, or not this method."""
    if not isinstance(refusal, HTTPException):
        raise refusal
    known: HttpRefusal = InternalError()
    if refusal.status_code == 404:
        known = NotFound()
    elif refusal.status_code == 405:
        known = MethodNotAllowed(str((refusal.headers or {}).get("Allow", "")).split(", "))
    return problem_response(request.scope, known)
