"""The scripted platform does what the test says, and nothing else."""

from datetime import UTC, datetime

import pytest

from billing_core.domain.money import Money
from billing_core.domain.payments import DisputeStatus, PaymentReport, PaymentStatus
from billing_core.errors import (
    MalformedMessage,
    PlatformUnavailable,
)
from billing_core.ports.platforms import PlatformAccount
from billing_core.testing import (
    ScriptedPlatform,
    a_purchase,
    an_offer,
)

ACCOUNT = PlatformAccount(platform_account_id="account-1", platform_domain=None)


class TestScriptedPlatform:
    """The platform follows its script."""

    async def test_the_next_calls_fail_and_then_no_more(self) -> None:
        """As many as were asked for, of that verb alone, without effect."""
        platform, purchase = ScriptedPlatform(), a_purchase()
        platform.fail("create_checkout", PlatformUnavailable("sandbox", "down"), times=2)

        for _ in range(2):
            with pytest.raises(PlatformUnavailable):
                await platform.create_checkout(purchase, ACCOUNT)
            assert await platform.find_checkout(purchase, ACCOUNT) is None
        checkout = await platform.create_checkout(purchase, ACCOUNT)

        assert await platform.find_checkout(purchase, ACCOUNT) == checkout.platform_reference
        assert len(platform.calls_of("create_checkout")) == 3
        assert platform.calls[0].about == str(purchase.purchase_id)
        assert platform.calls[0].account == ACCOUNT

    async def test_an_answer_may_be_lost_after_the_effect(self) -> None:
        """The checkout exists although the caller was told of a failure."""
        platform, purchase = ScriptedPlatform(), a_purchase()
        platform.fail("create_checkout", PlatformUnavailable("sandbox", "no answer"), after_effect=True)

        with pytest.raises(PlatformUnavailable):
            await platform.create_checkout(purchase, ACCOUNT)

        assert await platform.find_checkout(purchase, ACCOUNT) == platform.reference_of(purchase)

    async def test_what_customers_do_is_what_it_reports(self) -> None:
        """Refunds add up; disputes and odd payments are told as they are."""
        platform = ScriptedPlatform(test_mode=True)
        reference = (await platform.create_checkout(a_purchase(), ACCOUNT)).platform_reference
        platform.pay(reference, price=Money(amount_minor=1, currency="EUR"), account_id="account-2", test=False)
        platform.refund(reference, 5)
        platform.refund(reference, 7)
        platform.dispute(reference, DisputeStatus.LOST)
        now = datetime(2030, 1, 1, tzinfo=UTC)

        report = await platform.look_up(reference, ACCOUNT, now)

        assert report == PaymentReport(
            platform_reference=reference,
            status=PaymentStatus.PAID,
            observed_at=now,
            price=Money(amount_minor=1, currency="EUR"),
            platform_account_id="account-2",
            test=False,
            refunded_minor=12,
            dispute=DisputeStatus.LOST,
        )

    async def test_a_payment_may_come_without_details_fail_or_be_under_way(self) -> None:
        """Each is reported in our words, and what the platform forgot is None."""
        platform = ScriptedPlatform()
        reference = (await platform.create_checkout(a_purchase(), ACCOUNT)).platform_reference
        told = []

        for happen in (platform.process, platform.fail_payment, platform.pay_without_details, platform.forget):
            happen(reference)
            report = await platform.look_up(reference, ACCOUNT, datetime(2030, 1, 1, tzinfo=UTC))
            told.append(report and (report.status, report.price, report.platform_account_id))

        price = an_offer().price
        assert told == [
            (PaymentStatus.PROCESSING, price, "account-1"),
            (PaymentStatus.FAILED, price, "account-1"),
            (PaymentStatus.PAID, None, None),
            None,
        ]

    def test_a_notice_about_something_else_is_none(self) -> None:
        """It is no payment of ours, and no mistake either."""
        platform = ScriptedPlatform()

        assert platform.read_notice({"about": "a subscription"}) is None
        with pytest.raises(MalformedMessage):
            platform.read_notice({"reference": ""})
