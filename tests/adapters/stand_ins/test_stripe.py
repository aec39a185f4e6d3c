"""Stripe's stand-in, asked by Stripe's own client: sessions, payments, money back, and the events about them."""

import json
from datetime import timedelta
from typing import Any

import pytest
import stripe
from tests.adapters.stand_ins.stripe_desk import KEY, NOW_S, Desk

from billing_core.testing import MOMENT


class TestSessions:
    """A session from its making to its end."""

    async def test_a_new_session_is_open_with_its_page_and_without_a_payment(self, desk: Desk) -> None:
        """What was asked for stands in it, and there is no payment intent before anybody pays."""
        made = await desk.create()

        assert (made.status, made.payment_status, made.payment_intent) == ("open", "unpaid", None)
        assert made.url == f"https://checkout.stripe.com/c/pay/{made.id}"
        assert (made.amount_total, made.currency, made.expires_at) == (3999, "usd", NOW_S + 3600)
        assert made.client_reference_id == KEY
        assert made.to_dict()["metadata"] == {"purchase_id": KEY}

    async def test_a_paid_session_has_a_payment_with_its_own_metadata_and_no_page(self, desk: Desk) -> None:
        """`payment_intent_data.metadata` reaches intent and charge; the session's own does not."""
        made = await desk.create()
        desk.stripe.pay(made.id)

        paid = (await desk.retrieve(made.id)).to_dict()

        intent = paid["payment_intent"]
        assert (paid["status"], paid["payment_status"], paid["url"]) == ("complete", "paid", None)
        assert (intent["status"], intent["amount_received"]) == ("succeeded", 3999)
        assert intent["metadata"] == intent["latest_charge"]["metadata"] == {"paid_for": KEY}

    async def test_what_is_not_expanded_is_an_id_that_can_be_asked_for(self, desk: Desk) -> None:
        """Session, payment intent and charge name each other by id."""
        made = await desk.create()
        desk.stripe.pay(made.id)

        paid = await desk.client.v1.checkout.sessions.retrieve_async(made.id)
        intent = await desk.client.v1.payment_intents.retrieve_async(str(paid.payment_intent))
        charge = await desk.client.v1.charges.retrieve_async(str(intent.latest_charge))

        assert charge.payment_intent == intent.id == paid.payment_intent
        assert [call.operation for call in desk.stripe.calls] == ["create", "look_up", "payment_intent", "charge"]

    @pytest.mark.parametrize(
        ("outcome", "payment", "intent"),
        [
            ("succeed", "paid", "succeeded"),
            ("fail", "unpaid", "requires_payment_method"),
        ],
    )
    async def test_a_delayed_payment_leaves_the_session_complete_and_unpaid_until_it_arrives(
        self, desk: Desk, outcome: str, payment: str, intent: str
    ) -> None:
        """A failed one stays unpaid, and its intent says what went wrong."""
        made = await desk.create()
        desk.stripe.process(made.id)
        waiting = await desk.retrieve(made.id)
        getattr(desk.stripe, outcome)(made.id)

        decided: Any = await desk.retrieve(made.id)

        assert (waiting.status, waiting.payment_status) == ("complete", "unpaid")
        assert (decided.status, decided.payment_status) == ("complete", payment)
        assert decided.payment_intent.status == intent
        assert (decided.payment_intent.last_payment_error is None) == (outcome == "succeed")

    async def test_an_open_session_can_be_expired_once(self, desk: Desk) -> None:
        """Its page is gone; another attempt, like that on a paid one, is refused."""
        made = await desk.create()

        ended = await desk.client.v1.checkout.sessions.expire_async(made.id)

        assert (ended.status, ended.url) == ("expired", None)
        with pytest.raises(stripe.InvalidRequestError, match=r"Only Checkout Sessions .* can be expired"):
            await desk.client.v1.checkout.sessions.expire_async(made.id)

    async def test_a_session_nobody_pays_expires_by_stripes_clock(self, desk: Desk) -> None:
        """At its `expires_at` it is expired, and cannot be paid any more."""
        made = await desk.create()
        desk.clock.set(MOMENT + timedelta(seconds=3600))

        assert (await desk.retrieve(made.id)).status == "expired"
        with pytest.raises(ValueError, match="is expired, not open"):
            desk.stripe.pay(made.id)

    async def test_an_unknown_id_is_not_found(self, desk: Desk) -> None:
        """As Stripe says it: 404, `resource_missing`."""
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await desk.client.v1.checkout.sessions.retrieve_async("cs_test_unknown")

        assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")

    async def test_what_cannot_be_expanded_is_refused(self, desk: Desk) -> None:
        """A path that leads to no object is the caller's mistake."""
        made = await desk.create()

        with pytest.raises(stripe.InvalidRequestError, match=r"cannot be expanded \(mode\)"):
            await desk.client.v1.checkout.sessions.retrieve_async(made.id, {"expand": ["mode"]})

    async def test_sessions_are_listed_newest_first_page_by_page(self, desk: Desk) -> None:
        """The client's own paging meets each one once, and filters hold."""
        ids = []
        for _ in range(5):
            ids.append((await desk.create()).id)
            desk.clock.advance(timedelta(seconds=10))
        sessions = desk.client.v1.checkout.sessions

        paged = [one.id async for one in (await sessions.list_async({"limit": 2})).auto_paging_iter()]
        some = await sessions.list_async({"created": {"gte": NOW_S + 10, "lte": NOW_S + 30}, "limit": 2})

        assert paged == ids[::-1]
        assert ([one.id for one in some.data], some.has_more) == ([ids[3], ids[2]], True)

    async def test_a_session_is_found_by_its_payment_intent(self, desk: Desk) -> None:
        """So a charge's notice leads back to what was bought."""
        await desk.create()
        made = await desk.create()
        desk.stripe.pay(made.id)
        intent = str(desk.stripe.sessions[made.id].payment_intent)

        found = await desk.client.v1.checkout.sessions.list_async({"payment_intent": intent})

        assert [one.id for one in found.data] == [made.id]


