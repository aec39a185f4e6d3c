"""`docs/tutorial.md` followed from its first line to its last: after each step the page says what was promised."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from tests.documents.output import first_missing
from tests.documents.pages import Claim, inline_of
from tests.e2e.conftest import wait_until
from tests.e2e.newcomer import Newcomer, build, locked_pip

from billing_cli.checkout_form import read_checkout

CLAIMS = (Claim(page="docs/tutorial.md", languages=("sh", "python", "text")),)
BLOCKS = CLAIMS[0].blocks()
PROGRAM = [block.text for block in BLOCKS if block.language == "python"]
TYPED = [block for block in BLOCKS if block.language == "sh"]
(SHOWN,) = [block.text for block in BLOCKS if block.language == "text"]
PROMISED = [each.text for each in inline_of(CLAIMS[0].page)]
WITHIN_S = 60


class Browser:
    """A browser on the reader's page, which is loaded again until it says what the tutorial promises."""

    def __init__(self, http: httpx2.Client) -> None:
        """This will use the client."""
        self._http = http

    def sees(self, promise: str) -> str:
        """This will load the page until it has the words, which the tutorial must have too, and give it."""
        assert promise in PROMISED
        page: str = wait_until(lambda: self._loads(promise), within_s=WITHIN_S, what=f"the page says {promise!r}")
        return page

    def presses(self, button: str) -> httpx2.Response:
        """This will press the button and go where it leads."""
        page = self.sees(button)
        (action,) = re.findall(rf'<form method="post" action="([^"]+)"><button>{re.escape(button)}<', page)
        return self._http.post(action)

    def pays(self, checkout: httpx2.Response, button: str, link: str) -> httpx2.Response:
        """This will press the checkout's button, and follow the link on the page that it leads to."""
        assert {button, link} <= set(PROMISED)
        assert f'value="pay">{button}<' in checkout.text
        form = read_checkout(checkout.text, press="pay")
        paid = self._http.post(str(checkout.url.join(form.action)), data=dict(form.fields))
        (back,) = re.findall(rf'href="([^"]+)">{link}<', paid.text)
        return self._http.get(back)

    def _loads(self, promise: str) -> str | None:
        try:
            page = self._http.get("/").text
        except httpx2.TransportError:  # not started yet, or just starting again
            return None
        return page if promise in page else None


@pytest.fixture
def newcomer(tmp_path: Path) -> Newcomer:
    """Somebody with a fresh clone."""
    return Newcomer(tmp_path / "newcomer")


@pytest.fixture
def browser(newcomer: Newcomer) -> Iterator[Browser]:
    """A browser that follows redirects, as browsers do."""
    base_url = f"http://127.0.0.1:{newcomer.port('9000')}"
    with httpx2.Client(base_url=base_url, follow_redirects=True, timeout=30) as http:
        yield Browser(http)


@pytest.fixture
def add(newcomer: Newcomer, tmp_path: Path) -> Callable[[int], None]:
    """Adds a step's block to the end of the reader's file."""
    file = tmp_path / "shop" / "shop.py"

    def add_step(step: int) -> None:
        before = file.read_text("utf-8") + "\n\n" if file.exists() else ""
        file.write_text(before + newcomer.read(PROGRAM[step]), "utf-8")

    return add_step


def test_it_is_followed_to_its_end(
    newcomer: Newcomer, browser: Browser, add: Callable[[int], None], tmp_path: Path
) -> None:
    """Status, trial, checkout, paid, and a refusal that is told."""
    server, token, install, run, refused = (block.text for block in TYPED)
    shop = tmp_path / "shop"
    shop.mkdir()
    make_environment, install = install.splitlines()
    assert server == "script/server\n"

    with newcomer.serves():
        exported = newcomer.types(f'{token}\nprintf %s "$BILLING_TOKEN"')
        newcomer.types(make_environment, shop)
        locked_pip(shop / "env", build(tmp_path / "wheels", "billing-client"))
        newcomer.types(install, shop)
        add(0)
        run = run.replace("9000", newcomer.port("9000"))
        with newcomer.runs(run, shop, BILLING_TOKEN=exported):
            browser.sees("Credits bought: 0")
            add(1)
            trial = browser.presses("Try 500 credits for free")
            add(2)
            checkout = browser.presses("Buy 1000 credits for USD 69.99")
            again = browser.presses("Buy 1000 credits for USD 69.99")
            back = browser.pays(checkout, "Pay USD 69.99", "Back to the shop")
            browser.sees("Credits bought: 1000")
            add(3)
            browser.sees("1000 credits: completed")
            told = newcomer.types(refused, shop)

    assert "Trial: 500 credits until" in trial.text
    assert again.url == checkout.url
    assert (back.status_code, str(back.url)) == (200, f"http://127.0.0.1:{newcomer.port('9000')}/")
    assert first_missing(SHOWN, told) is None, told


def test_it_has_the_lines_it_promises() -> None:
    """Code, without the empty ones."""
    (promised,) = re.findall(r"It is (\d+)\s+lines", " ".join(_page().split()))

    lines = [line for block in PROGRAM for line in block.splitlines() if line.strip()]

    assert int(promised) - 10 <= len(lines) <= int(promised)


def _page() -> str:
    from tests.documents.pages import ROOT

    return (ROOT / CLAIMS[0].page).read_text("utf-8")
