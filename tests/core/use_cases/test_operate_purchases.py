"""What operators do: reconcile, call off, resolve. The platform is asked, and a dry run keeps nothing."""

from datetime import timedelta
from uuid import UUID

import pytest
from tests.core.use_cases.stored_purchases import (
    AWAY,
    a_bought_one,
    a_never_answered_one,
    everything_kept,
    key_of,
    reference_of,
    stored,
    told,
)

from billing_core.domain.money import Money
from billing_core.domain.purchases import PaymentReport, PaymentStatus, PurchaseStatus
from billing_core.errors import PlatformError, PlatformUnavailable, PurchaseNotFound, ResolutionRefused
from billing_core.ports.platforms import PlatformAccount
from billing_core.testing import InMemoryBilling, ScriptedPlatform, a_purchase_updated, an_origin
from billing_core.testing.scripted_platform import Verb
from billing_core.use_cases.operate_purchases import Verdict
from billing_core.views import PurchaseView

BY = an_origin(actor="ada", reason="asked by phone")
WOULD_CHANGE: dict[Verdict, list[str]] = {"accept": ["completed"], "dismiss": ["dismissed", "cancelled"]}
VERDICTS = list(WOULD_CHANGE)
CENT = Money(amount_minor=1, currency="USD")


class _NoCancelling(ScriptedPlatform):
    """A platform whose checkouts can be paid until they expire, whatever we wish (Shopify)."""

    async def cancel_checkout(self, platform_reference: str, account: PlatformAccount) -> None:
        """This will do nothing."""


async def _under_review(billing: InMemoryBilling) -> PurchaseView:
    """A purchase a cent was paid for."""
    purchase = await a_bought_one(billing)
    billing.platform.pay(reference_of(purchase), price=CENT)
    await billing.notify(reference_of(purchase))
    assert stored(billing, purchase).needs_review
    return purchase


class TestReconcile:
    async def test_settles_what_a_lost_notice_left_open_and_tells_what_it_found(self, billing: InMemoryBilling) -> None:
        """One finding a purchase, in the order asked: the answer, and what it changed."""
        paid, unpaid = await a_bought_one(billing), await a_bought_one(billing)
        billing.platform.pay(reference_of(paid))

        findings = await billing.operate.reconcile([key_of(paid), key_of(unpaid)], BY)

        assert [finding.purchase.purchase_id for finding in findings] == [paid.id, unpaid.id]
        assert [change.what for change in findings[0].changes] == ["completed"]
        assert findings[1].changes == ()
        assert isinstance(findings[1].answer, PaymentReport)
        assert findings[1].answer.status is PaymentStatus.PENDING
        assert (stored(billing, paid).status, told(billing)) == (PurchaseStatus.COMPLETED, ["credits.purchased"])

    async def test_finds_the_payment_of_a_purchase_that_is_over(self, billing: InMemoryBilling) -> None:
        """Neither job asks about a closed purchase; an operator may, and the payment counts as late."""
        purchase = await a_bought_one(billing)
        billing.clock.advance(timedelta(days=3))
        await billing.expire_purchases()
        billing.platform.pay(reference_of(purchase))

        await billing.operate.reconcile([key_of(purchase)], BY)

        assert (stored(billing, purchase).status, stored(billing, purchase).late) == (PurchaseStatus.COMPLETED, True)

    async def test_finds_the_refund_whose_notice_was_lost(self, billing: InMemoryBilling) -> None:
        """A paid purchase follows its refunds when an operator asks."""
        purchase = await a_bought_one(billing)
        await billing.pay(purchase)
        billing.platform.refund(reference_of(purchase), 6999)

        await billing.operate.reconcile([key_of(purchase)], BY)

        assert stored(billing, purchase).status is PurchaseStatus.REFUNDED
        assert told(billing) == ["credits.purchased", "credits.reversed"]

    async def test_a_dry_run_tells_the_same_and_keeps_nothing(self, billing: InMemoryBilling) -> None:
        """Purchases, trials, history, events, claims: every table is as it was, and the real run then does it."""
        caller = await billing.register()
        await billing.activate_trial(caller, "trial")
        paid, overdue = await billing.buy(caller), await a_bought_one(billing)
        unanswered = await a_never_answered_one(billing, made=True)
        billing.platform.pay(reference_of(paid))
        billing.platform.pay(billing.platform.reference_of(unanswered))
        billing.clock.advance(timedelta(days=3))
        keys = [key_of(paid), key_of(overdue), (unanswered.merchant_id, unanswered.purchase_id)]
        before = everything_kept(billing)

        dry = await billing.operate.reconcile(keys, BY, dry_run=True)
        after = everything_kept(billing)
        real = await billing.operate.reconcile(keys, BY)

        assert after == before
        assert [finding.changes for finding in dry] == [finding.changes for finding in real]
        assert [[change.what for change in finding.changes] for finding in real] == [
            ["completed", "converted"],
            ["expired"],
            ["completed"],
        ]

    async def test_trouble_is_told_and_changes_nothing(self, billing: InMemoryBilling) -> None:
        """The finding carries the platform's error; the other purchase is settled."""
        troubled, paid = await a_bought_one(billing), await a_bought_one(billing)
        billing.platform.pay(reference_of(paid))
        billing.platform.fail("look_up", AWAY)

        findings = await billing.operate.reconcile([key_of(troubled), key_of(paid)], BY)

        assert findings[0].answer is AWAY
        assert (findings[0].changes, findings[0].fault) == ((), None)
        assert stored(billing, paid).is_paid

    async def test_a_purchase_nobody_has_is_refused(self, billing: InMemoryBilling) -> None:
        """Neither an unknown id nor another merchant's is told apart, and nothing is asked."""
        purchase, other = await a_bought_one(billing), await a_bought_one(billing)

        for key in ((purchase.merchant_id, UUID(int=1)), (other.merchant_id, purchase.id)):
            with pytest.raises(PurchaseNotFound):
                await billing.operate.reconcile([key], BY)

        assert billing.platform.calls_of("look_up") == []


