"""Whatever goes wrong with Stripe leaves as one of the PlatformError tree, and says nothing it should not."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.adapters.platforms.stripe.account import (
    ACCOUNT,
    SECRET_KEY,
    Written,
    a_session,
    a_stripe_purchase,
    open_account,
    open_written,
)

from billing_adapters.platforms.stripe_checkout.failures import LONGEST_RETRY_AFTER_S, retry_after_s
from billing_adapters.platforms.stripe_checkout.platform import StripePlatform
from billing_adapters.stand_ins.faults import Fault
from billing_core.domain.money import Money
from billing_core.domain.payments import PaymentReport, PaymentStatus
from billing_core.errors import (
    PlatformAuthError,
    PlatformConflict,
    PlatformError,
    PlatformProtocolError,
    PlatformRejected,
    PlatformThrottled,
    PlatformUnavailable,
)
from billing_core.testing import MOMENT, an_offer

PURCHASE = a_stripe_purchase()
VERBS: dict[str, Callable[[StripePlatform], Awaitable[object]]] = {
    "create_checkout": lambda platform: platform.create_checkout(PURCHASE, ACCOUNT),
    "look_up": lambda platform: platform.look_up("cs_test_1", ACCOUNT, MOMENT),
    "find_checkout": lambda platform: platform.find_checkout(PURCHASE, ACCOUNT),
    "trace_payment": lambda platform: platform.trace_payment("pi_1"),
    "cancel_checkout": lambda platform: platform.cancel_checkout("cs_test_1", ACCOUNT),
}
ODD_BODIES: tuple[Any, ...] = (
    [],
    "text",
    3,
    None,
    {},
    {"id": 5},
    {"error": "text"},
    {"error": []},
    {"error": {"code": 5, "type": [], "message": {}}},
    {"object": "list"},
    {"object": "list", "data": 3, "has_more": False},
    {"object": "list", "data": [3], "has_more": False},
    {"object": "list", "data": [{"client_reference_id": str(PURCHASE.purchase_id)}], "has_more": False},
    b"\xff",
    b'{"a":' * 600 + b"1" + b"}" * 600,
)


def refused(status: int, **error: Any) -> Written:
    """A refusal in Stripe's own shape."""
    return Written(status=status, body={"error": {"type": "invalid_request_error", "message": "from Stripe"} | error})


