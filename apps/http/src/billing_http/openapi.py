"""The OpenAPI 3.1 document, made from the table of operations and the models the handlers use."""

import inspect
import re
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from billing_core import errors
from billing_core.domain.packs import PriceBook
from billing_core.domain.return_urls import MAX_LENGTH, ReturnUrlPolicy
from billing_core.errors import BillingError
from billing_http import openapi_words as words
from billing_http import refusals
from billing_http.billing import NewPurchase
from billing_http.health import Alive, Health
from billing_http.openapi_examples import answer_example, refusal_example, refusal_headers
from billing_http.operations import OPERATIONS, Operation
from billing_http.problems import MEDIA_TYPE, TABLE, Problem, status_of

COMMON: tuple[type[BillingError], ...] = (
    errors.InvalidRequest,
    errors.InvalidPlatform,
    errors.PlatformMismatch,
    errors.StorageUnavailable,
    errors.RateLimited,
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
# What any path may answer, and what is answered where there is no operation.
ANYWHERE: tuple[type[BillingError], ...] = (refusals.UriTooLong, refusals.HeadersTooLarge, refusals.InternalError)
NO_OPERATION: tuple[type[BillingError], ...] = (refusals.NotFound, refusals.MethodNotAllowed)


def openapi_document(
    platforms: Sequence[str], *, return_urls: ReturnUrlPolicy | None = None, price_book: PriceBook | None = None
) -> dict[str, Any]:
    """The document, with the platforms a caller may name, the return URLs it may send (by default those of production)
    and, where a price book is given, the packs and currencies that are sold."""
    kinds = _every_refusal()
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, platforms)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Billing",
            "summary": "Trials and credit packs of a merchant on an app platform.",
            "version": version("billing-http"),
            "description": words.description((kind.code, *TABLE[kind]) for kind in kinds),
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The Billing that serves this document"}],
        "tags": [{"name": name, "description": text} for name, text in words.TAGS.items()],
        "paths": paths | _service_paths(),
        "components": {
            "schemas": _schemas(return_urls or ReturnUrlPolicy(), price_book),
            "examples": {
                kind.code: {"summary": TABLE[kind][1], "value": refusal_example(kind)}
                for kind in kinds
                if kind not in NO_OPERATION
            },
            "headers": words.HEADERS,
            "securitySchemes": {"token": words.TOKEN},
        },
        "security": [{"token": []}],
    }


def _every_refusal() -> tuple[type[BillingError], ...]:
    """The first of each code, in the order of their statuses."""
    told = [*COMMON, *WITH_BODY, *(kind for each in OPERATIONS for kind in each.refusals), *NO_OPERATION]
    by_code = {kind.code: kind for kind in reversed(told)}
    return tuple(sorted(by_code.values(), key=lambda kind: (status_of(kind), kind.code)))


def _schemas(return_urls: ReturnUrlPolicy, price_book: PriceBook | None) -> dict[str, Any]:
    wanted: list[tuple[type[object], JsonSchemaMode]] = [(each, "serialization") for each in (Problem, Health, Alive)]
    wanted += [(each.result, "serialization") for each in OPERATIONS]
    wanted += [(each.body, "validation") for each in OPERATIONS if each.body]
    _, definitions = TypeAdapter.json_schemas(
        [(each.__name__, mode, TypeAdapter(each)) for each, mode in dict.fromkeys(wanted)],
        ref_template="#/components/schemas/{model}",
    )
    schemas: dict[str, Any] = definitions["$defs"]
    _narrow(schemas[NewPurchase.__name__], return_urls, price_book)
    return schemas


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
    summary, _, more = (inspect.getdoc(operation.handler) or "").partition("\n")
    document: dict[str, Any] = {
        "operationId": getattr(operation.handler, "__name__", operation.path),
        "summary": summary,
        "description": f"{more.strip()}\n\nNeeds a token with the scope `{operation.scope}`.".strip(),
        "tags": [operation.tag],
        "security": [{"token": [operation.scope]}],
        "parameters": _parameters(operation, platforms),
        "responses": {
            **{str(status): _success(operation, status) for status in operation.successes},
            **_refusals(kinds),
        },
    }
    if operation.body:
        content = {"schema": _schema(operation.body), "examples": words.BODIES[operation.body.__name__]}
        document["requestBody"] = {"required": True, "content": {"application/json": content}}
    return document


