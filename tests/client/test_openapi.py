"""The client is what `openapi.json` says: every operation, parameter, code and field."""

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from billing_client import AsyncBillingClient, BillingClient, answers, calls
from billing_client.answers import Answer, Part
from billing_client.errors import ERRORS

DOCUMENT = json.loads((Path(__file__).parents[2] / "schemas" / "openapi.json").read_text("utf-8"))
OPERATIONS: dict[str, dict[str, Any]] = {
    operation["operationId"]: {**operation, "path": path, "method": method.upper()}
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
# An orchestrator and Prometheus ask these, with clients of their own.
NOT_FOR_CLIENTS = {"live", "ready", "metrics"}
# `iter_purchases` is `list_purchases` again and again.
BEYOND = {"iter_purchases", "close", "aclose"}
MODELS: dict[str, type[Part]] = {
    "BillingView": answers.Overview,
    "TrialView": answers.Trial,
    "PurchaseView": answers.Purchase,
    "PurchasePage": answers.PurchasePage,
    "PurchasesSummary": answers.PurchasesSummary,
    "HistoryView": answers.History,
    "HistoryEntryView": answers.HistoryEntry,
    "PackView": answers.Pack,
    "PacksView": answers.Packs,
    "MerchantView": answers.Merchant,
    "Price": answers.Price,
    "Health": answers.Health,
    "Checks": answers.Checks,
    "Problem": answers.Problem,
    "FieldProblem": answers.FieldProblem,
}
# Sent, or not for clients, or within a field.
NO_ANSWERS = {"NewPurchase", "Nothing", "Alive", "PurchaseStatus"}
# What both sides must agree on; the rest of a schema is words, or limits that whoever reads need not enforce.
KEYWORDS = ("type", "format", "enum", "anyOf", "items", "properties", "additionalProperties", "required")


def public(client: type) -> dict[str, inspect.Signature]:
    """The methods of a client."""
    return {
        name: inspect.signature(member)
        for name, member in inspect.getmembers(client, inspect.isfunction)
        if not name.startswith("_")
    }


def essence(schema: Any, definitions: dict[str, Any]) -> Any:
    """A schema without words, with its references resolved and open enumerations closed."""
    if "$ref" in schema:
        return essence(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    plain = {name: schema[name] for name in KEYWORDS if name in schema}
    if isinstance(plain.get("additionalProperties"), bool):
        del plain["additionalProperties"]  # readers are lenient
    for name in {"items", "additionalProperties"} & plain.keys():
        plain[name] = essence(plain[name], definitions)
    if "properties" in plain:
        plain["properties"] = {name: essence(each, definitions) for name, each in plain["properties"].items()}
    if "anyOf" in plain:
        choices = [essence(each, definitions) for each in plain["anyOf"]]
        if any("enum" in each for each in choices):  # `Literal[...] | str`: the enumeration is what is meant
            choices = [each for each in choices if each != {"type": "string"}]
        plain = choices[0] if len(choices) == 1 else {"anyOf": choices}
    if "required" in plain:
        plain["required"] = sorted(plain["required"])
    return plain


class TestOperations:
    @pytest.mark.parametrize("client", [BillingClient, AsyncBillingClient])
    def test_there_is_a_method_for_each(self, client: type) -> None:
        """Of its name; and no other."""
        assert public(client).keys() - BEYOND == OPERATIONS.keys() - NOT_FOR_CLIENTS

    @pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - NOT_FOR_CLIENTS))
    def test_each_takes_what_the_operation_takes(self, name: str) -> None:
        """Path, query and body, each by its name; required where it is."""
        parameters = public(BillingClient)[name].parameters
        document = OPERATIONS[name]
        sent = {each["name"]: each["required"] for each in document.get("parameters", ()) if each["in"] != "header"}
        if "requestBody" in document:
            schema = document["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            body = DOCUMENT["components"]["schemas"][schema]
            sent |= {field: field in body.get("required", ()) for field in body.get("properties", ())}
        if "id" in sent:
            sent["purchase_id"] = sent.pop("id")
        keyed = any(each["name"] == "Idempotency-Key" for each in document.get("parameters", ()))

        taken = {each: value.default is inspect.Parameter.empty for each, value in parameters.items()}

        assert taken == sent | {"self": True, "correlation_id": False} | ({"idempotency_key": False} if keyed else {})

    @pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - NOT_FOR_CLIENTS))
    def test_each_asks_where_it_is_and_reads_what_comes(self, name: str) -> None:
        """Method, path, statuses and the model of the answer."""
        document, call = OPERATIONS[name], self._call(name)
        answered = {
            status: each for status, each in document["responses"].items() if "application/json" in each["content"]
        }
        schemas = {
            each["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2] for each in answered.values()
        }

        assert (call.method, re.sub(r"[0-9a-f-]{36}", "{id}", call.path)) == (document["method"], document["path"])
        assert {int(status) for status in answered} <= call.answered_by
        assert [MODELS[schema] for schema in schemas] == [call.answer]
        assert call.is_open == (document["security"] == [])

    @pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - NOT_FOR_CLIENTS))
    def test_each_sends_the_headers_it_must(self, name: str) -> None:
        """Those that are required, and the correlation id; a trace comes through `headers=`."""
        documented = {each["name"]: each for each in OPERATIONS[name].get("parameters", ()) if each["in"] == "header"}

        sent = self._call(name).headers(token="t", platform="sandbox").keys() - {
            "Accept",
            "Content-Type",
            "Authorization",
        }

        assert {each for each, told in documented.items() if told["required"]} <= sent
        assert sent <= documented.keys() | {"X-Correlation-Id"}
        assert documented.keys() - sent <= {"traceparent"}

    @staticmethod
    def _call(name: str) -> calls.Call[Answer]:
        samples = {
            "purchase_id": "0199c3a8-6f02-7c31-8d55-3b1f0c9a7e21",
            "archived": False,
            "pack": "p",
            "return_url": "r",
        }
        make = getattr(calls, name)
        made: calls.Call[Answer] = make(**{each: samples.get(each) for each in inspect.signature(make).parameters})
        return made

    def test_both_kinds_of_client_are_one(self) -> None:
        """The same methods with the same parameters, and nearly the same words."""
        sync, other = public(BillingClient), public(AsyncBillingClient)

        assert sync.keys() - {"close"} == other.keys() - {"aclose"}
        for name in sync.keys() - {"close"}:
            assert sync[name].parameters == other[name].parameters, name
            words = str(inspect.getdoc(getattr(BillingClient, name))).partition("\n\n>>>")[0]
            assert inspect.getdoc(getattr(AsyncBillingClient, name)) == words.strip(), name


