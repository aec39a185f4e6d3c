"""The OpenAPI 3.1 document, made from the table of operations and the models the handlers use."""

import inspect
import json
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from billing_adapters.settings import KNOWN_PLATFORMS
from billing_core import errors
from billing_core.domain.packs import PriceBook
from billing_core.domain.return_urls import MAX_LENGTH, ReturnUrlPolicy
from billing_core.errors import BillingError
from billing_http import refusals
from billing_http.billing import NewPurchase
from billing_http.health import Alive, Health
from billing_http.operations import OPERATIONS, Operation
from billing_http.problems import MEDIA_TYPE, Problem, status_of
from billing_http.requests import IDEMPOTENCY_KEY_PATTERN

COMMON: tuple[type[BillingError], ...] = (
    errors.InvalidRequest,
    errors.InvalidPlatform,
    errors.PlatformMismatch,
    errors.StorageUnavailable,
    refusals.Unauthenticated,
    refusals.Forbidden,
    refusals.UriTooLong,
    refusals.HeadersTooLarge,
    refusals.InternalError,
)
WITH_BODY: tuple[type[BillingError], ...] = (
    refusals.IdempotencyKeyRequired,
    refusals.RequestTimeout,
    refusals.PayloadTooLarge,
    refusals.UnsupportedMediaType,
)


def openapi_document(
    platforms: Sequence[str], *, return_urls: ReturnUrlPolicy | None = None, price_book: PriceBook | None = None
) -> dict[str, Any]:
    """The document, with the platforms a caller may name, the return URLs it may send (by default those of production)
    and, where a price book is given, the packs and currencies that are sold."""
    wanted: list[tuple[type[object], JsonSchemaMode]] = [(each, "serialization") for each in (Problem, Health, Alive)]
    wanted += [(each.result, "serialization") for each in OPERATIONS]
    wanted += [(each.body, "validation") for each in OPERATIONS if each.body]
    _, definitions = TypeAdapter.json_schemas(
        [(each.__name__, mode, TypeAdapter(each)) for each, mode in dict.fromkeys(wanted)],
        ref_template="#/components/schemas/{model}",
    )
    _narrow(definitions["$defs"][NewPurchase.__name__], return_urls or ReturnUrlPolicy(), price_book)
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, platforms)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Billing",
            "version": version("billing-http"),
            "description": "Trials and credit packs. Refusals are problem documents (RFC 9457); branch on `code`.",
        },
        "paths": paths | _health_paths() | _metrics_path(),
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
        "security": [{"token": []}],
    }


def _narrow(purchase: dict[str, Any], return_urls: ReturnUrlPolicy, price_book: PriceBook | None) -> None:
    """This will say of a new purchase what the model cannot know, so that what the schema allows is not refused."""
    fields = purchase["properties"]
    fields["return_url"] |= {"pattern": return_urls.pattern, "maxLength": MAX_LENGTH}
    if price_book is not None:
        sold = [pack for catalog in price_book.versions for pack in catalog.for_sale]
        fields["pack"]["enum"] = list(dict.fromkeys(pack.code for pack in sold))
        currency = next(each for each in fields["currency"]["anyOf"] if each["type"] == "string")
        currency["enum"] = list(dict.fromkeys(price.currency for pack in sold for price in pack.prices))


