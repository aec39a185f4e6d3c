"""`/openapi.json`, and `/docs`: the same document as one page of plain HTML, with nothing loaded from elsewhere."""

import json
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from billing_adapters.settings import Settings
from billing_http.openapi import openapi_document
from billing_http.state import State

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430 }
h2 { margin-top: 2.5rem; border-top: 1px solid #d5dbe3; padding-top: 1rem }
code, pre { font-family: ui-monospace, monospace }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; vertical-align: top }
pre { background: #f3f5f8; padding: .8rem; overflow-x: auto }
"""


def docs_routes(settings: Settings) -> Sequence[Route]:
    """The routes of the documentation, of what the deployment sells and where."""
    document = openapi_document(
        settings.platforms, return_urls=settings.return_url_policy, price_book=settings.load_price_book()
    )
    text, page = json.dumps(document, indent=2), _page(document)

    async def openapi(request: Request[State]) -> Response:
        return Response(text, media_type="application/json")

    async def docs(request: Request[State]) -> Response:
        return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})

    return [Route("/openapi.json", openapi), Route("/docs", docs)]


def _page(document: dict[str, Any]) -> str:
    info = document["info"]
    operations = [
        "".join(_operation(path, method, operation))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = [
        f"<h3 id='{escape(name)}'>{escape(name)}</h3><pre>{escape(json.dumps(schema, indent=2))}</pre>"
        for name, schema in document["components"]["schemas"].items()
    ]
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{escape(info['title'])}</title>"
        f"<meta name='viewport' content='width=device-width'><style>{_STYLE}</style></head><body><main>"
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}</p>"
        f"<p><a href='/openapi.json'>openapi.json</a></p>{''.join(operations)}"
        f"<h2>Schemas</h2>{''.join(schemas)}</main></body></html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2><p>{escape(operation['summary'])}</p>"
    for scopes in operation["security"]:
        yield f"<p>Token with scope <code>{escape(', '.join(scopes['token']))}</code></p>"
    if parameters := operation.get("parameters"):
        yield "<table><tr><th>Parameter</th><th>In</th><th>Required</th></tr>"
        for each in parameters:
            name, required = escape(each["name"]), "yes" if each["required"] else "no"
            yield f"<tr><td><code>{name}</code></td><td>{escape(each['in'])}</td><td>{required}</td></tr>"
        yield "</table>"
    if body := operation.get("requestBody"):
        yield f"<p>Body: {_link(body['content'])}</p>"
    yield "<table><tr><th>Status</th><th>Meaning</th><th>Document</th></tr>"
    for status, response in operation["responses"].items():
        meaning = escape(response["description"].replace("`", ""))
        yield f"<tr><td>{escape(status)}</td><td>{meaning}</td><td>{_link(response['content'])}</td></tr>"
    yield "</table>"


def _link(content: dict[str, Any]) -> str:
    ((media_type, described),) = content.items()
    name = described["schema"].get("$ref", "").rpartition("/")[2]
    return f"<a href='#{escape(name)}'>{escape(name)}</a>" if name else escape(media_type)
