"""What Stripe says of a payment becomes a report in our words."""

from collections.abc import Mapping
from typing import Any

import pytest
from tests.adapters.platforms.stripe.account import (
    ACCOUNT,
    SESSIONS,
    Written,
    a_session,
    a_stripe_purchase,
    open_account,
    open_written,
)

from billing_adapters.platforms.stripe_checkout.reports import Dispute, worst
from billing_core.domain.money import Money
from billing_core.domain.payments import DisputeStatus, PaymentStatus
from billing_core.errors import PlatformProtocolError
from billing_core.testing import MOMENT, an_offer

DISPUTES = {
    "warning_needs_response": DisputeStatus.NONE,
    "warning_under_review": DisputeStatus.NONE,
    "warning_closed": DisputeStatus.NONE,
    "prevented": DisputeStatus.NONE,
    "needs_response": DisputeStatus.OPEN,
    "under_review": DisputeStatus.OPEN,
    "appeal_needs_response": DisputeStatus.OPEN,
    "appeal_under_review": DisputeStatus.OPEN,
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
}
A_CHARGE = {"id": "ch_1", "object": "charge", "amount_refunded": 1000, "currency": "usd", "disputed": True}
AN_INTENT = {"id": "pi_1", "object": "payment_intent", "status": "succeeded", "latest_charge": "ch_1"}
PAID = {"status": "complete", "payment_status": "paid", "payment_intent": "pi_1"}


class TestStatus:
    """How far a payment is."""

    async def test_a_delayed_payment_is_processing_until_it_is_paid(self) -> None:
        """Complete and unpaid: confirmed by the merchant, the money under way."""
        async with open_account() as account:
            reference = await account.sell()
            account.stripe.process(reference)
            under_way = await account.report(reference)
            account.stripe.succeed(reference)
            arrived = await account.report(reference)

        assert under_way.status is PaymentStatus.PROCESSING
        assert arrived.status is PaymentStatus.PAID

    async def test_a_delayed_payment_that_fails_is_failed(self) -> None:
        """The session stays complete and unpaid; its payment intent tells that nothing will come."""
        async with open_account() as account:
            reference = await account.sell()
            account.stripe.process(reference)
            account.stripe.fail(reference)

            report = await account.report(reference)

        assert report.status is PaymentStatus.FAILED

    @pytest.mark.parametrize(
        ("session", "intent", "status"),
        [
            ({"status": "open"}, None, PaymentStatus.PENDING),
            ({"status": "open", "payment_status": "no_payment_required"}, None, PaymentStatus.PENDING),
            ({"status": "expired"}, None, PaymentStatus.EXPIRED),
            ({"status": "complete"}, "processing", PaymentStatus.PROCESSING),
            ({"status": "complete"}, "requires_action", PaymentStatus.PROCESSING),
            ({"status": "complete"}, None, PaymentStatus.PROCESSING),
            ({"status": "complete"}, "canceled", PaymentStatus.FAILED),
            ({"status": "complete"}, "requires_payment_method", PaymentStatus.FAILED),
            ({"status": "complete", "payment_status": "no_payment_required"}, None, PaymentStatus.PAID),
            ({"status": "complete", "payment_status": "paid"}, "succeeded", PaymentStatus.PAID),
            ({"status": "expired", "payment_status": "paid"}, "succeeded", PaymentStatus.PAID),
        ],
    )
    async def test_every_standing_has_one_meaning(
        self, session: Mapping[str, str], intent: str | None, status: PaymentStatus
    ) -> None:
        """Session and payment intent taken together; money that is there always counts."""
        payment = {"id": "pi_1", "status": intent, "latest_charge": None} if intent else None
        body = a_session(**session, payment_intent=payment)
        async with open_written({f"{SESSIONS}/cs_test_1": body}) as (platform, _):
            report = await platform.look_up("cs_test_1", ACCOUNT, MOMENT)

        assert report is not None
        assert report.status is status

    @pytest.mark.parametrize(
        "wrong",
        [
            {"status": "abandoned"},
            {"status": None},
            {"payment_status": "partially_paid"},
            {"status": "complete", "payment_intent": {"id": "pi_1", "status": "napping"}},
            {"status": "complete", "payment_intent": {"id": "cus_1", "status": "succeeded"}},
            {"amount_total": "69.99"},
            {"livemode": "no"},
            {"metadata": ["a"]},
            {"id": "seti_1"},
        ],
        ids=str,
    )
    async def test_what_stripe_has_no_word_for_is_no_report(self, wrong: Mapping[str, Any]) -> None:
        """A status nobody here has heard of is never guessed at."""
        async with open_written({f"{SESSIONS}/cs_test_1": a_session(**wrong)}) as (platform, _):
            with pytest.raises(PlatformProtocolError):
                await platform.look_up("cs_test_1", ACCOUNT, MOMENT)


