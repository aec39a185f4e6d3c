"""The contract of a payment platform, in its test mode or against a stand-in for its API."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol

import pytest

from billing_core.domain.payments import PaymentReport, PaymentStatus
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.errors import MalformedMessage
from billing_core.ports.platforms import Checkout, LooksUpMany, PaymentPlatform, PlatformAccount
from billing_core.testing.builders import a_merchant, a_purchase, an_origin
from billing_core.testing.clock import MOMENT


class PlatformUnderTest(Protocol):
    """A platform, an account on it, and a hand on what its customers do."""

    @property
    def platform(self) -> PaymentPlatform: ...
    @property
    def account(self) -> PlatformAccount: ...

    async def pay(self, reference: str) -> None:
        """The merchant pays the checkout."""
        ...

    async def decline(self, reference: str) -> None:
        """The merchant, or the platform, says no."""
        ...

    async def expire(self, reference: str) -> None:
        """Nobody pays until the platform gives the checkout up."""
        ...

    def notice(self, reference: str) -> Mapping[str, Any]:
        """The body the platform sends about that payment."""
        ...


class PaymentPlatformContract:
    """Every promise of `PaymentPlatform`. Give the fixture `platform_under_test`; set `can_decline` to False where
    the platform has no such end, `is_idempotent` to False where asking for a checkout again makes another one."""

    can_decline = True
    is_idempotent = True

    async def test_it_says_what_it_is(self, platform_under_test: PlatformUnderTest) -> None:
        """A name, and how long its checkouts and its grace last."""
        platform = platform_under_test.platform

        assert platform.name
        assert isinstance(platform.test_mode, bool)
        assert platform.checkout_lifetime > timedelta(0)
        assert platform.expiry_grace >= timedelta(0)

    async def test_a_new_checkout_has_a_page_and_is_pending(self, platform_under_test: PlatformUnderTest) -> None:
        """It is asked about by its reference and answers in our words."""
        purchase, checkout = await _open(platform_under_test)

        report = await _report(platform_under_test, checkout.platform_reference)

        assert checkout.url.startswith(("https://", "http://"))
        assert report.platform_reference == checkout.platform_reference
        assert report.status in (PaymentStatus.PENDING, PaymentStatus.PROCESSING)
        assert report.observed_at == MOMENT
        assert purchase.status is PurchaseStatus.CREATED

    async def test_the_same_purchase_again_makes_no_second_payment(
        self, platform_under_test: PlatformUnderTest
    ) -> None:
        """The same checkout comes back, or another one, unpaid like the first; either way one is found by the
        purchase."""
        purchase, first = await _open(platform_under_test)

        second = await platform_under_test.platform.create_checkout(purchase, platform_under_test.account)
        found = await platform_under_test.platform.find_checkout(purchase, platform_under_test.account)

        assert (second == first) == self.is_idempotent
        assert found in (first.platform_reference, second.platform_reference)
        for each in (first, second):
            assert (await _report(platform_under_test, each.platform_reference)).status is PaymentStatus.PENDING

    async def test_of_two_checkouts_of_one_purchase_the_paid_one_is_found(
        self, platform_under_test: PlatformUnderTest
    ) -> None:
        """So that no payment is missed, whichever page the merchant saw."""
        purchase, first = await _open(platform_under_test)
        await platform_under_test.platform.create_checkout(purchase, platform_under_test.account)
        await platform_under_test.pay(first.platform_reference)

        found = await platform_under_test.platform.find_checkout(purchase, platform_under_test.account)

        assert found == first.platform_reference

    async def test_many_at_once_for_one_purchase_lose_nothing(self, platform_under_test: PlatformUnderTest) -> None:
        """Sent after each other or beside each other, the answer is one reference; or, where the platform makes another
        one each time, all of them are unpaid and none is lost."""
        purchase = _purchase(platform_under_test)
        await platform_under_test.platform.create_checkout(purchase, platform_under_test.account)

        answers = await asyncio.gather(
            *(platform_under_test.platform.create_checkout(purchase, platform_under_test.account) for _ in range(4))
        )

        references = {answer.platform_reference for answer in answers}
        assert len(references) == (1 if self.is_idempotent else len(answers))
        for reference in references:
            assert (await _report(platform_under_test, reference)).status is PaymentStatus.PENDING

    async def test_different_purchases_have_different_checkouts(self, platform_under_test: PlatformUnderTest) -> None:
        """Of the same pack, too."""
        _, one = await _open(platform_under_test)
        _, other = await _open(platform_under_test)

        assert one.platform_reference != other.platform_reference

    async def test_a_payment_is_reported_as_it_was_offered(self, platform_under_test: PlatformUnderTest) -> None:
        """Amount, currency and account, so that it can be matched; nothing refunded or disputed."""
        purchase, checkout = await _open(platform_under_test)
        await platform_under_test.pay(checkout.platform_reference)

        report = await _report(platform_under_test, checkout.platform_reference)
        settled = replace(purchase, platform_reference=checkout.platform_reference).settle(report, MOMENT, an_origin())

        assert report.status is PaymentStatus.PAID
        assert report.price == purchase.offer.price
        assert report.platform_account_id == platform_under_test.account.platform_account_id
        assert report.test == platform_under_test.platform.test_mode
        assert report.refunded_minor in (0, None)
        assert settled.purchase.status is PurchaseStatus.COMPLETED

    async def test_many_are_told_of_as_one_is(self, platform_under_test: PlatformUnderTest) -> None:
        """A platform that can be asked about many at once says of each what it says of it alone, in the order asked,
        and knows none that is another account's."""
        platform, account = platform_under_test.platform, platform_under_test.account
        if not isinstance(platform, LooksUpMany):
            return
        paid, pending = [(await _open(platform_under_test))[1].platform_reference for _ in range(2)]
        await platform_under_test.pay(paid)
        stranger = PlatformAccount(platform_account_id="somebody-else", platform_domain=None)

        told = await platform.look_up_many([(pending, account), (paid, account), (paid, stranger)], MOMENT)

        assert list(told) == [
            await platform.look_up(pending, account, MOMENT),
            await platform.look_up(paid, account, MOMENT),
            None,
        ]
        assert list(await platform.look_up_many([], MOMENT)) == []

    async def test_asking_again_after_payment_never_undoes_it(self, platform_under_test: PlatformUnderTest) -> None:
        """A retry that comes late finds the payment as it was."""
        purchase, checkout = await _open(platform_under_test)
        await platform_under_test.pay(checkout.platform_reference)

        await platform_under_test.platform.create_checkout(purchase, platform_under_test.account)

        assert (await _report(platform_under_test, checkout.platform_reference)).status is PaymentStatus.PAID

    async def test_a_declined_payment_is_reported(self, platform_under_test: PlatformUnderTest) -> None:
        """As declined or failed, or cancelled where that is the platform's word."""
        if not self.can_decline:
            pytest.skip("this platform has no such end")
        _, checkout = await _open(platform_under_test)
        await platform_under_test.decline(checkout.platform_reference)

        report = await _report(platform_under_test, checkout.platform_reference)

        assert report.status in (PaymentStatus.DECLINED, PaymentStatus.FAILED, PaymentStatus.CANCELLED)

    async def test_an_expired_checkout_is_reported(self, platform_under_test: PlatformUnderTest) -> None:
        """As expired."""
        _, checkout = await _open(platform_under_test)
        await platform_under_test.expire(checkout.platform_reference)

        assert (await _report(platform_under_test, checkout.platform_reference)).status is PaymentStatus.EXPIRED

    async def test_an_unknown_reference_is_none(self, platform_under_test: PlatformUnderTest) -> None:
        """A reference shaped like one of ours that was never given."""
        _, checkout = await _open(platform_under_test)
        unknown = checkout.platform_reference[:-1] + ("1" if checkout.platform_reference[-1] != "1" else "2")

        assert await platform_under_test.platform.look_up(unknown, platform_under_test.account, MOMENT) is None

    async def test_another_accounts_payment_never_matches(self, platform_under_test: PlatformUnderTest) -> None:
        """It is unknown, or reported as the account's whose it is; never as the account's that asks."""
        _, checkout = await _open(platform_under_test)
        other = replace(platform_under_test.account, platform_account_id="another-account")

        report = await platform_under_test.platform.look_up(checkout.platform_reference, other, MOMENT)

        assert report is None or report.platform_account_id != other.platform_account_id

    async def test_a_purchase_that_never_got_through_has_no_checkout(
        self, platform_under_test: PlatformUnderTest
    ) -> None:
        """Nothing is found, and that is an answer."""
        await _open(platform_under_test)
        lost = _purchase(platform_under_test)

        assert await platform_under_test.platform.find_checkout(lost, platform_under_test.account) is None

    async def test_cancelling_never_undoes_a_payment(self, platform_under_test: PlatformUnderTest) -> None:
        """Paid stays paid."""
        _, checkout = await _open(platform_under_test)
        await platform_under_test.pay(checkout.platform_reference)

        await platform_under_test.platform.cancel_checkout(checkout.platform_reference, platform_under_test.account)

        assert (await _report(platform_under_test, checkout.platform_reference)).status is PaymentStatus.PAID

    async def test_cancelling_an_unpaid_checkout_may_be_repeated(self, platform_under_test: PlatformUnderTest) -> None:
        """It is over or, where the platform cannot, as it was; never paid, never an error."""
        _, checkout = await _open(platform_under_test)

        for _ in range(2):
            await platform_under_test.platform.cancel_checkout(checkout.platform_reference, platform_under_test.account)

        report = await _report(platform_under_test, checkout.platform_reference)
        assert report.status is not PaymentStatus.PAID

    async def test_its_own_notice_points_at_the_payment(self, platform_under_test: PlatformUnderTest) -> None:
        """By the reference its checkout has."""
        _, checkout = await _open(platform_under_test)

        notice = platform_under_test.platform.read_notice(platform_under_test.notice(checkout.platform_reference))

        assert notice is not None
        assert notice.platform_reference == checkout.platform_reference

    @pytest.mark.parametrize(
        "payload", [{}, {"reference": 7}, {"type": 1, "data": []}, {"app_purchase_one_time": "gid"}, {"x": {"y": None}}]
    )
    async def test_what_it_could_not_have_sent_is_malformed(
        self, platform_under_test: PlatformUnderTest, payload: Mapping[str, Any]
    ) -> None:
        """So that it is parked for a person to see."""
        with pytest.raises(MalformedMessage):
            platform_under_test.platform.read_notice(payload)


def _purchase(under_test: PlatformUnderTest) -> Purchase:
    merchant = a_merchant(
        platform=under_test.platform.name,
        platform_account_id=under_test.account.platform_account_id,
        platform_domain=under_test.account.platform_domain,
    )
    return a_purchase(
        merchant,
        status=PurchaseStatus.CREATED,
        test=under_test.platform.test_mode,
        expires_at=MOMENT + under_test.platform.checkout_lifetime,
    )


async def _open(under_test: PlatformUnderTest) -> tuple[Purchase, Checkout]:
    purchase = _purchase(under_test)
    return purchase, await under_test.platform.create_checkout(purchase, under_test.account)


async def _report(under_test: PlatformUnderTest, reference: str) -> PaymentReport:
    report = await under_test.platform.look_up(reference, under_test.account, MOMENT)
    assert report is not None
    return report
