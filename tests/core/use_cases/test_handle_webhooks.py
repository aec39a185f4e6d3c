"""A platform's notice proves nothing: the platform is asked, and what it says is settled, once."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from billing_core.domain.events import Origin
from billing_core.domain.money import Money
from billing_core.domain.purchases import PurchaseStatus
from billing_core.errors import (
    MalformedMessage,
    PlatformAuthError,
    PlatformError,
    PlatformFault,
    PlatformThrottled,
    PlatformUnavailable,
)
from billing_core.messages import PURCHASE_UPDATED, InboundMessage, open_envelope
from billing_core.testing import InMemoryBilling, a_purchase_updated
from billing_core.testing.builders import again
from billing_core.use_cases.handle_webhooks import HOPELESS_ATTEMPTS
from billing_core.use_cases.inbound import (
    MAX_DELAY_S,
    UNKNOWN_REFERENCE_DELAYS_S,
    Done,
    Outcome,
    Parked,
    Retry,
    backoff_s,
)
from billing_core.views import PurchaseView


async def _bought(billing: InMemoryBilling) -> PurchaseView:
    """A purchase waiting for its payment."""
    return await billing.buy(await billing.register())


def _reference(purchase: PurchaseView) -> str:
    assert purchase.platform_reference is not None
    return purchase.platform_reference


def _status(billing: InMemoryBilling, purchase: PurchaseView) -> PurchaseStatus:
    return billing.storage.tables.purchases[purchase.id].status


def _purchased(billing: InMemoryBilling) -> int:
    return [row.event.type for row in billing.storage.tables.outbox.values()].count("evt.billing.credits.purchased")


class TestHandleWebhooks:
    async def test_a_payment_the_platform_confirms_is_settled(self, billing: InMemoryBilling) -> None:
        """The notice leads to the purchase, the platform's answer completes it, and the history tells both."""
        purchase = await _bought(billing)
        billing.platform.pay(_reference(purchase))

        notice = a_purchase_updated(_reference(purchase), message_id="notice-1")
        outcomes = await billing.handle_webhooks([notice])

        assert outcomes == [Done()]
        assert (_status(billing, purchase), _purchased(billing)) == (PurchaseStatus.COMPLETED, 1)
        completed = billing.storage.tables.changes[(purchase.id, 3)]
        assert (completed.by.actor, completed.reason) == ("billing-purchase-updated", "notice notice-1")

    async def test_a_notice_of_a_payment_the_platform_denies_proves_nothing(self, billing: InMemoryBilling) -> None:
        """Whoever can send a notice cannot make credits of it."""
        purchase = await _bought(billing)

        outcome = await billing.notify(_reference(purchase))

        assert (outcome, _status(billing, purchase)) == (Done(), PurchaseStatus.PENDING)

    async def test_same_notice_in_sequence_and_in_one_batch_and_at_once_gives_one_credits_purchased(
        self, billing: InMemoryBilling
    ) -> None:
        """Two, three deliveries in the same instant settle one payment (market.md 2, 4)."""
        purchase = await _bought(billing)
        billing.platform.pay(_reference(purchase))
        notice = a_purchase_updated(_reference(purchase))

        batches = await asyncio.gather(*(billing.handle_webhooks([notice, again(notice)]) for _ in range(3)))
        batches.append(await billing.handle_webhooks([again(notice)]))

        assert all(outcome == Done() for batch in batches for outcome in batch)
        assert _purchased(billing) == 1
        assert len(billing.platform.calls_of("look_up")) <= 3  # the last one was known and asked nobody

    async def test_two_different_notices_of_one_payment_give_one_credits_purchased(
        self, billing: InMemoryBilling
    ) -> None:
        """What counts is the payment, not the delivery (market.md 3)."""
        purchase = await _bought(billing)
        billing.platform.pay(_reference(purchase))
        notices = [a_purchase_updated(_reference(purchase)) for _ in range(3)]

        await billing.handle_webhooks(notices[:2])
        await billing.handle_webhooks(notices[2:])

        assert _purchased(billing) == 1
        assert len(billing.platform.calls_of("look_up")) == 2  # one question for the batch of two

    async def test_a_delayed_notice_of_an_unpaid_state_leaves_a_paid_purchase_paid(
        self, billing: InMemoryBilling
    ) -> None:
        """The platform says EXPIRED after it said ACTIVE: it stays completed (market.md 5)."""
        purchase = await _bought(billing)
        await billing.pay(purchase)
        billing.platform.expire(_reference(purchase))

        outcome = await billing.notify(_reference(purchase))

        assert (outcome, _status(billing, purchase)) == (Done(), PurchaseStatus.COMPLETED)

    async def test_a_payment_after_the_purchase_expired_here_is_completed_late(self, billing: InMemoryBilling) -> None:
        """Credits are delivered, marked late (market.md 8)."""
        purchase = await _bought(billing)
        billing.clock.advance(timedelta(days=3))
        await billing.expire_purchases()
        assert _status(billing, purchase) is PurchaseStatus.EXPIRED

        await billing.pay(purchase)

        stored = billing.storage.tables.purchases[purchase.id]
        assert (stored.status, stored.late, _purchased(billing)) == (PurchaseStatus.COMPLETED, True, 1)

    async def test_another_amount_needs_review_and_grants_nothing(self, billing: InMemoryBilling) -> None:
        """The message is done, the purchase waits for a person (market.md 16)."""
        purchase = await _bought(billing)
        billing.platform.pay(_reference(purchase), price=Money(amount_minor=1, currency="USD"))

        outcome = await billing.notify(_reference(purchase))

        stored = billing.storage.tables.purchases[purchase.id]
        assert (outcome, stored.needs_review, _purchased(billing)) == (Done(), True, 0)

    async def test_a_notice_for_a_purchase_archived_long_ago_finds_it(self, billing: InMemoryBilling) -> None:
        """At day 91 a repeat grants nothing and a refund still counts (market.md 26)."""
        purchase = await _bought(billing)
        await billing.pay(purchase)
        billing.clock.advance(timedelta(days=91))
        await billing.archive_purchases()
        assert purchase.id in billing.storage.tables.archive

        repeated = await billing.notify(_reference(purchase))
        billing.platform.refund(_reference(purchase), 6999)
        refunded = await billing.notify(_reference(purchase))

        assert (repeated, refunded) == (Done(), Done())
        assert (_status(billing, purchase), _purchased(billing)) == (PurchaseStatus.REFUNDED, 1)


