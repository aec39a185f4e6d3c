"""The one path by which a purchase is paid: all or nothing, once, with the trial it converts."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from billing_core.domain.packs import Catalog, TrialTerms, default_catalog
from billing_core.domain.payments import PaymentStatus
from billing_core.domain.purchases import PurchaseStatus
from billing_core.domain.trials import TrialStatus
from billing_core.errors import ReferenceAlreadyClaimed
from billing_core.testing import InMemoryBilling, a_report, an_origin
from billing_core.use_cases.caller import Caller
from billing_core.use_cases.settle_purchases import Settlement
from billing_core.views import PurchaseView


def _settlement(billing: InMemoryBilling, view: PurchaseView, **values: Any) -> Settlement:
    """A settlement of a stored purchase by a report of its payment."""
    purchase = billing.storage.tables.purchases[view.id]
    report = values.pop("report", None) or a_report(
        purchase, observed_at=billing.clock.now(), **values.pop("reported", {})
    )
    fields: dict[str, Any] = {
        "merchant_id": purchase.merchant_id,
        "purchase_id": purchase.purchase_id,
        "report": report,
        "by": an_origin(),
    }
    return Settlement(**fields | values)


def _types(billing: InMemoryBilling) -> list[str]:
    kinds = [row.event.type for row in billing.storage.tables.outbox.values()]
    return [kind.removeprefix("evt.billing.") for kind in kinds if kind != "evt.billing.purchase.created"]


async def _on_trial(billing: InMemoryBilling) -> Caller:
    caller = await billing.register()
    await billing.activate_trial(caller, "trial")
    return caller


def _converting() -> InMemoryBilling:
    terms, packs = TrialTerms(on_purchase="convert"), default_catalog().packs
    return InMemoryBilling(catalog=Catalog(version="1", packs=packs, trial=terms))


class TestSettlePurchases:
    async def test_nothing_to_settle_is_nothing_done(self, billing: InMemoryBilling) -> None:
        """An empty batch opens no transaction."""
        assert await billing.settle([]) == ()

    async def test_settles_many_in_one_transaction(self, billing: InMemoryBilling) -> None:
        """Each by its own report, in the order given."""
        caller = await billing.register()
        paid, declined = await billing.buy(caller, "small"), await billing.buy(caller, "large")

        changes = await billing.settle(
            [
                _settlement(billing, paid),
                _settlement(billing, declined, reported={"status": PaymentStatus.DECLINED}),
            ]
        )

        assert [(change.subject_id, change.what) for change in changes] == [
            (paid.id, "completed"),
            (declined.id, "declined"),
        ]
        assert _types(billing) == ["credits.purchased", "purchase.declined"]

    async def test_a_message_counts_once_in_a_batch_and_for_ever(self, billing: InMemoryBilling) -> None:
        """A repeat of the same message does not even look again."""
        purchase = await billing.buy(await billing.register())
        unpaid = _settlement(billing, purchase, message_id="notice-1", reported={"status": PaymentStatus.PENDING})
        paid = _settlement(billing, purchase, message_id="notice-1")

        first = await billing.settle([unpaid, paid], source="webhooks")
        second = await billing.settle([paid], source="webhooks")

        assert (list(first), list(second)) == ([], [])
        assert ("webhooks", "notice-1") in billing.storage.tables.inbox

    async def test_many_workers_settling_one_payment_grant_it_once(self, billing: InMemoryBilling) -> None:
        """Webhook, reconciler and a second webhook at the same moment: one credits.purchased (market.md 2, 7)."""
        purchase = await billing.buy(await billing.register())
        settlements = [_settlement(billing, purchase, message_id=message_id) for message_id in ("a", "b", None, None)]

        await asyncio.gather(*(billing.settle([each]) for each in settlements))

        assert _types(billing) == ["credits.purchased"]

    @pytest.mark.parametrize("paid_first", [True, False])
    async def test_expiry_and_payment_at_the_same_moment_end_paid_in_either_order(
        self, billing: InMemoryBilling, paid_first: bool
    ) -> None:
        """The job's question was answered "unpaid" a moment before the payment (market.md 7)."""
        purchase = await billing.buy(await billing.register())
        billing.clock.advance(timedelta(days=3))
        expiry = _settlement(billing, purchase, reported={"status": PaymentStatus.PENDING}, act="expire")
        payment = _settlement(billing, purchase)

        for settlement in (payment, expiry) if paid_first else (expiry, payment):
            await billing.settle([settlement])

        stored = billing.storage.tables.purchases[purchase.id]
        assert (stored.status, stored.late) == (PurchaseStatus.COMPLETED, not paid_first)
        assert _types(billing).count("credits.purchased") == 1

    async def test_a_reference_that_is_anothers_undoes_the_whole_batch(self, billing: InMemoryBilling) -> None:
        """Two purchases never share a payment; all or nothing."""
        caller = await billing.register()
        claimed, other = await billing.buy(caller, "small"), await billing.buy(caller, "medium")
        stored = billing.storage.tables.purchases
        stored[other.id] = _without_checkout(billing, other)
        report = a_report(stored[other.id], platform_reference=claimed.platform_reference)

        with pytest.raises(ReferenceAlreadyClaimed):
            await billing.settle([_settlement(billing, claimed), _settlement(billing, other, report=report)])

        assert {purchase.is_paid for purchase in stored.values()} == {False}
        assert _types(billing) == []

    async def test_a_payment_found_for_a_create_never_answered_claims_its_reference(
        self, billing: InMemoryBilling
    ) -> None:
        """From then on notices about it find the purchase."""
        purchase = await billing.buy(await billing.register())
        tables = billing.storage.tables
        tables.purchases[purchase.id] = _without_checkout(billing, purchase)
        tables.payment_claims.clear()
        report = a_report(tables.purchases[purchase.id], platform_reference="found-1")

        await billing.settle([_settlement(billing, purchase, report=report)])

        assert tables.payment_claims == {("sandbox", "found-1"): purchase.id}
        assert tables.purchases[purchase.id].is_paid


