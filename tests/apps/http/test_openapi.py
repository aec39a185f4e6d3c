"""The OpenAPI document tells what the app does."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.apps.http.door import WANTED, Door, open_door, some_settings

import billing_http
from billing_core.domain.packs import default_price_book
from billing_core.domain.return_urls import ReturnUrlPolicy
from billing_core.testing import InMemoryBilling
from billing_http.openapi import openapi_document
from billing_http.operations import OPERATIONS

COPY = Path(billing_http.__file__).with_name("openapi.json")
PLATFORMS = ("shopify", "stripe", "sandbox")


def schema_of(document: dict[str, Any], name: str) -> Draft202012Validator:
    """A validator of one of the document's schemas."""
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]})


def test_the_copy_is_current() -> None:
    """The copy in the project equals what the code says; `python -m billing_http.openapi` writes it anew."""
    assert json.loads(COPY.read_text("utf-8")) == openapi_document(PLATFORMS)


def test_every_route_of_the_contract_is_there() -> None:
    """Paths and methods are those of the contract, and every reference leads somewhere."""
    document = openapi_document(PLATFORMS)
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
    document = openapi_document(PLATFORMS)
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


async def test_it_is_served_where_asked_for(door: Door, billing: InMemoryBilling) -> None:
    """/openapi.json and /docs are there with BILLING_DOCS=on alone; the page loads nothing, under its own policy."""
    paths = ("/openapi.json", "/docs")
    async with open_door(billing, some_settings(docs=True)) as documented:
        document, page = [await documented.client.get(path) for path in paths]

    assert [(await door.client.get(path)).status_code for path in paths] == [404, 404]
    assert document.json() == openapi_document(
        ("sandbox", "shopify"),
        return_urls=ReturnUrlPolicy(allow_loopback_http=True),
        price_book=default_price_book(),
    )
    assert "POST /api/billing/purchases" in page.text
    assert "src=" not in page.text
    assert page.headers.get_list("content-security-policy") == [
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    ]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
async def test_no_operation_is_open(door: Door, operation: Any) -> None:
    """Every operation of the table needs a token."""
    path = operation.path.replace("{id}", "0199aaaa-0000-7000-8000-000000000000")

    assert (await door.client.request(operation.method, path)).status_code == 401
