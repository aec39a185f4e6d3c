"""The OpenAPI document tells what the app does."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from tests.apps.http.door import WANTED, Door

from billing_core.domain.packs import default_price_book
from billing_core.domain.return_urls import ReturnUrlPolicy
from billing_http.openapi import NO_OPERATION, openapi_document
from billing_http.openapi_examples import refusal_headers
from billing_http.operations import OPERATIONS, READ, WRITE
from billing_http.problems import MEDIA_TYPE, TABLE, status_of

COPY = Path(__file__).parents[3] / "schemas" / "openapi.json"
PLATFORMS = ("shopify", "stripe", "sandbox")
DOCUMENT = openapi_document(PLATFORMS)


def schema_of(document: dict[str, Any], name: str) -> Draft202012Validator:
    """A validator of one of the document's schemas."""
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]})


def test_the_copy_is_current() -> None:
    """The copy in the project equals what the code says; `script/schemas` writes it anew."""
    assert json.loads(COPY.read_text("utf-8")) == DOCUMENT


def test_it_is_openapi() -> None:
    """The reference validator takes it; its rules for people are in `tests/documents/test_lint.py`."""
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


def test_every_route_of_the_contract_is_there() -> None:
    """Paths and methods are those of the contract, and every reference leads somewhere."""
    document = DOCUMENT
    text = json.dumps(document)

    told = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}

    assert told == {(each.method, each.path) for each in OPERATIONS} | {
        ("GET", path) for path in ("/health", "/health/live", "/health/ready", "/metrics")
    }
    for name in document["components"]["schemas"]:
        Draft202012Validator.check_schema(document["components"]["schemas"][name])
    used = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert used <= document["components"]["schemas"].keys()


def test_a_deployment_says_what_it_sells() -> None:
    """The packs and currencies of its catalogue are named, so that a good request is one that is not refused; the copy
    in the project is for every catalogue."""
    (copy, here) = (
        openapi_document(PLATFORMS, price_book=book)["components"]["schemas"]["NewPurchase"]["properties"]
        for book in (None, default_price_book())
    )

    assert here["pack"]["enum"] == ["small", "medium", "large"]
    assert [each.get("enum") for each in here["currency"]["anyOf"]] == [["USD"], None]
    assert "enum" not in json.dumps([copy["pack"], copy["currency"]])


@pytest.mark.parametrize(
    ("policy", "url", "allowed"),
    [
        (ReturnUrlPolicy(), "https://shop.example:8443/a?b#c", True),
        (ReturnUrlPolicy(), "http://localhost/", False),
        (ReturnUrlPolicy(allow_loopback_http=True), "http://localhost/", True),
        (ReturnUrlPolicy(allow_loopback_http=True), "http://localhost.example/", False),
        (ReturnUrlPolicy(), "https://user@shop.example/", False),
    ],
)
def test_return_urls_are_told_as_they_are_checked(policy: ReturnUrlPolicy, url: str, *, allowed: bool) -> None:
    """The schema's pattern allows what the policy does, hosts aside."""
    document = openapi_document(PLATFORMS, return_urls=policy)
    body = {"pack": "small", "return_url": url}

    assert schema_of(document, "NewPurchase").is_valid(body) is allowed
    assert schema_of(document, "NewPurchase").is_valid(body | {"return_url": url.ljust(2049, "a")}) is False


async def test_answers_are_what_it_says(door: Door) -> None:
    """Real answers and refusals validate against their schemas."""
    document = DOCUMENT
    purchase = await door.post("/api/billing/purchases", WANTED)
    answers = {
        "PurchaseView": purchase,
        "TrialView": await door.post("/api/billing/trials", {}),
        "PurchasePage": await door.get("/api/billing/purchases"),
        "HistoryView": await door.get(f"{purchase.headers['location']}/history"),
        "PacksView": await door.get("/api/billing/packs"),
        "BillingView": await door.get("/api/billing"),
        "Health": await door.client.get("/health"),
        "Alive": await door.client.get("/health/live"),
        "Problem": await door.post("/api/billing/purchases", {"pack": 1}),
    }

    for name, answer in answers.items():
        assert list(schema_of(document, name).iter_errors(answer.json())) == [], name


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
async def test_no_operation_is_open(door: Door, operation: Any) -> None:
    """Every operation of the table needs a token."""
    path = operation.path.replace("{id}", "0199aaaa-0000-7000-8000-000000000000")

    assert (await door.client.request(operation.method, path)).status_code == 401