def _parameters(operation: Operation, platforms: Sequence[str]) -> list[dict[str, Any]]:
    parameters = [words.platform(platforms), *([words.IDEMPOTENCY_KEY] if operation.body else [])]
    parameters += [words.CORRELATION_ID, words.TRACEPARENT]
    parameters += [words.PATH[name] for name in re.findall(r"{(\w+)}", operation.path)]
    if operation.query:
        schema = operation.query.model_json_schema()
        for name, field in schema["properties"].items():
            inlined = _inlined(field, schema.get("$defs", {}))
            text = inlined.pop("description")
            parameter = {"name": name, "in": "query", "required": False, "description": text, "schema": inlined}
            parameters.append(parameter | {"example": words.QUERY[name]})
    return parameters


def _inlined(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A query parameter is told by being left out, never as null, so of a choice with null the other one is meant."""
    meant = next((each for each in field.get("anyOf", ()) if each.get("type") != "null"), field)
    if "$ref" in meant:
        meant = definitions[meant["$ref"].rpartition("/")[2]]
    merged = {**meant, **field}
    return {name: value for name, value in merged.items() if name not in ("anyOf", "$ref") and value is not None}


def _success(operation: Operation, status: int) -> dict[str, Any]:
    headers = ["X-Correlation-Id", "traceresponse", *words.RATE_LIMIT]
    headers += ["Idempotency-Replayed"] if operation.body else []
    headers += ["Location"] if status == 201 else []
    return {**_answer(operation.result, {200: "Done", 201: "Created"}[status]), "headers": _headers(headers)}


def _answer(result: type[object], description: str) -> dict[str, Any]:
    content = {"schema": _schema(result), "example": answer_example(result)}
    return {"description": description, "content": {"application/json": content}}


def _refusals(kinds: Iterable[type[BillingError]]) -> dict[str, Any]:
    by_status: dict[int, dict[str, type[BillingError]]] = {}
    for kind in kinds:
        by_status.setdefault(status_of(kind), {}).setdefault(kind.code, kind)
    return {str(status): _refusal(by_status[status]) for status in sorted(by_status)}


def _refusal(by_code: dict[str, type[BillingError]]) -> dict[str, Any]:
    examples = {code: {"$ref": f"#/components/examples/{code}"} for code in by_code}
    names = {"x-correlation-id", *(name for kind in by_code.values() for name in refusal_headers(kind))}
    if errors.RateLimited.code in by_code:
        names |= {name.lower() for name in words.RATE_LIMIT}
    return {
        "description": ", ".join(f"`{code}`" for code in by_code),
        "headers": _headers(name for name in words.HEADERS if name.lower() in names),
        "content": {MEDIA_TYPE: {"schema": _schema(Problem), "examples": examples}},
    }


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _schema(model: type[object]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _service_paths() -> dict[str, Any]:
    def answered(model: type[BaseModel], description: str, *more: str) -> dict[str, Any]:
        return {**_answer(model, description), "headers": _headers(("X-Correlation-Id", *more))}

    def path(name: str, summary: str, responses: dict[str, Any], scopes: Sequence[str] = ()) -> dict[str, Any]:
        return {
            "get": {
                "operationId": name,
                "summary": summary,
                "description": f"Needs a token with the scope `{scopes[0]}`." if scopes else "Needs no token.",
                "tags": ["Service"],
                "security": [{"token": list(scopes)}] if scopes else [],
                "responses": {**responses, **_refusals(ANYWHERE)},
            }
        }

    both = {"200": answered(Health, "Ready, perhaps degraded"), "503": answered(Health, "Not ready", "Retry-After")}
    text = {"text/plain": {"schema": {"type": "string"}, "example": words.METRICS}}
    metrics = {"200": {"description": "Prometheus text", "headers": _headers(["X-Correlation-Id"]), "content": text}}
    refused = _refusals((refusals.Unauthenticated, refusals.Forbidden))
    return {
        "/health": path("health", "How the service is", both),
        "/health/ready": path("ready", "Whether to send requests here", both),
        "/health/live": path("live", "Whether the process runs", {"200": answered(Alive, "It does")}),
        "/metrics": path("metrics", "What Prometheus scrapes", {**metrics, **refused}, ["metrics:read"]),
    }
