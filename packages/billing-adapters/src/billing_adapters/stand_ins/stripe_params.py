"""What parameters each of Stripe's calls takes, by schema."""

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match

from billing_adapters.stand_ins.stripe_answers import Refusal
from billing_adapters.stand_ins.stripe_form import Schema, UnreadableForm, read_form

_EXPAND: Schema = {"type": "array", "items": {"type": "string"}}
_PAGE: Schema = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 100},
    "starting_after": {"type": "string"},
    "expand": _EXPAND,
}
_MOMENTS: Schema = {
    "type": "object",
    "properties": {bound: {"type": "integer"} for bound in ("gt", "gte", "lt", "lte")},
    "additionalProperties": False,
}
EXPANDABLE: Schema = {"type": "object", "properties": {"expand": _EXPAND}, "additionalProperties": False}
SESSIONS: Schema = {
    "type": "object",
    "properties": {
        **_PAGE,
        "payment_intent": {"type": "string"},
        "created": {"anyOf": [{"type": "integer"}, _MOMENTS]},
        "status": {"enum": ["complete", "expired", "open"], "type": "string"},
    },
    "additionalProperties": False,
}
DISPUTES: Schema = {
    "type": "object",
    "properties": {**_PAGE, "payment_intent": {"type": "string"}, "charge": {"type": "string"}},
    "additionalProperties": False,
}


@cache
def session_schema() -> Schema:
    """The vendor's schema of the parameters of a new Checkout Session; see `schemas/stripe/ORIGIN.md`."""
    file = resources.files("billing_adapters.stand_ins") / "schemas/stripe/checkout_session_create.schema.json"
    schema: Schema = json.loads(file.read_text())
    return schema


def read_params(text: str, schema: Schema) -> dict[str, Any]:
    """This will read a call's form or query as far as it can be read. Raises Refusal."""
    try:
        return read_form(text, schema)
    except UnreadableForm as wrong:
        raise Refusal(str(wrong), param=wrong.key) from wrong


def check_params(params: Mapping[str, Any], schema: Schema) -> None:
    """This will raise a Refusal, naming the parameter, where the schema forbids it."""
    wrong = best_match(Draft202012Validator(schema).iter_errors(params))
    if wrong is not None:
        raise _refusal(wrong)


def required(param: str) -> Refusal:
    """The refusal of a call without `param`."""
    return Refusal(f"Missing required param: {param}.", code="parameter_missing", param=param)


def _refusal(wrong: ValidationError) -> Refusal:
    path = [str(part) for part in wrong.absolute_path]
    instance: Any = wrong.instance
    schema: Any = wrong.schema
    match wrong.validator:
        case "additionalProperties":
            [unknown, *_] = sorted(set(instance) - set(schema["properties"]))
            param = _named([*path, unknown])
            return Refusal(f"Received unknown parameter: {param}", code="parameter_unknown", param=param)
        case "required":
            [absent, *_] = [name for name in schema["required"] if name not in instance]
            return required(_named([*path, absent]))
        case "type" if wrong.validator_value == "integer":
            message = f"Invalid integer: {instance}"
            return Refusal(message, code="parameter_invalid_integer", param=_named(path))
        case _:
            return Refusal(f"Invalid {_named(path)}: {wrong.message}", param=_named(path))


def _named(path: list[str]) -> str:
    """A place in the parameters, as the form names it."""
    return "".join([*path[:1], *(f"[{part}]" for part in path[1:])])