class TestRefusals:
    """What each refusal of Stripe's means."""

    @pytest.mark.parametrize("verb", VERBS)
    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            (refused(401), PlatformAuthError),
            (refused(403), PlatformAuthError),
            (refused(409, code="idempotency_key_in_use"), PlatformConflict),
            (refused(429, code="rate_limit"), PlatformThrottled),
            (refused(500, type="api_error"), PlatformUnavailable),
            (refused(503, type="api_error"), PlatformUnavailable),
            (Written(status=502, body=b"<html>Bad gateway</html>"), PlatformUnavailable),
            (Written(status=502, body="<html>Détour</html>".encode("latin-1")), PlatformUnavailable),
            (Written(status=200, body=b"<html>One moment please</html>"), PlatformUnavailable),
            (Written(status=302, body=b""), PlatformUnavailable),
            (Written(status=401, body=b"<html>"), PlatformAuthError),
            (Written(status=429, body=b"<html>"), PlatformThrottled),
            (refused(400, type="idempotency_error"), PlatformProtocolError),
            (Written(status=418, body={"teapot": True}), PlatformProtocolError),
        ],
        ids=lambda value: getattr(value, "__name__", None) or f"{value.status}",
    )
    async def test_each_has_one_meaning(self, verb: str, answer: Written, expected: type[PlatformError]) -> None:
        """Whatever was asked."""
        async with open_written({"*": answer}) as (platform, _):
            with pytest.raises(PlatformError) as raised:
                await VERBS[verb](platform)

        assert type(raised.value) is expected

    @pytest.mark.parametrize("answer", [refused(404), Written(status=404, body=b"Not found")])
    async def test_what_stripe_does_not_know_is_none(self, answer: Written) -> None:
        """Whatever the rest of the answer says; only a create has no such end."""
        async with open_written({"*": answer}) as (platform, _):
            report = await platform.look_up("cs_test_1", ACCOUNT, MOMENT)
            reference = await platform.trace_payment("pi_1")
            with pytest.raises(PlatformProtocolError):
                await platform.create_checkout(PURCHASE, ACCOUNT)

        assert (report, reference) == (None, None)

    @pytest.mark.parametrize("answer", [refused(400, param="line_items"), refused(402, type="card_error")])
    async def test_what_stripe_does_not_make_is_rejected_for_good(self, answer: Written) -> None:
        """Its parameters are wrong, so surely no session exists."""
        async with open_written({"*": answer}) as (platform, _):
            with pytest.raises(PlatformRejected):
                await platform.create_checkout(PURCHASE, ACCOUNT)

    async def test_a_deadline_that_is_too_near_proves_nothing(self) -> None:
        """An earlier attempt may have made the session; its key may be forgotten since."""
        late = replace(PURCHASE, expires_at=MOMENT + timedelta(minutes=10))
        async with open_account() as account:
            with pytest.raises(PlatformProtocolError):
                await account.platform.create_checkout(late, ACCOUNT)

    async def test_only_a_create_is_ever_rejected(self) -> None:
        """Everywhere else a refusal is our own fault."""
        async with open_written({"*": refused(400)}) as (platform, _):
            with pytest.raises(PlatformProtocolError):
                await platform.find_checkout(PURCHASE, ACCOUNT)

    async def test_a_price_stripe_cannot_charge_is_rejected_without_a_call(self) -> None:
        """Nothing can have been made."""
        purchase = a_stripe_purchase(offer=an_offer(price=Money.of("5.124", "KWD")))
        async with open_written({}) as (platform, asked):
            with pytest.raises(PlatformRejected):
                await platform.create_checkout(purchase, ACCOUNT)

        assert asked == []

    @pytest.mark.parametrize("verb", VERBS)
    @pytest.mark.parametrize("status", [200, 400, 500])
    async def test_an_answer_of_any_shape_ends_in_the_tree(self, verb: str, status: int) -> None:
        """Or is understood to know of nothing; nothing else leaves."""
        answers: dict[str, Any] = {}
        outcomes: list[object] = []
        async with open_written(answers) as (platform, _):
            for body in ODD_BODIES:
                answers["*"] = Written(status=status, body=body)
                try:
                    outcomes.append(await VERBS[verb](platform))
                except PlatformError as trouble:
                    outcomes.append(trouble)

        assert all(outcome is None or isinstance(outcome, PlatformError) for outcome in outcomes)
        assert len(outcomes) == len(ODD_BODIES)


class TestTrouble:
    """Faults of the network and of Stripe's own."""

    @pytest.mark.parametrize(
        ("fault", "times", "expected"),
        [
            (Fault.TIMEOUT, 3, PlatformUnavailable),
            (Fault.RESET, 3, PlatformUnavailable),
            (Fault.LOST_ANSWER, 3, PlatformUnavailable),
            (Fault.SERVER_ERROR, 9, PlatformUnavailable),
            (Fault.HTML_BODY, 9, PlatformUnavailable),
            (Fault.HTML_SUCCESS, 1, PlatformUnavailable),
            (Fault.TOO_MANY_REQUESTS, 1, PlatformThrottled),
            (Fault.THROTTLED, 1, PlatformThrottled),
            (Fault.UNAUTHORIZED, 1, PlatformAuthError),
            (Fault.NO_URL, 1, PlatformProtocolError),
        ],
    )
    async def test_a_create_that_fails_says_how(self, fault: Fault, times: int, expected: type[PlatformError]) -> None:
        """Never as a rejection: a checkout may exist."""
        async with open_account(platform_timeout_s=0.2) as account:
            account.stripe.faults.plan(fault, "create", times=times)
            with pytest.raises(PlatformError) as raised:
                await account.platform.create_checkout(PURCHASE, ACCOUNT)

        assert type(raised.value) is expected

    @pytest.mark.parametrize("fault", [Fault.RESET, Fault.LOST_ANSWER, Fault.SERVER_ERROR, Fault.HTML_BODY])
    async def test_a_passing_fault_is_not_noticed(self, fault: Fault) -> None:
        """The library asks again under the same key; after a 5xx that Stripe has saved for that key, another one is
        used. One checkout exists."""
        async with open_account() as account:
            account.stripe.faults.plan(fault, "create")
            made = await account.platform.create_checkout(PURCHASE, ACCOUNT)
            again = await account.platform.create_checkout(PURCHASE, ACCOUNT)

            assert again == made
            assert list(account.stripe.sessions) == [made.platform_reference]

    @pytest.mark.parametrize(("fault", "times"), [(Fault.SERVER_ERROR, 18), (Fault.NO_URL, 3)])
    async def test_an_answer_of_no_use_that_stripe_saved_does_not_keep_the_purchase_from_its_page(
        self, fault: Fault, times: int
    ) -> None:
        """After any number of attempts under the purchase's keys the next one, once Stripe is well, gives a page."""
        async with open_account() as account:
            account.stripe.faults.plan(fault, "create", times=times)
            for _ in range(2):
                with pytest.raises(PlatformError):
                    await account.platform.create_checkout(PURCHASE, ACCOUNT)
            account.stripe.faults.clear()

            made = await account.platform.create_checkout(PURCHASE, ACCOUNT)

        assert made.url.startswith("https://checkout.stripe.com/")

    async def test_a_create_beside_another_one_is_a_conflict(self) -> None:
        """Stripe is still at work on the same key; asked again later it gives the one session."""
        async with open_account() as account:
            with account.stripe.hold_creates():
                first = asyncio.create_task(account.platform.create_checkout(PURCHASE, ACCOUNT))
                while not account.stripe.calls:  # noqa: ASYNC110 - the stand-in tells by its calls alone
                    await asyncio.sleep(0.01)
                with pytest.raises(PlatformConflict):
                    await account.platform.create_checkout(PURCHASE, ACCOUNT)
            made = await first

            assert await account.platform.create_checkout(PURCHASE, ACCOUNT) == made