def _operation(operation: Operation, platforms: Sequence[str]) -> dict[str, Any]:
    kinds = (*COMMON, *(WITH_BODY if operation.body else ()), *operation.refusals)
    document: dict[str, Any] = {
        "operationId": getattr(operation.handler, "__name__", operation.path),
        "summary": (inspect.getdoc(operation.handler) or "").split("\n")[0],
        "security": [{"token": [operation.scope]}],
        "parameters": _parameters(operation, platforms),
        "responses": {
            **{str(status): _success(operation, status) for status in operation.successes},
            **_refusals(kinds),
        },
    }
    if operation.body:
        schema = {"$ref": f"#/components/schemas/{operation.body.__name__}"}
        document["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return document


def _parameters(operation: Operation, platforms: Sequence[str]) -> list[dict[str, Any]]:
    parameters = [_header("X-Platform", {"type": "string", "enum": list(platforms)}, required=True)]
    if operation.body:
        key = {"type": "string", "pattern": IDEMPOTENCY_KEY_PATTERN}
        parameters.append(_header("Idempotency-Key", key, required=True))
    # No patterns: what is not well formed is replaced or left out, and never refused.
    taken = "Taken where it has 1-128 characters of A-Z a-z 0-9 . _ : -; otherwise a new one is made."
    parameters.append(_header("X-Correlation-Id", {"type": "string"}, description=taken))
    parameters.append(_header("traceparent", {"type": "string"}, description="Continued where it is well formed."))
    parameters += [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    if operation.query:
        schema = operation.query.model_json_schema()
        for name, field in schema["properties"].items():
            field = _inlined(field, schema.get("$defs", {}))
            parameters.append({"name": name, "in": "query", "required": False, "schema": field})
    return parameters


def _inlined(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A query parameter is told by being left out, never as null, so of a choice with null the other one is meant."""
    meant = next((each for each in field.get("anyOf", ()) if each.get("type") != "null"), field)
    if "$ref" in meant:
        meant = definitions[meant["$ref"].rpartition("/")[2]]
    merged = {**field, **meant}
    return {name: value for name, value in merged.items() if name not in ("anyOf", "$ref") and value is not None}


def _header(name: str, schema: dict[str, Any], *, required: bool = False, description: str = "") -> dict[str, Any]:
    told = {"description": description} if description else {}
    return {"name": name, "in": "header", "required": required, **told, "schema": schema}


def _success(operation: Operation, status: int) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{operation.result.__name__}"}
    headers = {"X-Correlation-Id": {"schema": {"type": "string"}}}
    if operation.body:
        headers["Idempotency-Replayed"] = {"schema": {"const": "true"}}
    if status == 201:
        headers["Location"] = {"schema": {"type": "string", "format": "uri-reference"}}
    description = {200: "Done", 201: "Created"}[status]
    return {"description": description, "headers": headers, "content": {"application/json": {"schema": schema}}}


def _refusals(kinds: Sequence[type[BillingError]]) -> dict[str, Any]:
    by_status: dict[str, list[str]] = {}
    for kind in kinds:
        codes = by_status.setdefault(str(status_of(kind)), [])
        if kind.code not in codes:
            codes.append(kind.code)
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": ", ".join(f"`{code}`" for code in codes), "content": content}
        for status, codes in sorted(by_status.items())
    }


def _health_paths() -> dict[str, Any]:
    def answer(model: type[BaseModel], description: str) -> dict[str, Any]:
        schema = {"$ref": f"#/components/schemas/{model.__name__}"}
        return {"description": description, "content": {"application/json": {"schema": schema}}}

    def path(name: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
        return {"get": {"operationId": name, "summary": summary, "security": [], "responses": responses}}

    both = {"200": answer(Health, "Ready, perhaps degraded"), "503": answer(Health, "Not ready")}
    return {
        "/health": path("health", "How the service is", both),
        "/health/ready": path("ready", "Whether to send requests here", both),
        "/health/live": path("live", "Whether the process runs", {"200": answer(Alive, "It does")}),
    }


def _metrics_path() -> dict[str, Any]:
    text = {"description": "Prometheus text", "content": {"text/plain": {"schema": {"type": "string"}}}}
    codes = _refusals((refusals.Unauthenticated, refusals.Forbidden))
    operation = {"operationId": "metrics", "summary": "Metrics", "security": [{"token": ["metrics:read"]}]}
    return {"/metrics": {"get": {**operation, "responses": {"200": text, **codes}}}}


if __name__ == "__main__":
    # The copy in the project names every platform there is; a running app names those it is configured with.
    sys.stdout.write(json.dumps(openapi_document(KNOWN_PLATFORMS), indent=2) + "\n")