class TestWhose:
    """Whose payment it is, and whether it is one of ours."""

    @pytest.mark.parametrize("reference", ["", "cs_", "gid://shopify/Shop/1", "cs_test/../x", "cs_1\n", "pi_1", "cs_é"])
    async def test_a_reference_of_another_shape_is_none(self, reference: str) -> None:
        """Stripe is not even asked."""
        async with open_written({"*": a_session()}) as (platform, asked):
            report = await platform.look_up(reference, ACCOUNT, MOMENT)

        assert report is None
        assert asked == []

    @pytest.mark.parametrize(
        "of_another_use", [{"mode": "subscription"}, {"client_reference_id": None, "metadata": {}}], ids=str
    )
    async def test_a_session_billing_did_not_make_is_none(self, of_another_use: Mapping[str, Any]) -> None:
        """The same Stripe account may sell other things too."""
        async with open_written({f"{SESSIONS}/cs_test_1": a_session(**of_another_use)}) as (platform, _):
            assert await platform.look_up("cs_test_1", ACCOUNT, MOMENT) is None

    async def test_a_session_that_tells_little_is_the_account_s_that_was_asked_about(self) -> None:
        """Its reference is one purchase's; what it leaves out is unknown, and a payment no more is known of stands."""
        paid = {"status": "complete", "payment_status": "paid", "amount_total": 6999, "currency": "usd"}
        terse = Written(status=200, body={"id": "cs_test_1", "payment_intent": "pi_1", **paid})
        unknown = Written(status=404, body={"error": {}})
        async with open_written({"*": unknown, f"{SESSIONS}/cs_test_1": terse}) as (platform, _):
            report = await platform.look_up("cs_test_1", ACCOUNT, MOMENT)

        assert report is not None
        assert (report.status, report.platform_account_id) == (PaymentStatus.PAID, ACCOUNT.platform_account_id)
        assert (report.refunded_minor, report.dispute) == (None, None)

    async def test_a_session_without_our_marks_has_no_account(self) -> None:
        """Then nothing matches, and a person looks."""
        async with open_written({f"{SESSIONS}/cs_test_1": a_session(metadata=None)}) as (platform, _):
            report = await platform.look_up("cs_test_1", ACCOUNT, MOMENT)

        assert report is not None
        assert report.platform_account_id is None

    @pytest.mark.parametrize("wrong", [{"amount_total": None}, {"currency": "isk"}, {"currency": "us"}], ids=str)
    async def test_an_amount_we_could_not_have_offered_is_no_price(self, wrong: Mapping[str, Any]) -> None:
        """The payment is still reported, without a price: a person must look."""
        async with open_written({f"{SESSIONS}/cs_test_1": a_session(**wrong)}) as (platform, _):
            report = await platform.look_up("cs_test_1", ACCOUNT, MOMENT)

        assert report is not None
        assert report.price is None


