"""`/docs` and `/openapi.json`: there where asked for, and loading nothing from elsewhere."""

import hashlib
import re
from importlib import resources

import pytest
from tests.apps.http.door import Door, open_door, some_settings

from billing_core.domain.packs import default_price_book
from billing_core.domain.return_urls import ReturnUrlPolicy
from billing_core.testing import InMemoryBilling
from billing_http.openapi import openapi_document

FILES = ("swagger-ui-bundle.js", "swagger-ui.css", "start.js")
PATHS = ("/openapi.json", "/docs", *(f"/docs/{name}" for name in FILES))
# As published in version 5.35.0 of `swagger-ui-dist`; who brings a newer one changes README, version and these.
VENDORED = {
    "swagger-ui-bundle.js": "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
    "swagger-ui.css": "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
}


def shipped(name: str) -> str:
    """A file of the reference, as it is shipped."""
    return resources.files("billing_http").joinpath("reference", name).read_text("utf-8")


async def test_it_is_served_where_asked_for(door: Door, billing: InMemoryBilling) -> None:
    """With BILLING_DOCS=on alone, naming the platforms that are configured."""
    async with open_door(billing, some_settings(docs=True)) as documented:
        answers = {path: await documented.client.get(path) for path in PATHS}

    assert {(await door.client.get(path)).status_code for path in PATHS} == {404}
    assert {answer.status_code for answer in answers.values()} == {200}
    assert answers["/openapi.json"].json() == openapi_document(
        ("sandbox", "shopify"),
        return_urls=ReturnUrlPolicy(allow_loopback_http=True),
        price_book=default_price_book(),
    )
    assert answers["/docs"].headers["content-type"] == "text/html; charset=utf-8"


async def test_its_policy_lets_nothing_else_in(billing: InMemoryBilling) -> None:
    """No script, style, picture or question from elsewhere; nothing inline, nothing evaluated, no frame."""
    async with open_door(billing, some_settings(docs=True)) as documented:
        page = await documented.client.get("/docs")

    (policy,) = page.headers.get_list("content-security-policy")
    rules = {name: sources for name, *sources in (each.split() for each in policy.split(";"))}
    assert rules == {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "form-action": ["'none'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }


def test_the_page_names_only_files_of_its_own() -> None:
    """And every one of them is shipped."""
    named = re.findall(r'(?:src|href)="([^"]*)"', shipped("page.html"))

    assert set(named) == {*(f"docs/{name}" for name in FILES), "data:,", "openapi.json"}
    assert "http" not in shipped("start.js")


@pytest.mark.parametrize("name", VENDORED)
def test_what_is_not_ours_is_as_it_was_published(name: str) -> None:
    """Nobody mended it by hand; its licence is beside it."""
    content = resources.files("billing_http").joinpath("reference", name).read_bytes()

    assert hashlib.sha256(content).hexdigest() == VENDORED[name]
    assert "Apache License" in shipped("LICENSE")
    assert "SmartBear" in shipped("NOTICE")
    assert "5.35.0" in shipped("README.md")
