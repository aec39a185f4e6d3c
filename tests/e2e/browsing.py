"""Chromium as the tests and the screenshots drive it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
DEADLINE_MS = 30_000
MISSING = "no Chromium on PATH: install it (Debian: apt-get install chromium) to run this in a browser"


def find_chromium() -> str | None:
    """Where the browser is; None where there is none."""
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


@contextmanager
def a_browser(executable: str) -> Iterator[Browser]:
    """A headless browser, until the end of the block. As root it has no sandbox of its own: Chromium refuses one."""
    expect.set_options(timeout=DEADLINE_MS)
    arguments = [*ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, args=arguments)
        yield running
        running.close()


@contextmanager
def a_tab(browser: Browser, *, width: int = 1280, height: int = 900, silent: bool = True) -> Iterator[Page]:
    """A tab whose page says nothing on its console: a broken script or a breach of the security policy would show.
    One that is not `silent` may: a refused answer is told there."""
    context = browser.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(DEADLINE_MS)
    said: list[str] = []
    tab = context.new_page()
    tab.on("console", lambda message: None if _is_expected(message, silent=silent) else said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    yield tab
    context.close()
    assert said == []


def _is_expected(message: ConsoleMessage, *, silent: bool) -> bool:
    # A merchant announced a moment ago may be asked for before the worker has registered it: 404, and asked again.
    if "status of 404" in message.text and message.location["url"].endswith("/api/billing"):
        return True
    return not silent and "Failed to load resource" in message.text