class TestCancel:
    async def test_ends_the_checkout_and_then_the_purchase_with_the_reason(self, billing: InMemoryBilling) -> None:
        """The history names the operator; the event tells why."""
        purchase = await a_bought_one(billing)

        changes = await billing.operate.cancel(key_of(purchase), BY)

        assert [(change.what, change.by.actor) for change in changes] == [("cancelled", "ada")]
        assert billing.platform.payments[reference_of(purchase)].status is PaymentStatus.CANCELLED
        assert (stored(billing, purchase).status, told(billing)) == (PurchaseStatus.CANCELLED, ["purchase.cancelled"])

    async def test_one_that_was_paid_in_the_meantime_is_completed(self, billing: InMemoryBilling) -> None:
        """The merchant's money is faster than the operator's click: no checkout is ended, the credits are given."""
        purchase = await a_bought_one(billing)
        billing.platform.pay(reference_of(purchase))

        changes = await billing.operate.cancel(key_of(purchase), BY)

        assert [change.what for change in changes] == ["completed"]
        assert (stored(billing, purchase).late, told(billing)) == (False, ["credits.purchased"])

    async def test_one_that_expired_at_its_platform_is_expired(self, billing: InMemoryBilling) -> None:
        """What really happened is told, once."""
        purchase = await a_bought_one(billing)
        billing.platform.expire(reference_of(purchase))

        await billing.operate.cancel(key_of(purchase), BY)

        assert (stored(billing, purchase).status, told(billing)) == (PurchaseStatus.EXPIRED, ["purchase.expired"])

    async def test_a_payment_at_a_platform_that_cannot_cancel_still_counts(self) -> None:
        """The purchase is called off here, the checkout stays open there, and verified payment overrides (rule 1)."""
        billing = InMemoryBilling(platforms=[_NoCancelling()])
        purchase = await a_bought_one(billing)

        await billing.operate.cancel(key_of(purchase), BY)
        called_off = stored(billing, purchase).status
        await billing.pay(purchase)

        assert called_off is PurchaseStatus.CANCELLED
        assert (stored(billing, purchase).status, stored(billing, purchase).late) == (PurchaseStatus.COMPLETED, True)

    async def test_one_without_a_checkout_is_called_off(self, billing: InMemoryBilling) -> None:
        """There is no page to end."""
        purchase = await a_never_answered_one(billing, made=False)

        await billing.operate.cancel((purchase.merchant_id, purchase.purchase_id), BY)

        assert billing.platform.calls_of("cancel_checkout") == []
        assert billing.storage.tables.purchases[purchase.purchase_id].status is PurchaseStatus.CANCELLED

    @pytest.mark.parametrize("verb", ["cancel_checkout", "look_up"])
    async def test_a_platform_in_trouble_is_raised_and_nothing_is_done_here(
        self, billing: InMemoryBilling, verb: Verb
    ) -> None:
        """Whether its checkout could not be ended or nobody knows how it stands; the purchase is open as before."""
        purchase = await a_bought_one(billing)
        before = everything_kept(billing)
        billing.platform.fail(verb, AWAY)

        with pytest.raises(PlatformUnavailable):
            await billing.operate.cancel(key_of(purchase), BY)

        assert everything_kept(billing) == before

    async def test_a_platform_that_is_no_longer_configured_cannot_be_asked(self, billing: InMemoryBilling) -> None:
        """The remedy is told, and the purchase stays as it is."""
        purchase = await a_bought_one(billing)
        elsewhere = InMemoryBilling(platforms=[ScriptedPlatform("stripe")], storage=billing.storage)

        with pytest.raises(PlatformError, match="BILLING_PLATFORMS"):
            await elsewhere.operate.cancel(key_of(purchase), BY)

        assert stored(billing, purchase).status is PurchaseStatus.PENDING

    async def test_one_that_is_over_is_refused_and_its_platform_not_bothered(self, billing: InMemoryBilling) -> None:
        """Paid, or called off before."""
        paid, gone = await a_bought_one(billing), await a_bought_one(billing)
        await billing.pay(paid)
        await billing.operate.cancel(key_of(gone), BY)
        asked = len(billing.platform.calls)

        for purchase, status in ((paid, "completed"), (gone, "cancelled")):
            with pytest.raises(ResolutionRefused, match=f"{status}; only an open one"):
                await billing.operate.cancel(key_of(purchase), BY)

        assert len(billing.platform.calls) == asked

    async def test_a_dry_run_ends_nothing_anywhere(self, billing: InMemoryBilling) -> None:
        """It says what would change; the checkout can still be paid."""
        purchase = await a_bought_one(billing)
        before = everything_kept(billing)

        changes = await billing.operate.cancel(key_of(purchase), BY, dry_run=True)

        assert [change.what for change in changes] == ["cancelled"]
        assert everything_kept(billing) == before
        assert billing.platform.calls_of("cancel_checkout") == []


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
        denied, unpaid = await _under_review(billing), await _under_review(billing)
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
        purchase = await _under_review(billing)
        billing.platform.fail("look_up", AWAY)

        with pytest.raises(PlatformUnavailable):
            await billing.operate.resolve(key_of(purchase), "accept", BY)

        assert stored(billing, purchase).needs_review

    @pytest.mark.parametrize("verdict", VERDICTS)
    async def test_a_purchase_nobody_has_is_refused(self, billing: InMemoryBilling, verdict: Verdict) -> None:
        """Another merchant's purchase is no purchase."""
        purchase, other = await _under_review(billing), await a_bought_one(billing)

        with pytest.raises(PurchaseNotFound):
            await billing.operate.resolve((other.merchant_id, purchase.id), verdict, BY)

    @pytest.mark.parametrize("verdict", VERDICTS)
    async def test_a_dry_run_tells_what_would_change_and_keeps_nothing(
        self, billing: InMemoryBilling, verdict: Verdict
    ) -> None:
        """Accepted or dismissed: every table is as it was."""
        purchase = await _under_review(billing)
        before = everything_kept(billing)

        changes = await billing.operate.resolve(key_of(purchase), verdict, BY, dry_run=True)

        assert [change.what for change in changes] == WOULD_CHANGE[verdict]
        assert everything_kept(billing) == before