class TestAfterPayment:
    """Refunds and disputes."""

    async def test_refunds_are_told_together(self) -> None:
        """Each report has the sum of them; one that failed is not in it."""
        async with open_account() as account:
            reference = await account.sell()
            account.stripe.pay(reference)
            sums = []
            for refund in (1000, 2500):
                account.stripe.refund(reference, refund)
                sums.append((await account.report(reference)).refunded_minor)
            account.stripe.fail_refund(reference, 1000)
            sums.append((await account.report(reference)).refunded_minor)

        assert sums == [1000, 3500, 2500]

    @pytest.mark.parametrize(("told", "status"), DISPUTES.items())
    async def test_a_dispute_is_told(self, told: str, status: DisputeStatus) -> None:
        """In our four words; an inquiry, where no money has moved, is none."""
        async with open_account() as account:
            reference = await account.sell()
            account.stripe.pay(reference)
            account.stripe.dispute(reference, told)

            report = await account.report(reference)

        assert report.status is PaymentStatus.PAID
        assert report.dispute is status

    @pytest.mark.parametrize(
        ("told", "status"),
        [
            (["won", "needs_response", "lost"], DisputeStatus.OPEN),
            (["won", "lost"], DisputeStatus.LOST),
            (["warning_closed", "won"], DisputeStatus.WON),
            (["warning_closed"], DisputeStatus.NONE),
            ([], DisputeStatus.NONE),
        ],
        ids=str,
    )
    def test_of_several_disputes_the_worst_counts(self, told: list[Any], status: DisputeStatus) -> None:
        """Open before lost before won."""
        assert worst(Dispute(status=each) for each in told) is status

    async def test_plain_ids_are_followed(self) -> None:
        """Where Stripe expands nothing, payment, charge and disputes are asked for one after the other."""
        answers = {
            f"{SESSIONS}/cs_test_1": a_session(**PAID),
            "/v1/payment_intents/pi_1": AN_INTENT,
            "/v1/charges/ch_1": A_CHARGE,
            "/v1/disputes": {"object": "list", "data": [{"id": "du_1", "object": "dispute", "status": "lost"}]},
        }
        async with open_written(answers) as (platform, asked):
            report = await platform.look_up("cs_test_1", ACCOUNT, MOMENT)

        assert report is not None
        assert (report.refunded_minor, report.dispute) == (1000, DisputeStatus.LOST)
        assert asked == list(answers)

    async def test_nothing_is_followed_before_payment(self) -> None:
        """One call tells that a checkout is open."""
        async with open_account() as account:
            reference = await account.sell()
            await account.report(reference)

            operations = [call.operation for call in account.stripe.calls]

        assert operations == ["create", "look_up"]

    async def test_an_undisputed_payment_is_one_call(self) -> None:
        """Stripe expands the payment and its charge, and the charge says there is no dispute."""
        async with open_account() as account:
            reference = await account.sell()
            account.stripe.pay(reference)
            await account.report(reference)

            operations = [call.operation for call in account.stripe.calls]

        assert operations == ["create", "look_up"]

    async def test_without_a_charge_nothing_is_said_of_refunds(self) -> None:
        """So that what was known of them stays."""
        body = a_session(**PAID | {"payment_intent": AN_INTENT | {"latest_charge": None}})
        async with open_written({f"{SESSIONS}/cs_test_1": body}) as (platform, _):
            report = await platform.look_up("cs_test_1", ACCOUNT, MOMENT)

        assert report is not None
        assert (report.refunded_minor, report.dispute) == (None, None)

    @pytest.mark.parametrize("wrong", [{"amount_refunded": -1}, {"currency": "isk", "amount_refunded": 150}], ids=str)
    async def test_a_refund_that_is_no_amount_is_no_report(self, wrong: Mapping[str, Any]) -> None:
        """It is never rounded into one."""
        charge = {**A_CHARGE, "disputed": False, **wrong}
        body = a_session(**PAID | {"payment_intent": AN_INTENT | {"latest_charge": charge}})
        async with open_written({f"{SESSIONS}/cs_test_1": body}) as (platform, _):
            with pytest.raises(PlatformProtocolError):
                await platform.look_up("cs_test_1", ACCOUNT, MOMENT)

    async def test_a_price_in_krona_comes_back_as_it_was_offered(self) -> None:
        """Through Stripe's hundredths and back."""
        price = Money.of("990", "ISK")
        purchase = a_stripe_purchase(offer=an_offer(price=price))
        async with open_account() as account:
            reference = (await account.platform.create_checkout(purchase, ACCOUNT)).platform_reference
            account.stripe.pay(reference)
            account.stripe.refund(reference, 10000)

            report = await account.report(reference)

        assert (report.price, report.refunded_minor) == (price, 100)
