"""What notices point at: a checkout, a payment, or our own reference; whose it is, and how often it counts."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import cast
from uuid import UUID

import pytest
from tests.core.use_cases.stored_purchases import (
    AWAY,
    a_bought_one,
    a_never_answered_one,
    an_orphan_of,
    reference_of,
    stored,
    told,
)

from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.errors import PlatformThrottled
from billing_core.messages import InboundMessage
from billing_core.ports.storage import Owner, UnitOfWork
from billing_core.testing import InMemoryBilling, a_purchase_updated
from billing_core.testing.builders import again
from billing_core.testing.memory.storage import InMemoryUnitOfWork
from billing_core.use_cases.handle_webhooks import HandleWebhooks
from billing_core.use_cases.inbound import UNKNOWN_REFERENCE_DELAYS_S, Done, Parked, Retry
from billing_core.views import PurchaseView


def _notice(**payload: str) -> InboundMessage:
    return a_purchase_updated(payload=payload)


def _payment_id(purchase: PurchaseView) -> str:
    return reference_of(purchase).replace("pay-", "money-")


class _Losing:
    """A transaction of a storage that still has the claims, but lost the purchases behind them."""

    def __init__(self, uow: InMemoryUnitOfWork) -> None:
        self.purchases, self.inbox, self.now, self._purchases = self, uow.inbox, uow.now, uow.purchases

    async def owners(self, references: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Owner]:
        """This will find whose they are."""
        return await self._purchases.owners(references)

    async def get(self, merchant_id: str, purchase_id: UUID) -> Purchase | None:
        """This will find nothing."""
        left: dict[tuple[str, UUID], Purchase] = {}
        return left.get((merchant_id, purchase_id))


class TestPaymentIds:
    async def test_a_notice_that_names_a_payment_alone_is_traced_to_its_checkout(
        self, billing: InMemoryBilling
    ) -> None:
        """Stripe's refunds and disputes name a payment; the platform says which checkout it was paid at."""
        purchase = await a_bought_one(billing)
        billing.platform.pay(reference_of(purchase))

        outcomes = await billing.handle_webhooks([_notice(payment=_payment_id(purchase))])

        assert outcomes == [Done()]
        assert told(billing) == ["credits.purchased"]

    async def test_one_payment_in_many_notices_of_a_batch_is_traced_once(self, billing: InMemoryBilling) -> None:
        """Refund and dispute events come in bursts."""
        purchase = await a_bought_one(billing)

        await billing.handle_webhooks([_notice(payment=_payment_id(purchase)) for _ in range(3)])

        assert len(billing.platform.calls_of("trace_payment")) == 1
        assert len(billing.platform.calls_of("look_up")) == 1

    async def test_a_notice_that_names_its_checkout_is_not_traced(self, billing: InMemoryBilling) -> None:
        """What is known is not asked."""
        purchase = await a_bought_one(billing)

        await billing.handle_webhooks([_notice(reference=reference_of(purchase), payment=_payment_id(purchase))])

        assert billing.platform.calls_of("trace_payment") == []

    async def test_trouble_while_tracing_puts_that_notice_off_alone(self, billing: InMemoryBilling) -> None:
        """The other notices of the batch are settled; the retry settles this one."""
        troubled, fine = await a_bought_one(billing), await a_bought_one(billing)
        for purchase in (troubled, fine):
            billing.platform.pay(reference_of(purchase))
        throttled = PlatformThrottled("sandbox", "slow down", retry_after_s=40)
        billing.platform.fail("trace_payment", throttled)
        notice = _notice(payment=_payment_id(troubled))

        first = await billing.handle_webhooks([notice, _notice(reference=reference_of(fine))])
        second = await billing.handle_webhooks([again(notice)])

        assert first == [Retry(delay_s=40, reason=str(throttled)), Done()]
        assert second == [Done()]
        assert told(billing) == ["credits.purchased", "credits.purchased"]

    async def test_a_payment_nobody_knows_is_tried_again_and_then_parked(self, billing: InMemoryBilling) -> None:
        """Like a reference that is not known yet; the reason names the payment."""
        early = _notice(payment="money-unknown")
        late = replace(early, attempt=len(UNKNOWN_REFERENCE_DELAYS_S) + 1)

        outcomes = await billing.handle_webhooks([early, late])

        assert outcomes == [
            Retry(delay_s=UNKNOWN_REFERENCE_DELAYS_S[0], reason="no purchase has this reference yet"),
            Parked(reason="no purchase has the reference 'money-unknown'"),
        ]

    async def test_a_payment_by_two_event_ids_of_two_kinds_counts_once(self, billing: InMemoryBilling) -> None:
        """The session's event and the payment's tell one payment, in one batch and later again (market.md 3)."""
        purchase = await a_bought_one(billing)
        billing.platform.pay(reference_of(purchase))
        kinds = [{"reference": reference_of(purchase)}, {"payment": _payment_id(purchase)}]

        outcomes = [
            *await billing.handle_webhooks([_notice(**kind) for kind in kinds]),
            *await billing.handle_webhooks([_notice(**kind) for kind in kinds]),
        ]

        assert outcomes == [Done()] * 4
        assert told(billing) == ["credits.purchased"]


