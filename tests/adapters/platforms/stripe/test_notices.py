"""The bodies of Stripe's events: what each points at, what is none of ours, and what Stripe never sends."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.platforms.stripe.account import ACCOUNT, Account, a_session, a_stripe_purchase, open_account

from billing_adapters.platforms.stripe_checkout.notices import read_notice
from billing_core.errors import MalformedMessage
from billing_core.ports.platforms import Notice

SESSION_EVENTS = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
)
REFUND_EVENTS = ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated")
DISPUTE_EVENTS = tuple(
    f"charge.dispute.{what}" for what in ("created", "updated", "closed", "funds_withdrawn", "funds_reinstated")
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=8,
)


def an_event(event_type: str = SESSION_EVENTS[0], about: Any = None, **values: Any) -> dict[str, Any]:
    """A Stripe event about one of our sessions, or about something else."""
    return {
        "id": "evt_1",
        "object": "event",
        "type": event_type,
        "data": {"object": a_session() if about is None else about},
    } | values


async def a_paid_one(account: Account) -> tuple[str, str, str]:
    """The references of a paid checkout: Stripe's, our purchase's, and the payment's."""
    purchase = a_stripe_purchase()
    reference = (await account.platform.create_checkout(purchase, ACCOUNT)).platform_reference
    account.stripe.pay(reference)
    return reference, purchase.short_reference, str(account.stripe.sessions[reference].payment_intent)


class TestOurs:
    """Events about our payments."""

    @pytest.mark.parametrize("event_type", SESSION_EVENTS)
    async def test_a_session_is_pointed_at_by_its_id(self, event_type: str) -> None:
        """And by our own reference, for a purchase whose create was never answered."""
        async with open_account() as account:
            reference, purchase_reference, _ = await a_paid_one(account)

            notice = account.platform.read_notice(account.stripe.event(reference, event_type))

        assert notice == Notice(
            platform_reference=reference,
            purchase_reference=purchase_reference,
            platform_account_id=ACCOUNT.platform_account_id,
        )

    async def test_a_refunded_charge_carries_our_marks(self) -> None:
        """The payment's metadata reaches its charge, so nothing has to be traced."""
        async with open_account() as account:
            reference, purchase_reference, payment_id = await a_paid_one(account)
            account.stripe.refund(reference, 100)

            notice = account.platform.read_notice(account.stripe.event(reference, "charge.refunded"))

        assert notice == Notice(
            payment_id=payment_id,
            purchase_reference=purchase_reference,
            platform_account_id=ACCOUNT.platform_account_id,
        )

    @pytest.mark.parametrize("event_type", REFUND_EVENTS)
    async def test_a_refund_points_at_its_payment(self, event_type: str) -> None:
        """It has no marks of its own."""
        async with open_account() as account:
            reference, _, payment_id = await a_paid_one(account)
            account.stripe.refund(reference, 100)

            notice = account.platform.read_notice(account.stripe.event(reference, event_type))

        assert notice == Notice(payment_id=payment_id)

    @pytest.mark.parametrize("event_type", DISPUTE_EVENTS)
    async def test_a_dispute_points_at_its_payment(self, event_type: str) -> None:
        """It has no marks of its own."""
        async with open_account() as account:
            reference, _, payment_id = await a_paid_one(account)
            account.stripe.dispute(reference, "needs_response")

            notice = account.platform.read_notice(account.stripe.event(reference, event_type))

        assert notice == Notice(payment_id=payment_id)

    def test_a_reference_of_another_shape_is_not_taken_for_ours(self) -> None:
        """Somebody else's metadata may have a `reference`, too."""
        notice = read_notice(an_event(about=a_session(metadata={"reference": "ORDER-7"})))

        assert notice == Notice(platform_reference="cs_test_1")


class TestNotOurs:
    """Events about anything else."""

    @pytest.mark.parametrize(
        "event",
        [
            an_event("customer.created", {"object": "customer", "id": "cus_1"}),
            an_event("payment_intent.succeeded", {"object": "payment_intent", "id": "pi_1"}),
            an_event("checkout.session.sometime_in_the_future"),
            an_event(about=a_session(mode="subscription")),
            an_event(about=a_session(mode="setup", status=None)),
            an_event(about=a_session(client_reference_id=None, metadata={})),
            an_event(about=a_session(client_reference_id=None, metadata=None)),
            an_event("charge.refunded", {"object": "charge", "id": "ch_1", "payment_intent": None}),
            an_event("charge.dispute.created", {"object": "dispute", "id": "du_1", "payment_intent": None}),
        ],
        ids=lambda event: str(event["type"]),
    )
    def test_they_are_nobodys_notice(self, event: Mapping[str, Any]) -> None:
        """Nothing is asked, nothing is parked."""
        assert read_notice(event) is None


class TestTerse:
    """Bodies that were cut down on their way."""

    def test_one_that_leaves_everything_out_may_be_ours(self) -> None:
        """The session's id is enough to find whose it is."""
        event = {"id": "evt_1", "type": "checkout.session.completed", "data": {"object": {"id": "cs_test_1"}}}

        assert read_notice(event) == Notice(platform_reference="cs_test_1")


class TestMalformed:
    """What Stripe never sends."""

    @pytest.mark.parametrize(
        "event",
        [
            an_event(object="checkout.session"),
            an_event(id="cs_1"),
            an_event(id=7),
            an_event(type=""),
            an_event(type=None),
            an_event(data=None),
            an_event(data={"object": "cs_1"}),
            an_event(about=a_session(id="pi_1")),
            an_event(about=a_session(object="charge")),
            an_event(about=a_session(mode=None)),
            an_event(about=a_session(client_reference_id=7)),
            an_event(about=a_session(metadata={"reference": 7})),
            an_event("charge.refunded", {"object": "refund", "payment_intent": "pi_1"}),
            an_event("refund.created", {"object": "charge", "payment_intent": "pi_1"}),
            an_event("charge.dispute.closed", {"object": "charge", "payment_intent": "pi_1"}),
            an_event("charge.refunded", {"object": "charge"}),
            an_event("charge.refunded", {"object": "charge", "payment_intent": "ch_1"}),
            an_event("charge.refunded", {"object": "charge", "payment_intent": {"id": "pi_1"}}),
        ],
    )
    def test_it_says_which_place_is_wrong(self, event: Mapping[str, Any]) -> None:
        """For the person who looks at what was parked."""
        with pytest.raises(MalformedMessage, match=r"^payload/"):
            read_notice(event)

    @given(
        body=st.dictionaries(st.text(), JSON), event_type=st.sampled_from([*SESSION_EVENTS, *REFUND_EVENTS]) | st.text()
    )
    def test_whatever_comes_is_a_notice_or_none_or_malformed(self, body: dict[str, Any], event_type: str) -> None:
        """Nothing else leaves."""
        for event in (body, an_event(event_type, a_session() | body), an_event() | body):
            try:
                notice = read_notice(event)
            except MalformedMessage:
                continue

            assert notice is None or isinstance(notice, Notice)
