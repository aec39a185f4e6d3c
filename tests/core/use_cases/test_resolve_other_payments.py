"""Operators' answers where another payment than the purchase's own is in question, or comes while they answer."""

import asyncio

import pytest
from tests.core.use_cases.stored_purchases import (
    AWAY,
    a_wrongly_paid_one,
    an_orphan_of,
    an_otherwise_paid_one,
    everything_kept,
    key_of,
    reference_of,
    stored,
    tell,
    told,
)

from billing_core.domain.money import Money
from billing_core.domain.payments import PaymentStatus
from billing_core.domain.purchases import PurchaseStatus
from billing_core.errors import PlatformAuthError, PlatformRejected, PlatformUnavailable, ResolutionRefused
from billing_core.testing import InMemoryBilling, an_origin
from billing_core.testing.scripted_platform import Verb

BY = an_origin(actor="ada", reason="asked by phone")
CENT = Money(amount_minor=1, currency="USD")
SOON_S = 20


class TestAccept:
    async def test_ends_the_page_the_merchant_was_handed(self, billing: InMemoryBilling) -> None:
        """The other payment takes its place, so nobody pays it too; a dry run leaves it as it is."""
        purchase, orphan = await an_otherwise_paid_one(billing)

        await billing.operate.resolve(key_of(purchase), "accept", BY, dry_run=True)
        dry = billing.platform.payments[reference_of(purchase)].status
        await billing.operate.resolve(key_of(purchase), "accept", BY)

        (ended,) = billing.platform.calls_of("cancel_checkout")
        assert ended.account == billing.platform.calls_of("create_checkout")[0].account
        assert (dry, billing.platform.payments[reference_of(purchase)].status) == (
            PaymentStatus.PENDING,
            PaymentStatus.CANCELLED,
        )
        assert (stored(billing, purchase).platform_reference, stored(billing, purchase).needs_review) == (orphan, False)
        assert told(billing) == ["purchase.needs_review", "credits.purchased"]

    async def test_finds_that_the_own_page_was_paid_too(self, billing: InMemoryBilling) -> None:
        """Its notice was lost, and nobody asks about a paid purchase: a person hears of the second money now."""
        purchase, _ = await an_otherwise_paid_one(billing)
        billing.platform.pay(reference_of(purchase))

        changes = await billing.operate.resolve(key_of(purchase), "accept", BY)

        assert [change.what for change in changes] == ["completed", "needs_review"]
        assert stored(billing, purchase).review.about == reference_of(purchase)
        assert told(billing).count("credits.purchased") == 1

    @pytest.mark.parametrize("verb", ["cancel_checkout", "look_up"])
    async def test_a_platform_in_trouble_is_raised_and_the_review_waits(
        self, billing: InMemoryBilling, verb: Verb
    ) -> None:
        """Whether the own page could not be ended or nobody can be asked: trouble passes."""
        purchase, _ = await an_otherwise_paid_one(billing)
        before = everything_kept(billing)
        billing.platform.fail(verb, AWAY)

        with pytest.raises(PlatformUnavailable):
            await billing.operate.resolve(key_of(purchase), "accept", BY)

        assert everything_kept(billing) == before

    async def test_a_page_that_may_not_be_ended_is_no_obstacle(self, billing: InMemoryBilling) -> None:
        """The money that is there is taken; what comes of the page is told like any other payment."""
        purchase, orphan = await an_otherwise_paid_one(billing)
        billing.platform.fail("cancel_checkout", PlatformAuthError("sandbox", "not allowed"))

        await billing.operate.resolve(key_of(purchase), "accept", BY)

        assert stored(billing, purchase).platform_reference == orphan

    async def test_answers_the_oldest_question_and_leaves_the_next_one(self, billing: InMemoryBilling) -> None:
        """Two other checkouts were paid: the first is taken for the price, the second is for a person still."""
        purchase, orphan = await an_otherwise_paid_one(billing)
        third = f"{orphan}-too"
        billing.platform.payments[third] = billing.platform.payments[orphan]
        await tell(billing, purchase, third)

        await billing.operate.resolve(key_of(purchase), "accept", BY)

        assert (stored(billing, purchase).platform_reference, stored(billing, purchase).review.about) == (
            orphan,
            third,
        )

    async def test_what_somebody_else_answered_meanwhile_is_refused(self, billing: InMemoryBilling) -> None:
        """Credits are given for the payment the operator saw, not for the one that was asked about since."""
        purchase = await a_wrongly_paid_one(billing)
        held = billing.platform.hold("look_up")
        answering = asyncio.create_task(billing.operate.resolve(key_of(purchase), "accept", BY))
        await asyncio.wait_for(held.asked.wait(), SOON_S)
        await billing.operate.resolve(key_of(purchase), "dismiss", BY)
        orphan = an_orphan_of(billing, purchase)
        billing.platform.pay(orphan, price=CENT)
        await tell(billing, purchase, orphan)

        billing.platform.release(held)
        with pytest.raises(ResolutionRefused, match="has changed meanwhile"):
            await answering

        assert not stored(billing, purchase).is_paid