class TestCodes:
    def test_each_has_a_class(self) -> None:
        """Every code of the document, those of no operation included; what is beyond is named here."""
        told = set(re.findall(r"\| `([A-Z_]+)` \|", DOCUMENT["info"]["description"]))

        assert told >= DOCUMENT["components"]["examples"].keys()
        # Not told by this Billing yet; clients must not be surprised by it.
        assert ERRORS.keys() - {"RATE_LIMITED"} == told - {"RATE_LIMITED"}

    def test_each_class_is_public(self) -> None:
        """And named as in `billing_client`."""
        import billing_client

        for error in ERRORS.values():
            assert getattr(billing_client, error.__name__) is error


class TestModels:
    def test_there_is_one_for_each_schema(self) -> None:
        """Of everything that is answered."""
        assert MODELS.keys() | NO_ANSWERS == DOCUMENT["components"]["schemas"].keys()
        everything = {each for each in vars(answers).values() if isinstance(each, type) and issubclass(each, Part)}
        assert everything - {Part, Answer} == set(MODELS.values())

    @pytest.mark.parametrize("name", MODELS)
    def test_each_has_the_fields_of_its_schema(self, name: str) -> None:
        """With their types, formats, statuses, and whether they may be null."""
        ours = TypeAdapter(MODELS[name]).json_schema(ref_template="#/{model}")
        theirs = DOCUMENT["components"]["schemas"]

        assert essence(ours, ours.get("$defs", {})) == essence(theirs[name], theirs)

    @pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - NOT_FOR_CLIENTS))
    def test_each_reads_the_documented_example(self, name: str) -> None:
        """And loses nothing of it."""
        for response in OPERATIONS[name]["responses"].values():
            if (content := response["content"].get("application/json")) is not None:
                model = MODELS[content["schema"]["$ref"].rpartition("/")[2]]
                assert model.model_validate(content["example"]).model_dump(mode="json") == content["example"]

    def test_what_a_newer_billing_adds_is_no_trouble(self) -> None:
        """A field or a status nobody knows yet."""
        example = OPERATIONS["show_trial"]["responses"]["200"]["content"]["application/json"]["example"]

        trial = answers.Trial.model_validate({**example, "status": "paused", "more": {"of": "this"}})

        assert trial.status == "paused"
