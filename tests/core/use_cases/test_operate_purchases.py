"""What operators do: reconcile and call off. The platform is asked, and a dry run keeps nothing."""

from datetime import timedelta
from uuid import UUID

import pytest
from tests.core.use_cases.stored_purchases import (
    AWAY,
    NoCancelling,
    a_bought_one,
    a_never_answered_one,
    a_wrongly_paid_one,
    everything_kept,
    key_of,
    reference_of,
    stored,
    told,
)

from billing_core.domain.payments import DisputeStatus, PaymentReport, PaymentStatus
from billing_core.domain.purchases import PurchaseStatus
from billing_core.errors import PlatformError, PlatformUnavailable, PurchaseNotFound, ResolutionRefused
from billing_core.testing import InMemoryBilling, ScriptedPlatform, an_origin
from billing_core.testing.scripted_platform import Verb

BY = an_origin(actor="ada", reason="asked by phone")


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

    async def test_a_change_that_announces_nothing_is_found_like_any_other(self, billing: InMemoryBilling) -> None:
        """A dispute of what was given back already takes no further credits."""
        purchase = await a_bought_one(billing)
        await billing.pay(purchase)
        billing.platform.refund(reference_of(purchase), 6999)
        await billing.notify(reference_of(purchase))
        billing.platform.dispute(reference_of(purchase), DisputeStatus.OPEN)

        (finding,) = await billing.operate.reconcile([key_of(purchase)], BY)

        assert [(change.what, change.fact) for change in finding.changes] == [("dispute", None)]

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

    async def test_a_purchase_named_twice_is_asked_about_and_told_of_once(self, billing: InMemoryBilling) -> None:
        """One finding for each purchase."""
        purchase = await a_bought_one(billing)
        billing.platform.pay(reference_of(purchase))

        findings = await billing.operate.reconcile([key_of(purchase)] * 2, BY)

        assert [[change.what for change in finding.changes] for finding in findings] == [["completed"]]
        assert len(billing.platform.calls_of("look_up")) == 1

    async def test_a_trial_is_told_under_the_purchase_that_converted_it(self, billing: InMemoryBilling) -> None:
        """Of two purchases of one merchant the first one did; the second has its own change alone."""
        caller = await billing.register()
        await billing.activate_trial(caller, "trial")
        purchases = [await billing.buy(caller, pack) for pack in ("small", "large")]
        for purchase in purchases:
            billing.platform.pay(reference_of(purchase))

        findings = await billing.operate.reconcile([key_of(purchase) for purchase in purchases], BY)

        assert [[change.what for change in finding.changes] for finding in findings] == [
            ["completed", "converted"],
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
        assert len({call.account for call in billing.platform.calls}) == 1
        assert billing.platform.payments[reference_of(purchase)].status is PaymentStatus.CANCELLED
        assert (stored(billing, purchase).status, told(billing)) == (PurchaseStatus.CANCELLED, ["purchase.cancelled"])

    async def test_one_that_was_paid_in_the_meantime_is_completed(self, billing: InMemoryBilling) -> None:
        """The merchant's money is faster than the operator's click: no checkout is ended, the credits are given."""
        purchase = await a_bought_one(billing)
        billing.platform.pay(reference_of(purchase))

        changes = await billing.operate.cancel(key_of(purchase), BY)

        assert [change.what for change in changes] == ["completed"]
        assert (stored(billing, purchase).late, told(billing)) == (False, ["credits.purchased"])
        assert stored(billing, purchase).observed_at == billing.clock.now()

    async def test_one_that_expired_at_its_platform_is_expired(self, billing: InMemoryBilling) -> None:
        """What really happened is told, once."""
        purchase = await a_bought_one(billing)
        billing.platform.expire(reference_of(purchase))

        await billing.operate.cancel(key_of(purchase), BY)

        assert (stored(billing, purchase).status, told(billing)) == (PurchaseStatus.EXPIRED, ["purchase.expired"])

    async def test_a_payment_at_a_platform_that_cannot_cancel_still_counts(self) -> None:
        """The purchase is called off here, the checkout stays open there, and verified payment overrides (rule 1)."""
        billing = InMemoryBilling(platforms=[NoCancelling()])
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

    async def test_the_checkout_of_a_create_that_was_never_answered_is_ended_too(
        self, billing: InMemoryBilling
    ) -> None:
        """It is found by the purchase: nobody was handed its page, but the platform has it."""
        purchase = await a_never_answered_one(billing, made=True)

        await billing.operate.cancel((purchase.merchant_id, purchase.purchase_id), BY)

        payment = billing.platform.payments[billing.platform.reference_of(purchase)]
        assert len({call.account for call in billing.platform.calls}) == 1
        assert payment.status is PaymentStatus.CANCELLED
        assert billing.storage.tables.purchases[purchase.purchase_id].status is PurchaseStatus.CANCELLED

    @pytest.mark.parametrize("dry_run", [True, False])
    async def test_one_whose_money_is_under_way_is_refused(self, billing: InMemoryBilling, dry_run: bool) -> None:
        """Confirmed by the merchant, or paid wrongly and shown to a person: nothing is changed, and that is said."""
        under_way, wrongly_paid = await a_bought_one(billing), await a_wrongly_paid_one(billing)
        billing.platform.process(reference_of(under_way))
        before = told(billing)

        for purchase in (under_way, wrongly_paid):
            with pytest.raises(ResolutionRefused, match="it stays as it is"):
                await billing.operate.cancel(key_of(purchase), BY, dry_run=dry_run)
            assert stored(billing, purchase).status is PurchaseStatus.PENDING

        assert told(billing) == before

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
