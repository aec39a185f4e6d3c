"""Shopify's own schemas, and the execution of documents against them with graphql-core."""

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib.resources import files
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLScalarType,
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
    get_operation_ast,
    graphql_sync,
    parse,
)
from graphql.language import FieldNode

ADMIN_VERSION = "2026-10"
PARTNER_VERSION = "2026-07"
INVALID = "invalid"
_OPERATIONS = {
    "appPurchaseOneTimeCreate": "create",
    "node": "look_up",
    "nodes": "look_up",
    "currentAppInstallation": "find",
    "transactions": "partner",
    "transaction": "partner",
}


@cache
def admin_schema() -> GraphQLSchema:
    """The Admin API's billing part, as Shopify publishes it."""
    return _schema(f"admin_{ADMIN_VERSION}.billing.graphql")


@cache
def partner_schema() -> GraphQLSchema:
    """The Partner API's billing part, as Shopify publishes it."""
    return _schema(f"partner_{PARTNER_VERSION}.billing.graphql")


@cache
def notice_schema() -> Mapping[str, Any]:
    """The JSON Schema of the body of `app_purchases_one_time/update`."""
    schema: Mapping[str, Any] = _json("app_purchases_one_time.update.schema.json")
    return schema


@cache
def sample_notice() -> Mapping[str, Any]:
    """Shopify's own sample of that body."""
    sample: Mapping[str, Any] = _json("app_purchases_one_time.update.metadata.json")["response"]
    return sample


def operation_of(document: str, name: str | None) -> str:
    """What a document asks for, in the words faults and calls are filed under; `invalid` where it cannot be read."""
    try:
        operation = get_operation_ast(parse(document), name)
    except GraphQLError:
        return INVALID
    return _first_field(operation) if operation is not None else INVALID


def execute(schema: GraphQLSchema, request: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """This will answer a request `{query, variables, operationName}` as GraphQL does: `data`, `errors` or both."""
    result = graphql_sync(
        schema,
        request["query"],
        root,
        variable_values=request.get("variables"),
        operation_name=request.get("operationName"),
    )
    answer: dict[str, Any] = {} if result.data is None else {"data": result.data}
    if result.errors:
        answer["errors"] = [error.formatted for error in result.errors]
    return answer


def _schema(file: str) -> GraphQLSchema:
    schema = build_schema(_text(file))
    decimals = schema.type_map["Decimal"]
    if not isinstance(decimals, GraphQLScalarType):
        raise TypeError(f"{file} has no scalar Decimal")
    decimals.parse_value = _decimal  # type: ignore[method-assign]  # how graphql-core gives SDL scalars their meaning
    return schema


def _json(file: str) -> Any:
    return json.loads(_text(file))


def _text(file: str) -> str:
    return (files("billing_adapters.stand_ins") / "schemas" / "shopify" / file).read_text("utf-8")


def _decimal(value: Any) -> Decimal:
    """A Decimal travels as a string; Shopify takes a number too."""
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise GraphQLError(f"invalid decimal {value!r}") from None
    if isinstance(value, bool) or not amount.is_finite():
        raise GraphQLError(f"invalid decimal {value!r}")
    return amount


def _first_field(operation: OperationDefinitionNode) -> str:
    first = operation.selection_set.selections[0]
    return _OPERATIONS.get(first.name.value, first.name.value) if isinstance(first, FieldNode) else INVALID
