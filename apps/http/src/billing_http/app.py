"""The application: its routes, what surrounds them, and what is open while it runs."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from billing_adapters.clock import new_correlation_id
from billing_adapters.postgres.patience import PROMPT
from billing_adapters.prometheus.watching import watching
from billing_adapters.resources import open_resources
from billing_adapters.settings import Settings
from billing_http.container import Container
from billing_http.docs_page import docs_routes
from billing_http.edge import Edge
from billing_http.health import health_routes
from billing_http.metrics import CONTENT_TYPE, HttpMetrics
from billing_http.operations import billing_routes
from billing_http.pages import development_routes, sandbox_routes
from billing_http.requests import authenticate
from billing_http.state import Billing, Drain, OpenBilling, State
from billing_http.webhooks import BODY_BYTES, webhook_routes


@asynccontextmanager
async def open_billing(settings: Settings, metrics: HttpMetrics) -> AsyncIterator[Billing]:
    """This will open Postgres, Redis, NATS and the platforms of the configuration, watch them, and close them at the
    end."""
    async with (
        open_resources(settings, app="http", patience=PROMPT, traced=True) as resources,
        watching(resources, metrics.process),
    ):
        billing = Container(settings=settings, resources=resources, calls=metrics.process).billing()
        in_step = nullcontext() if (limits := billing["limits"]) is None else limits.kept_in_step()
        async with billing["tokens"].kept_fresh(), in_step:
            yield billing


def create_app(
    settings: Settings,
    opening: OpenBilling | None = None,
    *,
    drain: Drain | None = None,
    metrics: HttpMetrics | None = None,
) -> Starlette:
    """This will make the application. `opening` opens what it works with, by default `open_billing`; tests hand in one
    over memory. `drain`, once begun, makes it unready."""
    metrics, drain = metrics or HttpMetrics(), drain or Drain()
    opening = opening or partial(open_billing, metrics=metrics)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[State]:
        async with opening(settings) as billing:
            metrics.follow(billing["limits"])
            billing["nats"].tell_denials(metrics.process.count_denial)
            yield State(**billing, settings=settings, metrics=metrics, drain=drain)

    app = _App(routes=_routes(settings), lifespan=lifespan, metrics=metrics)
    app.router.redirect_slashes = False  # a path with a slash too many is an unknown path
    return app


class _App(Starlette):
    """Starlette with `Edge` around its routes, which also does what its own two layers for errors do."""

    def __init__(self, *, metrics: HttpMetrics, **options: Any) -> None:
        super().__init__(**options)
        self._metrics = metrics

    def build_middleware_stack(self) -> ASGIApp:
        """The routes and what surrounds them."""
        return Edge(self.router, new_id=new_correlation_id, metrics=self._metrics, body_bytes=BODY_BYTES)


def _routes(settings: Settings) -> Sequence[Route]:
    routes = [*billing_routes(), *health_routes(), Route("/metrics", _metrics), *webhook_routes(settings)]
    if settings.docs:
        routes += docs_routes(settings)
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
