"""The files of `docs/catalogue.md` are read as the apps read them, and packs are sold from them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.documents.pages import Block, Claim

from billing_adapters.settings import Settings
from billing_core.domain.events import CreditsPurchased
from billing_core.domain.packs import PriceBook, default_price_book
from billing_core.testing import FixedClock, InMemoryBilling

CLAIMS = (Claim(page="docs/catalogue.md", languages=("toml",)),)
BLOCKS = CLAIMS[0].blocks()
AFTER_THE_LAST = datetime(2027, 6, 1, tzinfo=UTC)


def price_book(block: Block, folder: Path) -> PriceBook:
    """What the apps make of the file."""
    file = folder / "catalogue.toml"
    file.write_text(block.text, "utf-8")
    return Settings(catalog=file).load_price_book()


@pytest.mark.parametrize("block", BLOCKS, ids=str)
async def test_every_pack_is_sold(block: Block, tmp_path: Path) -> None:
    """At its price, paid, and announced with its credits; what is retired is not offered."""
    billing = InMemoryBilling(catalog=price_book(block, tmp_path), clock=FixedClock(AFTER_THE_LAST))
    caller = await billing.register()

    offered = [each.pack for each in (await billing.read.packs(caller)).data]
    for pack in offered:
        await billing.pay(await billing.buy(caller, pack))

    assert offered
    assert "tiny" not in offered
    facts = [each.data for each in await billing.events()]
    bought = [fact.pack for fact in facts if isinstance(fact, CreditsPurchased)]
    assert bought == offered


def test_the_first_is_the_built_in_one(tmp_path: Path) -> None:
    """To the last figure: that is what the page says of it."""
    assert price_book(BLOCKS[0], tmp_path) == default_price_book()


def test_the_second_changes_prices_at_its_moment(tmp_path: Path) -> None:
    """One catalogue until the version's moment, and the other from then on."""
    book = price_book(BLOCKS[1], tmp_path)
    moment = datetime(2027, 1, 1, tzinfo=UTC)

    before, after = book.at(moment.replace(year=2026)), book.at(moment)

    assert (before.version, after.version) == ("2026-11", "2027-01")