class TestUnknownReferences:
    async def test_a_notice_that_overtakes_our_own_commit_is_tried_again_and_then_applied_once(
        self, billing: InMemoryBilling
    ) -> None:
        """The platform is faster than our create call (market.md 1)."""
        caller = await billing.register()
        billing.platform.fail("create_checkout", PlatformUnavailable("sandbox", "no answer"), after_effect=True)
        with pytest.raises(PlatformUnavailable):
            await billing.buy(caller, key="key-1")
        (reference,) = billing.platform.payments
        billing.platform.pay(reference)
        notice = a_purchase_updated(reference)

        (early,) = await billing.handle_webhooks([notice])
        await billing.buy(caller, key="key-1")
        (late,) = await billing.handle_webhooks([again(notice)])

        assert early == Retry(delay_s=1, reason="no purchase has this reference yet")
        assert (late, _purchased(billing)) == (Done(), 1)

    async def test_is_tried_again_with_growing_delay_and_then_parked(self, billing: InMemoryBilling) -> None:
        """A minute covers our slowest request; after that a person can look."""
        notice = a_purchase_updated("nobody's")

        outcomes: list[Outcome] = []
        for _ in range(len(UNKNOWN_REFERENCE_DELAYS_S) + 1):
            outcomes.extend(await billing.handle_webhooks([notice]))
            notice = again(notice)

        delays = [outcome.delay_s for outcome in outcomes if isinstance(outcome, Retry)]
        assert tuple(delays) == UNKNOWN_REFERENCE_DELAYS_S
        assert sorted(delays) == delays
        assert outcomes[-1] == Parked(reason='no purchase has the reference "nobody\'s"')
        assert [each.body for each in billing.storage.tables.parked.values()] == [notice.body]


