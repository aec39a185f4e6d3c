"""`/openapi.json`, and `/docs`: the reference, drawn by Swagger UI from files that are shipped with this package."""

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billing_adapters.settings import Settings
from billing_http.openapi import openapi_document
from billing_http.state import State

# Nothing inline, nothing from elsewhere. Swagger UI's pictures are within its style sheet, as `data:`.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_FILES: Final[Mapping[str, str]] = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "start.js": "text/javascript",
}


def docs_routes(settings: Settings) -> Sequence[Route]:
    """The routes of the documentation, of what the deployment sells and where."""
    document = openapi_document(
        settings.platforms, return_urls=settings.return_url_policy, price_book=settings.load_price_book()
    )
    return [
        _shows("/openapi.json", json.dumps(document, indent=2).encode(), "application/json"),
        _shows("/docs", _content("page.html"), "text/html", **{"Content-Security-Policy": _POLICY}),
        *(
            # Asked for again each time: they change with the service.
            _shows(f"/docs/{name}", _content(name), media_type, **{"Cache-Control": "no-cache"})
            for name, media_type in _FILES.items()
        ),
    ]


def _content(name: str) -> bytes:
    return resources.files("billing_http").joinpath("reference", name).read_bytes()


def _shows(path: str, content: bytes, media_type: str, **headers: str) -> Route:
    async def show(request: Request[State]) -> Response:
        return Response(content, media_type=media_type, headers=headers)

    return Route(path, show)
