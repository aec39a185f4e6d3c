"""Checkouts that must be found again, and ended."""

import asyncio
from dataclasses import replace
from datetime import timedelta

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

from billing_adapters.stand_ins.faults import Fault
from billing_core.domain.payments import PaymentStatus
from billing_core.errors import PlatformProtocolError, PlatformUnavailable

REFUSED = Written(status=400, body={"error": {"type": "invalid_request_error"}})


class TestFinding:
    """A checkout whose create was never answered."""

    async def test_it_is_found_behind_many_others(self) -> None:
        """Stripe has no filter by reference, so page after page is read."""
        lost = a_stripe_purchase()
        async with open_account() as account:
            made = await account.platform.create_checkout(lost, ACCOUNT)
            await asyncio.gather(*(account.sell() for _ in range(101)))

            found = await account.platform.find_checkout(lost, ACCOUNT)
            pages = [call for call in account.stripe.calls if call.operation == "list"]

        assert found == made.platform_reference
        assert len(pages) == 2

    async def test_only_the_time_it_can_have_been_made_in_is_searched(self) -> None:
        """From a minute before the purchase, for clocks that differ, to its deadline."""
        lost = a_stripe_purchase()
        async with open_account() as account:
            await account.platform.find_checkout(lost, ACCOUNT)

            [call] = account.stripe.calls

        first, last = lost.created_at - timedelta(minutes=1), lost.expires_at
        assert call.params["created"] == {"gte": int(first.timestamp()), "lte": int(last.timestamp())}

    @pytest.mark.parametrize(
        ("standings", "found"),
        [
            ([("open", "unpaid"), ("complete", "paid"), ("expired", "unpaid")], 1),
            ([("expired", "unpaid"), ("open", "unpaid")], 1),
            ([("open", "unpaid"), ("complete", "unpaid")], 1),
            ([("complete", "unpaid"), ("complete", "paid")], 1),
        ],
    )
    async def test_of_several_the_one_that_counts_is_found(self, standings: list[tuple[str, str]], found: int) -> None:
        """Paid before under way before open before over."""
        lost = a_stripe_purchase()
        sessions = [
            a_session(id=f"cs_test_{n}", client_reference_id=str(lost.purchase_id), status=status, payment_status=paid)
            for n, (status, paid) in enumerate(standings)
        ]
        async with open_written({SESSIONS: {"object": "list", "data": sessions, "has_more": False}}) as (platform, _):
            assert await platform.find_checkout(lost, ACCOUNT) == f"cs_test_{found}"

    async def test_an_endless_list_is_not_read_for_ever(self) -> None:
        """And is not taken for an answer: the checkout may be further down."""
        endless = {"object": "list", "data": [a_session()], "has_more": True, "url": SESSIONS}
        async with open_written({SESSIONS: endless}) as (platform, asked):
            with pytest.raises(PlatformUnavailable):
                await platform.find_checkout(a_stripe_purchase(), ACCOUNT)

        assert len(asked) == 101

    async def test_a_lost_answer_is_found(self) -> None:
        """Made, but nobody heard of it."""
        lost = a_stripe_purchase()
        async with open_account() as account:
            account.stripe.faults.plan(Fault.LOST_ANSWER, "create", times=3)
            with pytest.raises(PlatformUnavailable):
                await account.platform.create_checkout(lost, ACCOUNT)

            found = await account.platform.find_checkout(lost, ACCOUNT)

            assert [found] == list(account.stripe.sessions)


class TestTracing:
    """From a payment to its checkout."""

    async def test_a_payment_leads_to_its_checkout(self) -> None:
        """As refunds and disputes name the payment alone."""
        async with open_account() as account:
            reference = await account.sell()
            account.stripe.pay(reference)
            payment_id = account.stripe.sessions[reference].payment_intent

            assert await account.platform.trace_payment(str(payment_id)) == reference

    @pytest.mark.parametrize("payment_id", ["pi_unknown", "ch_1", "", "pi_/../x"])
    async def test_an_unknown_payment_leads_nowhere(self, payment_id: str) -> None:
        """Whether Stripe has to be asked or not."""
        async with open_account() as account:
            assert await account.platform.trace_payment(payment_id) is None

    async def test_a_payment_stripe_does_not_know_leads_nowhere(self) -> None:
        """Where Stripe says so instead of giving an empty list."""
        missing = Written(status=400, body={"error": {"type": "invalid_request_error", "code": "resource_missing"}})
        async with open_written({SESSIONS: missing}) as (platform, _):
            assert await platform.trace_payment("pi_1") is None

    async def test_another_apps_payment_leads_nowhere(self) -> None:
        """The same Stripe account may sell other things too."""
        sold = {"object": "list", "data": [a_session(mode="subscription")], "has_more": False}
        async with open_written({SESSIONS: sold}) as (platform, _):
            assert await platform.trace_payment("pi_1") is None


class TestCancelling:
    """The end of an unpaid checkout."""

    async def test_an_open_checkout_is_expired(self) -> None:
        """Nobody can pay it any more."""
        async with open_account() as account:
            reference = await account.sell()

            await account.platform.cancel_checkout(reference, ACCOUNT)

            assert (await account.report(reference)).status is PaymentStatus.EXPIRED

    async def test_another_account_cannot_cancel(self) -> None:
        """Nothing happens to a checkout that is not the account's."""
        async with open_account() as account:
            reference = await account.sell()

            await account.platform.cancel_checkout(reference, replace(ACCOUNT, platform_account_id="account-2"))

            assert (await account.report(reference)).status is PaymentStatus.PENDING

    async def test_one_that_was_paid_in_between_is_no_error(self) -> None:
        """Stripe refuses to end it, and it turns out to be over."""
        standings = iter([a_session(), a_session(status="complete", payment_status="paid")])
        answers = {f"{SESSIONS}/cs_test_1": standings, f"{SESSIONS}/cs_test_1/expire": REFUSED}
        async with open_written(answers) as (platform, asked):
            await platform.cancel_checkout("cs_test_1", ACCOUNT)

        assert len(asked) == 3

    async def test_a_lost_answer_is_asked_for_again(self) -> None:
        """Ended, but the first answer did not arrive."""
        async with open_account() as account:
            reference = await account.sell()
            account.stripe.faults.plan(Fault.LOST_ANSWER, "expire", times=1)

            await account.platform.cancel_checkout(reference, ACCOUNT)

            assert (await account.report(reference)).status is PaymentStatus.EXPIRED

    async def test_a_refusal_to_end_an_open_one_is_told(self) -> None:
        """It could still be paid, so it is not passed over."""
        answers = {f"{SESSIONS}/cs_test_1": a_session(), f"{SESSIONS}/cs_test_1/expire": REFUSED}
        async with open_written(answers) as (platform, _):
            with pytest.raises(PlatformProtocolError, match="refuses to end"):
                await platform.cancel_checkout("cs_test_1", ACCOUNT)

    async def test_an_unknown_one_is_no_error(self) -> None:
        """There is nothing to end."""
        async with open_account() as account:
            await account.platform.cancel_checkout("cs_test_unknown", ACCOUNT)

            assert [call.operation for call in account.stripe.calls] == ["look_up"]
