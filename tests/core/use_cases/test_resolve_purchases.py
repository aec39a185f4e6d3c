"""How operators answer a purchase that needs review: they accept its payment, or dismiss the finding."""

from datetime import timedelta

import pytest
from tests.core.use_cases.stored_purchases import (
    AWAY,
    a_bought_one,
    a_wrongly_paid_one,
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
from billing_core.errors import PlatformAuthError, PlatformUnavailable, PurchaseNotFound, ResolutionRefused
from billing_core.testing import InMemoryBilling, a_purchase_updated, an_origin
from billing_core.testing.scripted_platform import Verb
from billing_core.use_cases.operate_purchases import Verdict

BY = an_origin(actor="ada", reason="asked by phone")
WOULD_CHANGE: dict[Verdict, list[str]] = {"accept": ["completed"], "dismiss": ["dismissed", "cancelled"]}
VERDICTS = list(WOULD_CHANGE)
CENT = Money(amount_minor=1, currency="USD")


class TestAccept:
    async def test_gives_the_credits_and_notes_the_purchase_on_the_trial(self, billing: InMemoryBilling) -> None:
        """Exactly as a payment that matched would, through the same path, and once."""
        caller = await billing.register()
        await billing.activate_trial(caller, "trial")
        purchase = await billing.buy(caller)
        billing.platform.pay(reference_of(purchase), price=CENT)
        await billing.notify(reference_of(purchase))

        changes = await billing.operate.resolve(key_of(purchase), "accept", BY)
        await billing.notify(reference_of(purchase))

        assert [(change.what, change.by.actor) for change in changes] == [("completed", "ada"), ("converted", "ada")]
        assert not stored(billing, purchase).needs_review
        assert told(billing) == ["trial.started", "purchase.needs_review", "credits.purchased", "trial.converted"]

    async def test_gives_them_for_a_purchase_that_was_over(self, billing: InMemoryBilling) -> None:
        """Paid wrongly after it expired: accepted, the credits are late."""
        purchase = await a_bought_one(billing)
        billing.clock.advance(timedelta(days=3))
        await billing.expire_purchases()
        billing.platform.pay(reference_of(purchase), price=CENT)
        await billing.notify(reference_of(purchase))

        await billing.operate.resolve(key_of(purchase), "accept", BY)

        assert (stored(billing, purchase).status, stored(billing, purchase).late) == (PurchaseStatus.COMPLETED, True)

    async def test_the_checkout_that_was_paid_is_not_ended(self, billing: InMemoryBilling) -> None:
        """Only a page that another payment took the place of must not stay payable."""
        purchase = await a_wrongly_paid_one(billing)

        await billing.operate.resolve(key_of(purchase), "accept", BY)

        assert billing.platform.calls_of("cancel_checkout") == []

    async def test_takes_the_payment_in_question_though_it_is_not_the_purchases_own(
        self, billing: InMemoryBilling
    ) -> None:
        """A person was asked about another checkout's payment, so that one is looked up, and never given twice."""
        purchase, orphan = await an_otherwise_paid_one(billing)

        await billing.operate.resolve(key_of(purchase), "accept", BY)
        await tell(billing, purchase, orphan)

        assert stored(billing, purchase).platform_reference == orphan
        assert (stored(billing, purchase).is_paid, stored(billing, purchase).needs_review) == (True, False)
        assert told(billing) == ["purchase.needs_review", "credits.purchased"]

    @pytest.mark.parametrize(
        ("paid", "refunded", "status", "credits_back"),
        [
            (5000, 5000, PurchaseStatus.REFUNDED, 1000),
            (2 * 6999, 6999, PurchaseStatus.PARTIALLY_REFUNDED, 500),
        ],
    )
    async def test_refunds_later_are_counted_against_what_was_paid(
        self, billing: InMemoryBilling, paid: int, refunded: int, status: PurchaseStatus, credits_back: int
    ) -> None:
        """Underpaid and given back whole; overpaid and the half given back."""
        purchase = await a_wrongly_paid_one(billing, paid)
        await billing.operate.resolve(key_of(purchase), "accept", BY)

        billing.platform.refund(reference_of(purchase), refunded)
        await billing.notify(reference_of(purchase))

        assert (stored(billing, purchase).status, stored(billing, purchase).credits_reversed) == (status, credits_back)

    async def test_also_where_another_currency_was_paid(self, billing: InMemoryBilling) -> None:
        """Half of the fifty euros taken for the price is half of the credits."""
        purchase = await a_bought_one(billing)
        billing.platform.pay(reference_of(purchase), price=Money(amount_minor=5000, currency="EUR"))
        await billing.notify(reference_of(purchase))
        await billing.operate.resolve(key_of(purchase), "accept", BY)

        billing.platform.refund(reference_of(purchase), 2500)
        await billing.notify(reference_of(purchase))

        assert stored(billing, purchase).credits_reversed == 500

    async def test_is_refused_where_nothing_is_to_be_resolved(self, billing: InMemoryBilling) -> None:
        """Open or paid: there is no question to answer."""
        open_, paid = await a_bought_one(billing), await a_bought_one(billing)
        await billing.pay(paid)

        for purchase in (open_, paid):
            with pytest.raises(ResolutionRefused, match="needs no review"):
                await billing.operate.resolve(key_of(purchase), "accept", BY)

        assert stored(billing, open_).status is PurchaseStatus.PENDING

    async def test_is_refused_where_the_platform_knows_of_no_payment(self, billing: InMemoryBilling) -> None:
        """Denied or never paid: credits without payment are `credits grant`, not a resolution."""
        denied, unpaid = await a_wrongly_paid_one(billing), await a_wrongly_paid_one(billing)
        billing.platform.forget(reference_of(denied))
        billing.platform.fail_payment(reference_of(unpaid))

        for purchase, why in ((denied, "no such payment"), (unpaid, "failed; only a paid one")):
            with pytest.raises(ResolutionRefused, match=why):
                await billing.operate.resolve(key_of(purchase), "accept", BY)
            assert stored(billing, purchase).needs_review

        assert "credits.purchased" not in told(billing)

    async def test_is_refused_for_a_second_payment(self, billing: InMemoryBilling) -> None:
        """One purchase grants its credits once; the second payment is given back and dismissed."""
        purchase = await a_bought_one(billing)
        await billing.pay(purchase)
        second = f"{reference_of(purchase)}-again"
        billing.platform.payments[second] = billing.platform.payments[reference_of(purchase)]
        payload = {"reference": second, "purchase": stored(billing, purchase).short_reference}
        await billing.handle_webhooks([a_purchase_updated(payload=payload)])

        with pytest.raises(ResolutionRefused, match="give the other payment back"):
            await billing.operate.resolve(key_of(purchase), "accept", BY)
        await billing.operate.resolve(key_of(purchase), "dismiss", BY)

        assert (stored(billing, purchase).status, stored(billing, purchase).needs_review) == (
            PurchaseStatus.COMPLETED,
            False,
        )
        assert told(billing) == ["credits.purchased", "purchase.needs_review"]

    async def test_a_platform_in_trouble_is_raised_and_the_review_waits(self, billing: InMemoryBilling) -> None:
        """Nobody's word counts for the platform's."""
        purchase = await a_wrongly_paid_one(billing)
        billing.platform.fail("look_up", AWAY)

        with pytest.raises(PlatformUnavailable):
            await billing.operate.resolve(key_of(purchase), "accept", BY)

        assert stored(billing, purchase).needs_review

    @pytest.mark.parametrize("verdict", VERDICTS)
    async def test_a_purchase_nobody_has_is_refused(self, billing: InMemoryBilling, verdict: Verdict) -> None:
        """Another merchant's purchase is no purchase."""
        purchase, other = await a_wrongly_paid_one(billing), await a_bought_one(billing)

        with pytest.raises(PurchaseNotFound):
            await billing.operate.resolve((other.merchant_id, purchase.id), verdict, BY)

    @pytest.mark.parametrize("verdict", VERDICTS)
    async def test_a_dry_run_tells_what_would_change_and_keeps_nothing(
        self, billing: InMemoryBilling, verdict: Verdict
    ) -> None:
        """Accepted or dismissed: every table is as it was."""
        purchase = await a_wrongly_paid_one(billing)
        before = everything_kept(billing)

        changes = await billing.operate.resolve(key_of(purchase), verdict, BY, dry_run=True)

        assert [change.what for change in changes] == WOULD_CHANGE[verdict]
        assert everything_kept(billing) == before


class TestDismiss:
    async def test_closes_the_review_without_credits_and_calls_the_open_purchase_off(
        self, billing: InMemoryBilling
    ) -> None:
        """The merchant hears that it was cancelled; the history says by whom and why."""
        purchase = await a_wrongly_paid_one(billing)

        changes = await billing.operate.resolve(key_of(purchase), "dismiss", BY)

        assert {(change.by.actor, change.reason) for change in changes} == {("ada", "asked by phone")}
        assert {change.at for change in changes} == {billing.clock.now()}
        assert (stored(billing, purchase).status, stored(billing, purchase).needs_review) == (
            PurchaseStatus.CANCELLED,
            False,
        )
        assert told(billing) == ["purchase.needs_review", "purchase.cancelled"]

    async def test_one_that_asks_for_nobody_is_refused_and_its_page_left_as_it_is(
        self, billing: InMemoryBilling
    ) -> None:
        """A slip of the operator's costs the merchant nothing."""
        purchase = await a_bought_one(billing)

        with pytest.raises(ResolutionRefused):
            await billing.operate.resolve(key_of(purchase), "dismiss", BY)

        assert billing.platform.calls_of("cancel_checkout") == []

    async def test_the_same_finding_asks_nobody_again_and_another_one_does(self, billing: InMemoryBilling) -> None:
        """A redelivered notice of the dismissed cent rings nobody; two cents do."""
        purchase = await a_wrongly_paid_one(billing)
        await billing.operate.resolve(key_of(purchase), "dismiss", BY)

        await billing.notify(reference_of(purchase))
        same = stored(billing, purchase).needs_review
        billing.platform.pay(reference_of(purchase), price=Money(amount_minor=2, currency="USD"))
        await billing.notify(reference_of(purchase))

        assert (same, stored(billing, purchase).needs_review) == (False, True)
        assert told(billing).count("purchase.needs_review") == 2

    async def test_the_page_of_an_open_purchase_is_ended_too(self, billing: InMemoryBilling) -> None:
        """What was called off must not stay payable; a dry run leaves the page as it is."""
        purchase = await a_wrongly_paid_one(billing)

        await billing.operate.resolve(key_of(purchase), "dismiss", BY, dry_run=True)
        dry = billing.platform.calls_of("cancel_checkout")
        await billing.operate.resolve(key_of(purchase), "dismiss", BY)

        assert (dry, len(billing.platform.calls_of("cancel_checkout"))) == ([], 1)

    async def test_of_another_payment_ends_the_page_the_merchant_was_handed(self, billing: InMemoryBilling) -> None:
        """Nobody pays it in the belief that it still counts."""
        purchase, orphan = await an_otherwise_paid_one(billing)

        await billing.operate.resolve(key_of(purchase), "dismiss", BY)

        assert billing.platform.payments[reference_of(purchase)].status is PaymentStatus.CANCELLED
        assert billing.platform.payments[orphan].status is PaymentStatus.PAID
        assert stored(billing, purchase).status is PurchaseStatus.CANCELLED

    async def test_of_another_payment_finds_that_the_right_one_came_meanwhile(self, billing: InMemoryBilling) -> None:
        """Its notice was lost; the last word before calling off is the platform's, and payment counts."""
        purchase, _ = await an_otherwise_paid_one(billing)
        billing.platform.pay(reference_of(purchase))

        changes = await billing.operate.resolve(key_of(purchase), "dismiss", BY)

        assert [change.what for change in changes] == ["dismissed", "completed"]
        assert (stored(billing, purchase).late, stored(billing, purchase).needs_review) == (False, False)

    async def test_of_another_payment_leaves_money_under_way_open(self, billing: InMemoryBilling) -> None:
        """What the merchant confirmed is not called off; only the question is closed."""
        purchase, _ = await an_otherwise_paid_one(billing)
        billing.platform.process(reference_of(purchase))

        changes = await billing.operate.resolve(key_of(purchase), "dismiss", BY)

        assert [change.what for change in changes] == ["dismissed"]
        assert stored(billing, purchase).status is PurchaseStatus.PENDING

    @pytest.mark.parametrize("verb", ["cancel_checkout", "look_up"])
    async def test_a_platform_that_refuses_us_is_no_obstacle(self, billing: InMemoryBilling, verb: Verb) -> None:
        """That may be why a person was asked: the shop is gone, and nobody could ever close the question."""
        purchase = await a_wrongly_paid_one(billing)
        billing.platform.fail(verb, PlatformAuthError("sandbox", "uninstalled"))

        await billing.operate.resolve(key_of(purchase), "dismiss", BY)

        assert (stored(billing, purchase).status, stored(billing, purchase).needs_review) == (
            PurchaseStatus.CANCELLED,
            False,
        )

    @pytest.mark.parametrize("verb", ["cancel_checkout", "look_up"])
    async def test_a_platform_in_trouble_is_raised_and_the_review_waits(
        self, billing: InMemoryBilling, verb: Verb
    ) -> None:
        """Trouble passes; the operator asks again."""
        purchase = await a_wrongly_paid_one(billing)
        before = everything_kept(billing)
        billing.platform.fail(verb, AWAY)

        with pytest.raises(PlatformUnavailable):
            await billing.operate.resolve(key_of(purchase), "dismiss", BY)

        assert everything_kept(billing) == before

    async def test_a_proper_payment_later_still_counts(self, billing: InMemoryBilling) -> None:
        """Dismissed by a person, then paid as offered: late, and granted once."""
        purchase = await a_wrongly_paid_one(billing)
        await billing.operate.resolve(key_of(purchase), "dismiss", BY)

        billing.platform.pay(reference_of(purchase), price=stored(billing, purchase).offer.price)
        await billing.notify(reference_of(purchase))

        assert (stored(billing, purchase).status, stored(billing, purchase).late) == (PurchaseStatus.COMPLETED, True)
        assert told(billing).count("credits.purchased") == 1

    async def test_is_refused_where_nothing_is_to_be_resolved(self, billing: InMemoryBilling) -> None:
        """Also the second time."""
        purchase = await a_wrongly_paid_one(billing)
        await billing.operate.resolve(key_of(purchase), "dismiss", BY)

        with pytest.raises(ResolutionRefused, match="needs no review"):
            await billing.operate.resolve(key_of(purchase), "dismiss", BY)