class TestPurchaseReferences:
    async def test_a_purchase_whose_create_was_never_answered_is_found_by_our_reference(
        self, billing: InMemoryBilling
    ) -> None:
        """The platform's reference never reached us, but ours stands in the charge's name."""
        purchase = await a_never_answered_one(billing, made=True)
        reference = billing.platform.reference_of(purchase)
        billing.platform.pay(reference)

        outcomes = await billing.handle_webhooks([_notice(reference=reference, purchase=purchase.short_reference)])

        assert outcomes == [Done()]
        completed = billing.storage.tables.purchases[purchase.purchase_id]
        assert (completed.status, completed.platform_reference) == (PurchaseStatus.COMPLETED, reference)
        assert told(billing) == ["credits.purchased"]

    async def test_a_notice_with_our_reference_alone_asks_how_the_purchase_stands(
        self, billing: InMemoryBilling
    ) -> None:
        """By the checkout it was given, or by the purchase where it was given none yet."""
        answered, unanswered = await a_bought_one(billing), await a_never_answered_one(billing, made=True)
        billing.platform.pay(reference_of(answered))
        billing.platform.pay(billing.platform.reference_of(unanswered))

        outcomes = await billing.handle_webhooks(
            [
                _notice(purchase=stored(billing, answered).short_reference),
                _notice(purchase=unanswered.short_reference),
            ]
        )

        assert outcomes == [Done(), Done()]
        assert {purchase.is_paid for purchase in billing.storage.tables.purchases.values()} == {True}

    async def test_our_reference_and_no_checkout_at_the_platform_is_parked(self, billing: InMemoryBilling) -> None:
        """Somebody tells of a purchase the platform knows nothing about: a person may look."""
        purchase = await a_never_answered_one(billing, made=False)

        (outcome,) = await billing.handle_webhooks([_notice(purchase=purchase.short_reference)])

        assert outcome == Parked(reason="the platform knows no such payment of this account")
        assert billing.storage.tables.purchases[purchase.purchase_id].status is PurchaseStatus.CREATED

    async def test_a_purchase_reference_nobody_has_is_parked_in_the_end(self, billing: InMemoryBilling) -> None:
        """The reason names it."""
        notice = replace(_notice(purchase="CP-UNKNOWN"), attempt=len(UNKNOWN_REFERENCE_DELAYS_S) + 1)

        assert await billing.handle_webhooks([notice]) == [Parked(reason="no purchase has the reference 'CP-UNKNOWN'")]

    async def test_a_purchase_lost_behind_its_claim_is_told_of(self, billing: InMemoryBilling) -> None:
        """Storage that lost a purchase is a fault, never a notice that passes for handled."""
        purchase = await a_never_answered_one(billing, made=True)

        @asynccontextmanager
        async def losing_units(merchant_id: str | None = None) -> AsyncIterator[UnitOfWork]:
            async with billing.storage.units(merchant_id) as uow:
                yield cast("UnitOfWork", _Losing(uow))

        handle = HandleWebhooks(
            units=losing_units,
            platforms=billing.platforms,
            ask=billing.ask,
            settle=billing.settle,
            clock=billing.clock,
            new_id=billing.new_id,
        )

        with pytest.raises(AssertionError, match="never removed"):
            await handle([_notice(purchase=purchase.short_reference)])

    @pytest.mark.parametrize("ends", ["expire", "decline"])
    async def test_the_end_of_an_orphan_checkout_is_no_change(self, billing: InMemoryBilling, ends: str) -> None:
        """A checkout nobody was handed ends, and the one the merchant has can still be paid (market.md 6)."""
        purchase = await a_bought_one(billing)
        orphan = an_orphan_of(billing, purchase)
        (billing.platform.expire if ends == "expire" else billing.platform.decline)(orphan)
        our_reference = stored(billing, purchase).short_reference

        outcomes = await billing.handle_webhooks([_notice(reference=orphan, purchase=our_reference)])
        open_still = stored(billing, purchase).status
        await billing.pay(purchase)

        assert (outcomes, open_still) == ([Done()], PurchaseStatus.PENDING)
        assert told(billing) == ["credits.purchased"]

    async def test_a_paid_orphan_checkout_is_shown_to_a_person(self, billing: InMemoryBilling) -> None:
        """Money came by a page nobody was handed: neither granted unseen nor dropped."""
        purchase = await a_bought_one(billing)
        orphan = an_orphan_of(billing, purchase)
        billing.platform.pay(orphan)

        await billing.handle_webhooks([_notice(reference=orphan, purchase=stored(billing, purchase).short_reference)])

        assert stored(billing, purchase).review.reason == (
            f"payment {orphan}: it is not the one this purchase was given, {reference_of(purchase)}"
        )
        assert stored(billing, purchase).review.about == orphan
        assert told(billing) == ["purchase.needs_review"]


class TestAccounts:
    async def test_a_notice_that_names_another_account_is_parked_and_asks_nobody(
        self, billing: InMemoryBilling
    ) -> None:
        """A notice can never move another shop's purchase; the same one of the right account does."""
        purchase = await a_bought_one(billing)
        billing.platform.pay(reference_of(purchase))

        foreign = await billing.handle_webhooks([_notice(reference=reference_of(purchase), account="another-shop")])
        asked = len(billing.platform.calls_of("look_up"))
        account = stored(billing, purchase).platform_account_id
        own = await billing.handle_webhooks([_notice(reference=reference_of(purchase), account=account)])

        assert foreign == [Parked(reason="the notice names another account than the payment's")]
        assert (asked, own) == (0, [Done()])
        assert told(billing) == ["credits.purchased"]

    async def test_trouble_of_a_known_payment_waits_with_the_others_settled(self, billing: InMemoryBilling) -> None:
        """One question for two notices of one payment: both are put off, and both are done later."""
        purchase = await a_bought_one(billing)
        billing.platform.pay(reference_of(purchase))
        notices = [_notice(reference=reference_of(purchase)) for _ in range(2)]
        billing.platform.fail("look_up", AWAY)

        first = await billing.handle_webhooks(notices)
        second = await billing.handle_webhooks([again(notice) for notice in notices])

        assert [type(outcome) for outcome in first] == [Retry, Retry]
        assert second == [Done(), Done()]
        assert told(billing) == ["credits.purchased"]