class TestDismiss:
    async def test_a_dry_run_tells_what_the_real_one_does(self, billing: InMemoryBilling) -> None:
        """Also of an open purchase nobody has paid at its own page."""
        purchase, _ = await an_otherwise_paid_one(billing)

        dry = await billing.operate.resolve(key_of(purchase), "dismiss", BY, dry_run=True)
        real = await billing.operate.resolve(key_of(purchase), "dismiss", BY)

        assert [change.what for change in dry] == [change.what for change in real] == ["dismissed", "cancelled"]

    async def test_a_refusal_to_end_the_page_hides_no_payment(self, billing: InMemoryBilling) -> None:
        """A platform may refuse to end what was paid: it is asked all the same, and payment counts in time."""
        purchase, _ = await an_otherwise_paid_one(billing)
        billing.platform.pay(reference_of(purchase))
        billing.platform.fail("cancel_checkout", PlatformRejected("sandbox", "only open sessions can be ended"))

        await billing.operate.resolve(key_of(purchase), "dismiss", BY)

        assert (stored(billing, purchase).status, stored(billing, purchase).late) == (PurchaseStatus.COMPLETED, False)

    async def test_a_wrong_payment_found_at_the_own_page_is_another_question(self, billing: InMemoryBilling) -> None:
        """The purchase is called off, a person hears of the cent, and may accept it: late."""
        purchase, _ = await an_otherwise_paid_one(billing)
        billing.platform.pay(reference_of(purchase), price=CENT)

        changes = await billing.operate.resolve(key_of(purchase), "dismiss", BY)
        asked = stored(billing, purchase)
        await billing.operate.resolve(key_of(purchase), "accept", BY)

        assert [change.what for change in changes] == ["dismissed", "needs_review", "cancelled"]
        assert (asked.status, asked.review.about) == (PurchaseStatus.CANCELLED, reference_of(purchase))
        assert (stored(billing, purchase).is_paid, stored(billing, purchase).late) == (True, True)

    async def test_a_payment_reported_while_the_operator_answers_is_still_asked_about(
        self, billing: InMemoryBilling
    ) -> None:
        """The operator saw the cent alone; the other checkout's money is dismissed by nobody unseen."""
        purchase = await a_wrongly_paid_one(billing)
        orphan = an_orphan_of(billing, purchase)
        billing.platform.pay(orphan, price=stored(billing, purchase).offer.price)
        held = billing.platform.hold("cancel_checkout")
        answering = asyncio.create_task(billing.operate.resolve(key_of(purchase), "dismiss", BY))
        await asyncio.wait_for(held.asked.wait(), SOON_S)
        await tell(billing, purchase, orphan)

        billing.platform.release(held)
        await answering

        left = stored(billing, purchase)
        assert (left.review.about, len(left.review.findings), len(left.review.dismissed)) == (orphan, 1, 1)

    async def test_what_somebody_else_answered_meanwhile_is_refused(self, billing: InMemoryBilling) -> None:
        """And what was asked since is not answered in its place."""
        purchase = await a_wrongly_paid_one(billing)
        orphan = an_orphan_of(billing, purchase)
        billing.platform.pay(orphan, price=stored(billing, purchase).offer.price)
        held = billing.platform.hold("cancel_checkout")
        answering = asyncio.create_task(billing.operate.resolve(key_of(purchase), "dismiss", BY))
        await asyncio.wait_for(held.asked.wait(), SOON_S)
        await billing.operate.resolve(key_of(purchase), "dismiss", BY)
        await tell(billing, purchase, orphan)
        before = stored(billing, purchase)

        billing.platform.release(held)
        with pytest.raises(ResolutionRefused, match="has changed meanwhile"):
            await answering

        assert stored(billing, purchase) == before
        assert before.review.about == orphan