class TestMoneyBack:
    """Refunds, disputes and the notices of them."""

    async def test_refunds_add_up_and_a_failed_one_is_taken_back(self, desk: Desk) -> None:
        """`amount_refunded` is cumulative."""
        made = await desk.create()
        desk.stripe.pay(made.id)
        seen = []
        for act, amount in (("refund", 1000), ("refund", 2999), ("fail_refund", 1000)):
            getattr(desk.stripe, act)(made.id, amount)
            charge = (await desk.retrieve(made.id)).to_dict()["payment_intent"]["latest_charge"]
            seen.append((charge["amount_refunded"], charge["refunded"]))

        assert seen == [(1000, False), (3999, True), (2999, False)]
        with pytest.raises(ValueError, match="1000 are left to refund, not 1001"):
            desk.stripe.refund(made.id, 1001)

    @pytest.mark.parametrize("status", ["warning_needs_response", "needs_response", "won", "lost"])
    async def test_a_dispute_is_found_by_its_payment(self, desk: Desk, status: str) -> None:
        """It is one dispute, whatever it has come to."""
        made = await desk.create()
        desk.stripe.pay(made.id)
        intent = str(desk.stripe.sessions[made.id].payment_intent)
        before = await desk.client.v1.disputes.list_async({"payment_intent": intent})
        desk.stripe.dispute(made.id, "warning_under_review")
        desk.stripe.dispute(made.id, status)

        after = await desk.client.v1.disputes.list_async({"payment_intent": intent})

        assert before.data == []
        assert [(dispute.status, dispute.amount) for dispute in after.data] == [(status, 3999)]

    @pytest.mark.parametrize(
        ("event_type", "kind"),
        [
            ("checkout.session.completed", "checkout.session"),
            ("checkout.session.async_payment_succeeded", "checkout.session"),
            ("checkout.session.async_payment_failed", "checkout.session"),
            ("checkout.session.expired", "checkout.session"),
            ("charge.refunded", "charge"),
            ("refund.created", "refund"),
            ("refund.updated", "refund"),
            ("refund.failed", "refund"),
            ("charge.dispute.created", "dispute"),
            ("charge.dispute.closed", "dispute"),
            ("charge.dispute.funds_withdrawn", "dispute"),
        ],
    )
    async def test_every_event_is_one_the_official_library_reads_and_verifies(
        self, desk: Desk, event_type: str, kind: str
    ) -> None:
        """Signed as Stripe signs it, it says the same after the journey."""
        made = await desk.create()
        desk.stripe.pay(made.id)
        desk.stripe.refund(made.id, 500)
        desk.stripe.dispute(made.id, "needs_response")
        payload = json.dumps(desk.stripe.event(made.id, event_type))
        signature = stripe.WebhookSignature.generate_signature_header(payload, "whsec_sample")

        event = stripe.Webhook.construct_event(payload, signature, "whsec_sample")

        assert (event.type, event.livemode, event.api_version) == (event_type, False, "2026-10-28.endive")
        assert (event.data.object["object"], event.id[:4]) == (kind, "evt_")
        assert event.data.object["payment_intent"] == desk.stripe.sessions[made.id].payment_intent

    async def test_there_is_no_event_about_what_did_not_happen(self, desk: Desk) -> None:
        """A charge nobody disputed has no dispute to tell of."""
        made = await desk.create()
        desk.stripe.pay(made.id)

        with pytest.raises(ValueError, match="nothing to tell"):
            desk.stripe.event(made.id, "charge.dispute.created")