class TestOverdue:
    @pytest.mark.parametrize(
        ("status", "ends"),
        [
            (PaymentStatus.PENDING, PurchaseStatus.EXPIRED),
            (PaymentStatus.EXPIRED, PurchaseStatus.EXPIRED),
            (PaymentStatus.DECLINED, PurchaseStatus.DECLINED),
            (PaymentStatus.PROCESSING, PurchaseStatus.PENDING),
            (PaymentStatus.PAID, PurchaseStatus.COMPLETED),
        ],
    )
    async def test_ends_only_what_the_platform_says_is_unpaid(
        self, billing: InMemoryBilling, status: PaymentStatus, ends: PurchaseStatus
    ) -> None:
        """Money under way is waited for; what the platform ended has the platform's end, told once."""
        purchase = await billing.buy(await billing.register())
        billing.clock.advance(timedelta(days=3))

        await billing.settle([_settlement(billing, purchase, reported={"status": status}, act="expire")])

        assert billing.storage.tables.purchases[purchase.id].status is ends
        assert len(_types(billing)) == (status is not PaymentStatus.PROCESSING)

    async def test_a_payment_that_needs_review_is_never_told_as_not_paid(self, billing: InMemoryBilling) -> None:
        """The platform says paid, only not what was offered: it stays open until a person has looked."""
        purchase = await billing.buy(await billing.register())
        billing.clock.advance(timedelta(days=3))

        await billing.settle([_settlement(billing, purchase, reported={"price": None}, act="expire")])

        assert billing.storage.tables.purchases[purchase.id].status is PurchaseStatus.PENDING
        assert _types(billing) == ["purchase.needs_review"]


class TestTrialConversion:
    async def test_the_first_purchase_during_a_trial_is_noted_and_the_trial_runs_on(
        self, billing: InMemoryBilling
    ) -> None:
        """By default it expires on its day like any other."""
        caller = await _on_trial(billing)
        await billing.pay(await billing.buy(caller, "small"))
        await billing.pay(await billing.buy(caller, "large"))
        billing.clock.advance(timedelta(days=14))
        await billing.expire_trials()

        kinds = [kind for kind in _types(billing) if kind.startswith("trial")]
        assert kinds == ["trial.started", "trial.converted", "trial.expired"]

    async def test_with_convert_the_trial_ends_and_never_expires(self) -> None:
        """A converted trial is over for good (market.md 30)."""
        billing = _converting()
        caller = await _on_trial(billing)
        await billing.pay(await billing.buy(caller))
        billing.clock.advance(timedelta(days=15))
        await billing.expire_trials()

        (trial,) = billing.storage.tables.trials.values()
        assert trial.status is TrialStatus.CONVERTED
        assert "trial.expired" not in _types(billing)

    async def test_a_test_payment_converts_nothing(self, billing: InMemoryBilling) -> None:
        """No real money, no conversion."""
        caller = await _on_trial(billing)
        purchase = await billing.buy(caller)
        billing.platform.pay(str(purchase.platform_reference), test=True)
        await billing.notify(str(purchase.platform_reference))

        assert _types(billing) == ["trial.started", "credits.purchased"]

    async def test_two_purchases_paid_in_one_batch_convert_once(self, billing: InMemoryBilling) -> None:
        """The second one of the batch sees what the first one did."""
        caller = await _on_trial(billing)
        purchases = [await billing.buy(caller, pack) for pack in ("small", "large")]

        await billing.settle([_settlement(billing, purchase) for purchase in purchases])

        assert _types(billing).count("trial.converted") == 1

    async def test_a_refund_later_leaves_the_conversion(self, billing: InMemoryBilling) -> None:
        """What happened to a paid purchase afterwards is no second conversion and no undoing."""
        caller = await _on_trial(billing)
        purchase = await billing.buy(caller)
        await billing.pay(purchase)
        billing.platform.refund(str(purchase.platform_reference), 6999)
        await billing.notify(str(purchase.platform_reference))

        assert _types(billing) == ["trial.started", "credits.purchased", "trial.converted", "credits.reversed"]


def _without_checkout(billing: InMemoryBilling, view: PurchaseView) -> Any:
    """The stored purchase as it was before the platform answered."""
    purchase = billing.storage.tables.purchases[view.id]
    return replace(purchase, status=PurchaseStatus.CREATED, platform_reference=None, checkout_url=None)