class TestOrigin:
    async def test_what_a_notice_brings_about_is_traced_to_it(self, billing: InMemoryBilling) -> None:
        """The history and the events lead back to the platform's delivery."""
        purchase = await _bought(billing)
        billing.platform.pay(_reference(purchase))
        notice = a_purchase_updated(_reference(purchase), message_id="m-1")
        traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

        await billing.handle_webhooks([replace(notice, headers={**notice.headers, "traceparent": traceparent})])

        (completed,) = [each for each in billing.storage.tables.changes.values() if each.what == "completed"]
        assert completed.by == Origin(
            actor="billing-purchase-updated", correlation_id="m-1", traceparent=traceparent, reason="notice m-1"
        )


class TestPlatformTrouble:
    @pytest.mark.parametrize(
        ("trouble", "attempt", "delay_s"),
        [
            (PlatformUnavailable("sandbox", "no answer"), 1, 2),
            (PlatformUnavailable("sandbox", "no answer"), 99, MAX_DELAY_S),
            (PlatformThrottled("sandbox", "slow down", retry_after_s=40.5), 1, 40),
            (PlatformThrottled("sandbox", "slow down", retry_after_s=1), 4, 16),
        ],
    )
    async def test_a_notice_is_tried_again_when_the_platform_may_answer(
        self, billing: InMemoryBilling, trouble: PlatformError, attempt: int, delay_s: int
    ) -> None:
        """Not before the platform wants to be asked, and less often the longer it is away."""
        purchase = await _bought(billing)
        billing.platform.fail("look_up", trouble)

        outcomes = await billing.handle_webhooks([a_purchase_updated(_reference(purchase), attempt=attempt)])

        assert outcomes == [Retry(delay_s=delay_s, reason=str(trouble))]

    @pytest.mark.parametrize(("attempt", "outcome"), [(HOPELESS_ATTEMPTS - 1, Retry), (HOPELESS_ATTEMPTS, Parked)])
    async def test_a_notice_the_platform_will_never_tell_us_about_is_parked_in_the_end(
        self, billing: InMemoryBilling, attempt: int, outcome: type
    ) -> None:
        """A refusal for good is tried for a while, for somebody may mend it; then the notice waits aside."""
        purchase = await _bought(billing)
        billing.platform.fail("look_up", PlatformAuthError("sandbox", "the token was revoked"))

        outcomes = await billing.handle_webhooks([a_purchase_updated(_reference(purchase), attempt=attempt)])

        assert [type(each) for each in outcomes] == [outcome]
        kept = [each.reason for each in billing.storage.tables.parked.values()]
        assert kept == (["sandbox: the token was revoked"] if outcome is Parked else [])

    @pytest.mark.parametrize(
        ("attempt", "outcome", "trouble", "is_told"),
        [
            (1, Retry, PlatformFault("sandbox", "KeyError"), True),
            (HOPELESS_ATTEMPTS, Parked, PlatformFault("sandbox", "KeyError"), True),
            (HOPELESS_ATTEMPTS, Parked, PlatformAuthError("sandbox", "the token was revoked"), False),
        ],
    )
    async def test_a_fault_of_our_own_adapter_is_told_and_a_platforms_refusal_is_no_fault(
        self, billing: InMemoryBilling, attempt: int, outcome: type, trouble: PlatformError, is_told: bool
    ) -> None:
        """The one is for whoever writes adapters, the other for the operator alone."""
        purchase = await _bought(billing)
        billing.platform.fail("look_up", trouble)

        (told,) = await billing.handle_webhooks([a_purchase_updated(_reference(purchase), attempt=attempt)])

        assert isinstance(told, outcome)
        assert isinstance(told, Retry | Parked)
        assert told.fault is (trouble if is_told else None)

    async def test_one_purchases_trouble_is_not_anothers(self, billing: InMemoryBilling) -> None:
        """In one batch the one is tried again and the other is settled; the retry then settles too."""
        first, second = await _bought(billing), await _bought(billing)
        for purchase in (first, second):
            billing.platform.pay(_reference(purchase))
        notices = [a_purchase_updated(_reference(purchase)) for purchase in (first, second)]
        billing.platform.fail("look_up", PlatformUnavailable("sandbox", "no answer"))

        outcomes = await billing.handle_webhooks(notices)
        outcomes_later = await billing.handle_webhooks([again(notice) for notice in notices])

        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Done", "Retry"]
        assert outcomes_later == [Done(), Done()]
        assert _purchased(billing) == 2

    async def test_a_payment_the_platform_never_heard_of_is_parked(self, billing: InMemoryBilling) -> None:
        """The purchase is ours, the payment is not this account's: a person must look."""
        purchase = await _bought(billing)
        billing.platform.forget(_reference(purchase))

        assert isinstance(await billing.notify(_reference(purchase)), Parked)

    async def test_backs_off_without_bound_on_attempts_but_with_one_on_delay(self) -> None:
        """Five minutes is the longest wait, also at the attempt after the longest outage."""
        assert [backoff_s(attempt) for attempt in (1, 2, 8, 9, 10**6)] == [2, 4, 256, 300, 300]


