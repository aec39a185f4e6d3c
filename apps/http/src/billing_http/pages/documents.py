"""HTML documents: templates in, responses with strict security headers out."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import PurePath
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

# Nothing inline, nothing from elsewhere. `form-action 'self'` also governs where a form's redirect may lead, so forms
# here redirect only to our own pages; the way back to the merchant's shop is a plain link.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # The checkout's address carries its signed offer: it goes to nobody else, and no cache keeps the page.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def document(template: str, *, status_code: int = 200, static: str = "/sandbox/static", **values: Any) -> HTMLResponse:
    """This will render a template (autoescaped; a missing value is an error) as a page; its files are at `static`."""
    html = _templates().get_template(template).render({**values, "static": static})
    return HTMLResponse(html, status_code, headers=SECURITY_HEADERS)


def trouble(
    status_code: int, title: str, *sentences: str, remedy: str = "", static: str = "/sandbox/static"
) -> HTMLResponse:
    """This will tell a person what is wrong and what to do."""
    said = {"title": title, "sentences": sentences, "remedy": remedy}
    return document("trouble.html", status_code=status_code, static=static, **said)


async def static_file(request: Request) -> Response:
    """One of the few files the pages need; always asked for again, since they change with the service."""
    file = _static_files().get(request.path_params["name"])
    if file is None:
        return PlainTextResponse("There is no such file.\n", 404, headers=SECURITY_HEADERS)
    media_type, content = file
    return Response(content, media_type=media_type, headers={**SECURITY_HEADERS, "Cache-Control": "no-cache"})


@cache
def _templates() -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("billing_http.pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["number"] = _number
    return templates


def _number(value: int) -> str:
    """A number for people: `1000`, `10,000`."""
    return f"{value:,}" if value >= 10_000 else str(value)


@cache
def _static_files() -> Mapping[str, tuple[str, bytes]]:
    """Media type and content of each file, by name: what was not there at first is never served."""
    files = {each.name: each for each in resources.files("billing_http.pages").joinpath("static").iterdir()}
    types = {name: _TYPES.get(PurePath(name).suffix) for name in files}
    return {name: (media_type, files[name].read_bytes()) for name, media_type in types.items() if media_type}