class TestThrottling:
    """Stripe asks for fewer calls."""

    async def test_further_calls_are_not_made_until_then(self) -> None:
        """They are refused at once, and told how long it takes."""
        async with open_account(retry_after_s=30) as account:
            account.stripe.faults.plan(Fault.TOO_MANY_REQUESTS, "create")
            refusals = []
            for verb in VERBS.values():
                with pytest.raises(PlatformThrottled) as raised:
                    await verb(account.platform)
                refusals.append(raised.value.retry_after_s or 0)

            assert len(account.stripe.calls) == 1
        assert refusals[0] == 30
        assert all(0 < each <= 30 for each in refusals)

    async def test_after_that_time_calls_are_made_again(self) -> None:
        """With nothing to reset by hand."""
        answers = iter([Written(status=429, body={"error": {}}, headers={"Retry-After": "0.05"}), a_session()])
        async with open_written({"*": answers}) as (platform, _):
            with pytest.raises(PlatformThrottled):
                await platform.look_up("cs_test_1", ACCOUNT, MOMENT)
            report = None
            async with asyncio.timeout(10):
                while report is None:
                    report = await _report_or_none(platform)

        assert report.status is PaymentStatus.PENDING

    @pytest.mark.parametrize(
        ("told", "after_s"),
        [
            ("2", 2.0),
            ("0.5", 0.5),
            ("-1", 1.0),
            ("99999", LONGEST_RETRY_AFTER_S),
            ("soon", 1.0),
            ("nan", 1.0),
            (None, 1.0),
        ],
    )
    def test_how_long_is_read_within_bounds(self, told: str | None, after_s: float) -> None:
        """At most a minute, whatever is told; a second where nothing is."""
        assert retry_after_s({} if told is None else {"retry-after": told}) == after_s


class TestSecrets:
    """What people are told, and what is logged."""

    async def test_nothing_of_stripes_or_ours_is_passed_on(self) -> None:
        """Neither its message, nor the key, nor an address; the log has its request id."""
        answer = refused(400, message=f"No such thing at {PURCHASE.return_url} for {SECRET_KEY}", param="line_items")
        async with open_written({"*": answer}) as (platform, _):
            with capture_logs() as logs, pytest.raises(PlatformRejected) as raised:
                await platform.create_checkout(PURCHASE, ACCOUNT)

        told = f"{raised.value} {raised.value.__cause__} {logs}"
        assert not any(secret in told for secret in ("No such thing", SECRET_KEY, "https://", "http://"))
        [log] = logs
        assert (log["log_level"], log["request_id"], log["param"]) == ("warning", "req_1", "line_items")


async def _report_or_none(platform: StripePlatform) -> PaymentReport | None:
    try:
        return await platform.look_up("cs_test_1", ACCOUNT, MOMENT)
    except PlatformThrottled:
        await asyncio.sleep(0.01)
        return None
