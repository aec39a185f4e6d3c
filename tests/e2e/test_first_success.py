"""`docs/quickstart.md` followed by each of its four readers, in a clone, with what the page says and nothing else."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.documents.output import first_missing
from tests.documents.pages import Block, Claim
from tests.e2e.conftest import wait_until
from tests.e2e.newcomer import Newcomer, Terminal, build, locked_pip

from billing_cli.checkout_form import read_checkout
from billing_cli.newcomer import announce_merchant, wait_until_registered

ROLES = ("Support", "API", "Tests", "Operations")
PLAY = Claim(page="README.md", languages=("sh",), heading="Play with it")
CLAIMS = (
    *(Claim(page="docs/quickstart.md", languages=("sh", "python", "text"), heading=role) for role in ROLES),
    PLAY,
)
MOST_LINES = 10
WITHIN_S = 120


def blocks_of(role: str) -> list[Block]:
    """The blocks of a reader's section, in their order."""
    return list(CLAIMS[ROLES.index(role)].blocks())


def press_pay(checkout_url: str) -> None:
    """What a browser does when somebody presses Pay."""
    with httpx2.Client(timeout=30) as browser:
        form = read_checkout(browser.get(checkout_url).text, press="pay")
        answer = browser.post(str(httpx2.URL(checkout_url).join(form.action)), data=dict(form.fields))
    assert answer.status_code in (200, 303), answer.text


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    """Somebody with a fresh clone."""
    return Newcomer(tmp_path_factory.mktemp("newcomer"))


@pytest.fixture(scope="module")
def server(newcomer: Newcomer) -> Iterator[Terminal]:
    """The first terminal, which three of the readers leave running. In the end somebody presses Ctrl-C in it, as the
    operator does: it stops in order, says so, and keeps its data."""
    with newcomer.serves() as terminal:
        yield terminal
        code = terminal.ctrl_c()
    assert (code, terminal.said.splitlines()[-1]) == (0, "billing up: stopped"), terminal.said
    assert any(newcomer.folder.joinpath(".billing").iterdir())


@pytest.mark.parametrize("role", ROLES)
def test_it_is_short(role: str) -> None:
    """Ten lines to type at most."""
    assert sum(len(block.commands) for block in blocks_of(role) if block.language == "sh") <= MOST_LINES


@pytest.mark.parametrize("role", ["Support", "API", "Operations"])
def test_it_begins_with_the_server(role: str) -> None:
    """In a terminal of its own; the fixture `server` is that one."""
    assert blocks_of(role)[0].commands == ["script/server"]


def test_support_looks_after_a_merchant(newcomer: Newcomer, server: Terminal) -> None:
    """One screen has what they gave it, with what to type next."""
    _, typed, shown = blocks_of("Support")
    assert len(server.exports) == 3

    seen = newcomer.types(typed.text, **server.exports)

    screens = seen.split("Merchant dev-merchant")
    assert len(screens) == 3
    assert first_missing(shown.text, f"Merchant dev-merchant{screens[-1]}") is None, seen


def test_a_developer_sells_a_pack_with_curl_and_with_python(newcomer: Newcomer, server: Terminal) -> None:
    """Trial, checkout, Pay, completed; and another purchase through the client."""
    _, bought, asked, shown, program, run, printed = blocks_of("API")
    assert server.process.poll() is None

    answers = newcomer.types(bought.text)
    (checkout_url,) = re.findall(r'"checkout_url": ?"(http[^"]+)"', answers)
    press_pay(checkout_url)
    # The same terminal: what was exported and defined above is still there.
    kept = "\n".join(bought.text.splitlines()[:2])
    seen = wait_until(
        lambda: seen if first_missing(shown.text, seen := newcomer.types(f"{kept}\n{asked.text}")) is None else None,
        within_s=WITHIN_S,
        what=f"the purchase is as shown: {shown.text}",
    )
    (newcomer.folder / "first_purchase.py").write_text(newcomer.read(program.text), "utf-8")
    told = newcomer.types(f"{kept}\n{run.text}")

    assert re.search(r'"status": ?"active"', answers)
    assert seen.count('"checkout_url"') == 1
    assert first_missing(printed.text, told) is None, told


def test_an_operator_watches_it(newcomer: Newcomer, server: Terminal) -> None:
    """Ready, healthy, and a figure that an alert is made of. (How it stops is seen at the end of `server`.)"""
    _, typed, shown = blocks_of("Operations")

    seen = newcomer.types(typed.text, **server.exports)

    assert first_missing(shown.text, seen) is None, seen


def test_a_tester_sees_a_test_pass(newcomer: Newcomer, tmp_path: Path) -> None:
    """In an empty folder, with the packages as they would be published."""
    made, program, run, shown = blocks_of("Tests")
    make, install = made.commands
    newcomer.types(make, tmp_path)
    locked_pip(tmp_path / "env", build(tmp_path / "wheels", "billing-core"))

    newcomer.types(install, tmp_path)
    (tmp_path / "test_first.py").write_text(program.text, "utf-8")
    seen = newcomer.types(run.text, tmp_path)

    assert first_missing(shown.text, seen) is None, seen


def test_the_readme_can_be_played_with(newcomer: Newcomer, server: Terminal) -> None:
    """Each command of its block succeeds on the running server; the one that goes on for ever is stopped. What the
    quickstart has as well is typed there."""
    started, typed = PLAY.blocks()
    elsewhere = {command for role in ROLES for block in blocks_of(role) for command in block.commands}

    assert started.commands == ["script/server"]
    for command in typed.commands:
        if command in elsewhere:
            continue
        if command.endswith("events tail"):
            with newcomer.runs(command, **server.exports) as tail:
                # Nothing tells from when on it listens: so something goes on happening.
                wait_until(
                    lambda: give_credits(newcomer, server) and "evt.billing.credits.granted" in tail.said,
                    within_s=WITHIN_S,
                    what=f"{command} shows an event",
                )
        else:
            assert newcomer.types(command, **server.exports)


def give_credits(newcomer: Newcomer, server: Terminal) -> str:
    """This will give a credit to a merchant that no page speaks of, and give what is seen."""
    urls = server.exports
    asyncio.run(announce_merchant(urls["BILLING_NATS_URL"], merchant_id="somebody", platform="sandbox"))
    asyncio.run(wait_until_registered(urls["BILLING_DATABASE_URL"], "somebody"))
    return newcomer.types('.venv/bin/billing credits grant somebody 1 --reason "to be seen" --yes', **urls)