class TestDismiss:
    async def test_closes_the_review_without_credits_and_calls_the_open_purchase_off(
        self, billing: InMemoryBilling
    ) -> None:
        """The merchant hears that it was cancelled; the history says by whom and why."""
        purchase = await _under_review(billing)

        changes = await billing.operate.resolve(key_of(purchase), "dismiss", BY)

        assert {(change.by.actor, change.reason) for change in changes} == {("ada", "asked by phone")}
        assert (stored(billing, purchase).status, stored(billing, purchase).needs_review) == (
            PurchaseStatus.CANCELLED,
            False,
        )
        assert told(billing) == ["purchase.needs_review", "purchase.cancelled"]

    async def test_the_same_finding_asks_nobody_again_and_another_one_does(self, billing: InMemoryBilling) -> None:
        """A redelivered notice of the dismissed cent rings nobody; two cents do."""
        purchase = await _under_review(billing)
        await billing.operate.resolve(key_of(purchase), "dismiss", BY)

        await billing.notify(reference_of(purchase))
        same = stored(billing, purchase).needs_review
        billing.platform.pay(reference_of(purchase), price=Money(amount_minor=2, currency="USD"))
        await billing.notify(reference_of(purchase))

        assert (same, stored(billing, purchase).needs_review) == (False, True)
        assert told(billing).count("purchase.needs_review") == 2

    async def test_a_proper_payment_later_still_counts(self, billing: InMemoryBilling) -> None:
        """Dismissed by a person, then paid as offered: late, and granted once."""
        purchase = await _under_review(billing)
        await billing.operate.resolve(key_of(purchase), "dismiss", BY)

        billing.platform.pay(reference_of(purchase), price=stored(billing, purchase).offer.price)
        await billing.notify(reference_of(purchase))

        assert (stored(billing, purchase).status, stored(billing, purchase).late) == (PurchaseStatus.COMPLETED, True)
        assert told(billing).count("credits.purchased") == 1

    async def test_is_refused_where_nothing_is_to_be_resolved(self, billing: InMemoryBilling) -> None:
        """Also the second time."""
        purchase = await _under_review(billing)
        await billing.operate.resolve(key_of(purchase), "dismiss", BY)

        with pytest.raises(ResolutionRefused, match="needs no review"):
            await billing.operate.resolve(key_of(purchase), "dismiss", BY)
