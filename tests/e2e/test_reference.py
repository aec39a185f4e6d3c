"""`/docs` in a real browser, served by the real process: it is drawn, whole, and asks nobody else for anything."""

import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright
from tests.apps.http.test_process import NOWHERE, running
from tests.e2e.browsing import ARGUMENTS, CHROMIUM_NAMES, DEADLINE_MS

from billing_http.openapi import openapi_document

OPERATIONS = sum(len(methods) for methods in openapi_document(("sandbox",))["paths"].values())


def test_the_reference_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    """Every operation with its examples, and not a word of the browser about its policy."""
    chromium = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if chromium is None:
        reason = "no Chromium on PATH: install it (Debian: apt-get install chromium) to see /docs in a browser"
        (pytest.fail if os.environ.get("BILLING_REQUIRE_CHROMIUM") == "1" else pytest.skip)(reason)
    arguments = [*ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    said: list[str] = []
    asked: list[str] = []
    with running(tmp_path, **NOWHERE) as process, sync_playwright() as playwright:
        url = process.url()
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_page()
        page.set_default_timeout(DEADLINE_MS)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{url}/docs")
        page.locator(".opblock").nth(OPERATIONS - 1).wait_for()
        page.locator("#operations-Purchases-create_purchase .opblock-summary-control").click()
        page.get_by_text("Field required").first.wait_for(state="attached")
        drawn = page.locator(".opblock").count()
        browser.close()

    assert drawn == OPERATIONS
    assert said == []
    assert {urlsplit(each).netloc for each in asked if not each.startswith("data:")} == {urlsplit(url).netloc}