DOCUMENTED = {
    operation["operationId"]: operation for methods in DOCUMENT["paths"].values() for operation in methods.values()
}


def resolved(found: dict[str, Any]) -> dict[str, Any]:
    """What a reference leads to; anything else as it is."""
    if "$ref" not in found:
        return found
    place: Any = DOCUMENT
    for step in found["$ref"].split("/")[1:]:
        place = place[step]
    return dict(place)


@pytest.mark.parametrize(("name", "operation"), list(DOCUMENTED.items()), ids=list(DOCUMENTED))
class TestEachOperation:
    def test_is_described(self, name: str, operation: dict[str, Any]) -> None:
        """By a name, words, a heading that exists, and what every parameter is for."""
        assert operation["summary"]
        assert operation["description"]
        assert set(operation["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}
        for parameter in operation.get("parameters", ()):
            assert parameter["description"]

    def test_has_examples_that_are_what_they_show(self, name: str, operation: dict[str, Any]) -> None:
        """Parameters, bodies, answers and refusals: each has one, and it satisfies its schema."""
        for parameter in operation.get("parameters", ()):
            Draft202012Validator(parameter["schema"]).validate(parameter["example"])
        bodies = [*operation["responses"].values(), *filter(None, [operation.get("requestBody")])]
        for media_type, content in (each for body in bodies for each in body["content"].items()):
            examples = [resolved(each)["value"] for each in content.get("examples", {}).values()]
            examples += [content["example"]] if "example" in content else []
            assert examples, f"{name} {media_type}"
            for example in examples:
                schema = {**content["schema"], "components": DOCUMENT["components"]}
                assert list(Draft202012Validator(schema).iter_errors(example)) == [], name

    def test_names_the_headers_of_each_answer(self, name: str, operation: dict[str, Any]) -> None:
        """The correlation id with all; and what means something with the refusals that bring it."""
        for status, response in operation["responses"].items():
            headers = response["headers"]
            assert "X-Correlation-Id" in headers, status
            for header in headers.values():
                Draft202012Validator(resolved(header)["schema"]).validate(resolved(header)["example"])
            for code in response["content"].get(MEDIA_TYPE, {}).get("examples", ()):
                kind = next(kind for kind in TABLE if kind.code == code and str(status_of(kind)) == status)
                assert set(refusal_headers(kind)) <= {each.lower() for each in headers}, code

    def test_says_which_scope_it_needs(self, name: str, operation: dict[str, Any]) -> None:
        """As its security, and in words."""
        for scopes in operation["security"]:
            assert scopes["token"]
            for scope in scopes["token"]:
                assert scope in {READ, WRITE, "metrics:read"}
                assert f"`{scope}`" in operation["description"]


def test_every_code_is_listed() -> None:
    """Those of operations with an example of the problem document, and those of no operation in the table."""
    told = {
        code for operation in DOCUMENTED.values() for each in operation["responses"].values() for code in codes(each)
    }

    assert told == DOCUMENT["components"]["examples"].keys()
    for code in told | {kind.code for kind in NO_OPERATION}:
        assert f"| `{code}` |" in DOCUMENT["info"]["description"]


def codes(response: dict[str, Any]) -> set[str]:
    """The codes a response may have."""
    return set(response["content"].get(MEDIA_TYPE, {}).get("examples", ()))


async def test_refusals_are_told_as_the_examples_show(door: Door) -> None:
    """Real ones have the members, words and headers of the example of their code."""
    real = [
        await door.post("/api/billing/purchases", {"pack": "huge", "return_url": WANTED["return_url"]}),
        await door.get("/api/billing", headers=door.headers(without=["Authorization"])),
        await door.get("/api/billing/purchases/none"),
        await door.post("/api/billing/trials", {}, headers=door.headers(without=["Idempotency-Key"])),
        await door.post("/api/billing/trials", b"{}", headers=door.headers(without=["Content-Type"])),
        await door.post("/api/billing/trials", b" " * 70_000),
    ]

    for answer in real:
        problem = answer.json()
        example = DOCUMENT["components"]["examples"][problem["code"]]["value"]
        theirs = {name: value for name, value in problem.items() if name not in ("instance", "correlation_id")}
        ours = {name: value for name, value in example.items() if name not in ("instance", "correlation_id")}
        assert theirs == ours
        kind = next(kind for kind in TABLE if kind.code == problem["code"])
        assert {name.lower() for name in refusal_headers(kind)} <= answer.headers.keys()