class TestBrokenNotices:
    @pytest.mark.parametrize(
        "values",
        [
            {"platform": "unheard-of"},
            {"platform": None},
            {"payload": None},
            {"payload": []},
            {"payload": {}},
            {"payload": {"reference": 7}},
            {"payload": {"reference": None}},
            {"topic": 7},
            {"topic": {"nested": []}},
        ],
        ids=repr,
    )
    async def test_a_notice_no_platform_could_have_sent_is_parked_and_the_next_one_handled(
        self, billing: InMemoryBilling, values: dict[str, Any]
    ) -> None:
        """Unknown, missing and wrong fields stop nothing (market.md 36)."""
        purchase = await _bought(billing)
        billing.platform.pay(_reference(purchase))
        broken = a_purchase_updated(**({"platform": "sandbox"} | values))

        outcomes = await billing.handle_webhooks([broken, a_purchase_updated(_reference(purchase))])

        assert isinstance(outcomes[0], Parked)
        assert outcomes[1] == Done()
        (parked,) = billing.storage.tables.parked.values()
        assert (parked.source, parked.message_id) == ("billing-purchase-updated", broken.headers["Nats-Msg-Id"])
        assert (parked.body, parked.reason, parked.parked_at) == (
            broken.body,
            outcomes[0].reason,
            billing.clock.now(),
        )

    async def test_a_platform_that_is_not_configured_is_named(self, billing: InMemoryBilling) -> None:
        """The operator reads what is missing."""
        outcomes = await billing.handle_webhooks([a_purchase_updated(platform="unheard-of")])

        assert outcomes == [Parked(reason="platform: 'unheard-of' is not configured")]

    @pytest.mark.parametrize("body", [b"", b"\x00", b"[1]", b'{"a":' * 9999, b'{"platform": "\\udfff"}'])
    async def test_a_body_that_is_no_message_is_parked_whole(self, billing: InMemoryBilling, body: bytes) -> None:
        """Byte for byte, with its headers; the same one again does not wait twice."""
        message = InboundMessage(subject=PURCHASE_UPDATED, body=body, headers={"X": "y"})

        first = await billing.handle_webhooks([message])
        second = await billing.handle_webhooks([message, message])

        assert all(isinstance(outcome, Parked) for outcome in [*first, *second])
        (parked,) = billing.storage.tables.parked.values()
        assert (parked.body, parked.headers, parked.subject) == (body, {"X": "y"}, PURCHASE_UPDATED)
        with pytest.raises(MalformedMessage) as wrong:
            open_envelope(message)
        assert parked.reason == str(wrong.value)

    async def test_a_notice_about_something_else_is_done(self, billing: InMemoryBilling) -> None:
        """Platforms tell more than we asked for."""
        (outcome,) = await billing.handle_webhooks([a_purchase_updated(payload={"about": "a subscription"})])

        assert outcome == Done()
        assert billing.storage.tables.parked == {}
