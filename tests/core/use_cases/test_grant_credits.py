"""Goodwill credits are given once for each grant id, and never more than an operator may within a day."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.core.use_cases.stored_purchases import everything_kept

from billing_core.domain.packs import Catalog, default_catalog
from billing_core.errors import GrantCapExceeded, GrantIdReused, MerchantNotFound
from billing_core.testing import InMemoryBilling, an_origin
from billing_core.testing.builders import an_id
from billing_core.use_cases.grant_credits import GrantOutcome

ADA = an_origin(actor="operator:ada", reason="sorry for the outage")
BOB = an_origin(actor="operator:bob", reason="me too")
DAY = timedelta(days=1)


@pytest.fixture
def billing() -> InMemoryBilling:
    """Billing where an operator may give 100 credits a day."""
    return InMemoryBilling(catalog=Catalog(version="v", packs=default_catalog().packs, goodwill_credits_per_day=100))


async def _grant(billing: InMemoryBilling, merchant_id: str, credits_: int = 40, **more: Any) -> GrantOutcome:
    grant_id, by = more.pop("grant_id", None) or an_id(), more.pop("by", ADA)
    return await billing.grant_credits(merchant_id, credits_, grant_id, by, **more)


class TestGrantCredits:
    async def test_is_announced_and_recorded(self, billing: InMemoryBilling) -> None:
        """One event with credits, reason and operator; a history; and what the operator may still give."""
        merchant_id = (await billing.register()).merchant_id

        outcome = await _grant(billing, merchant_id, grant_id=UUID(int=7))

        (event,) = await billing.events()
        assert (event.type, event.subject) == ("evt.billing.credits.granted", merchant_id)
        assert event.data.model_dump() == {
            "merchant_id": merchant_id,
            "platform": "sandbox",
            "grant_id": UUID(int=7),
            "credits": 40,
            "reason": "sorry for the outage",
            "actor": "operator:ada",
        }
        (entry,) = await billing.storage.records.history(merchant_id, UUID(int=7))
        assert (entry.what, entry.actor, entry.reason) == ("granted", "operator:ada", "sorry for the outage")
        assert (outcome.grant.granted_at, outcome.left) == (billing.clock.now(), 60)
        assert outcome.change is not None
        assert outcome.change.event_id == event.id

    async def test_the_same_id_gives_once_however_often_it_is_asked(self, billing: InMemoryBilling) -> None:
        """A repeat is answered with the first, by whomever and though the day's credits are used up."""
        merchant_id = (await billing.register()).merchant_id
        first = await _grant(billing, merchant_id, 100, grant_id=UUID(int=7))

        again = [await _grant(billing, merchant_id, 100, grant_id=UUID(int=7), by=by) for by in (ADA, BOB)]

        assert again == [GrantOutcome(grant=first.grant, change=None, left=None)] * 2
        assert len(await billing.events()) == 1

    async def test_the_same_id_for_something_else_is_refused(self, billing: InMemoryBilling) -> None:
        """Another merchant or other credits: nothing is given."""
        one, other = [(await billing.register()).merchant_id for _ in range(2)]
        await _grant(billing, one, grant_id=UUID(int=7))

        for merchant_id, credits_ in ((one, 41), (other, 40)):
            with pytest.raises(GrantIdReused):
                await _grant(billing, merchant_id, credits_, grant_id=UUID(int=7))

        assert len(await billing.events()) == 1

    async def test_requests_at_once_with_one_id_give_once(self, billing: InMemoryBilling) -> None:
        """One gives, the others are told of it."""
        merchant_id = (await billing.register()).merchant_id

        told = await asyncio.gather(
            *(_grant(billing, merchant_id, grant_id=UUID(int=7), by=by) for by in (ADA, BOB) * 4)
        )

        assert sum(each.change is not None for each in told) == 1
        assert len({each.grant for each in told}) == 1
        assert len(await billing.events()) == 1

    async def test_a_merchant_nobody_announced_is_refused(self, billing: InMemoryBilling) -> None:
        """And no grant is left behind."""
        with pytest.raises(MerchantNotFound):
            await _grant(billing, "nobody")

        assert billing.storage.tables.grants == {}

    async def test_a_dry_run_refuses_the_same_and_keeps_nothing(self, billing: InMemoryBilling) -> None:
        """Every table is as it was; the grant it tells of is the one the real run gives."""
        merchant_id = (await billing.register()).merchant_id
        before = everything_kept(billing)

        dry = await _grant(billing, merchant_id, grant_id=UUID(int=7), dry_run=True)
        with pytest.raises(GrantCapExceeded):
            await _grant(billing, merchant_id, 101, dry_run=True)
        after = everything_kept(billing)

        assert after == before
        assert dry == await _grant(billing, merchant_id, grant_id=UUID(int=7))


class TestCap:
    async def test_counts_over_all_merchants_for_each_operator(self, billing: InMemoryBilling) -> None:
        """The last credits may be given, one more may not; a colleague has a day of their own."""
        one, other = [(await billing.register()).merchant_id for _ in range(2)]
        left = [(await _grant(billing, merchant_id, 50)).left for merchant_id in (one, other)]

        with pytest.raises(GrantCapExceeded, match="may grant 0 more now"):
            await _grant(billing, one, 1)
        colleague = await _grant(billing, one, 100, by=BOB)

        assert (left, colleague.left) == ([50, 0], 0)
        assert len(await billing.events()) == 3

    async def test_is_free_again_24_hours_after(self, billing: InMemoryBilling) -> None:
        """Each grant counts until its own day is over, to the microsecond."""
        merchant_id = (await billing.register()).merchant_id
        await _grant(billing, merchant_id, 60)
        billing.clock.advance(DAY / 2)
        await _grant(billing, merchant_id, 40)
        billing.clock.advance(DAY / 2 - timedelta(microseconds=1))

        with pytest.raises(GrantCapExceeded):
            await _grant(billing, merchant_id, 1)
        billing.clock.advance(timedelta(microseconds=1))

        assert (await _grant(billing, merchant_id, 60)).left == 0

    async def test_holds_for_requests_at_once(self, billing: InMemoryBilling) -> None:
        """Whoever comes second counts what the first one gave."""
        merchants = [(await billing.register()).merchant_id for _ in range(5)]

        told = await asyncio.gather(*(_grant(billing, each) for each in merchants), return_exceptions=True)

        assert sorted(type(each).__name__ for each in told) == ["GrantCapExceeded"] * 3 + ["GrantOutcome"] * 2
        assert sum(each.credits for each in billing.storage.tables.grants.values()) == 80

    async def test_what_was_refused_counts_for_nothing(self, billing: InMemoryBilling) -> None:
        """Neither its credits nor its id are used up."""
        merchant_id = (await billing.register()).merchant_id
        with pytest.raises(GrantCapExceeded):
            await _grant(billing, merchant_id, 101, grant_id=UUID(int=7))

        assert (await _grant(billing, merchant_id, 100, grant_id=UUID(int=7))).left == 0
