"""The platforms are asked many questions at once, and no answer of one is another's trouble."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import pytest
from tests.core.use_cases.stored_purchases import AWAY, a_bought_one, reference_of, stored

from billing_core.domain.payments import PaymentReport, PaymentStatus
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.errors import PlatformError, PlatformProtocolError, PlatformRejected, PlatformUnavailable
from billing_core.ports.platforms import PlatformAccount
from billing_core.testing import InMemoryBilling, ScriptedPlatform, a_purchase
from billing_core.use_cases.ask_platforms import AskPlatforms, Question, in_time

ACCOUNT = PlatformAccount(platform_account_id="account-1", platform_domain=None)
SOON_S = 5


class _Crashing(ScriptedPlatform):
    """An adapter with a mistake in it: an answer it did not foresee."""

    async def look_up(self, platform_reference: str, account: PlatformAccount, now: datetime) -> PaymentReport | None:
        """This will trip over the answer."""
        return cast("Any", {})["status"]  # type: ignore[no-any-return]  # it never returns: the key is missing

    async def trace_payment(self, payment_id: str) -> str | None:
        """This will trip over the answer."""
        raise KeyError("checkout")


class _Silent(ScriptedPlatform):
    """A platform that never answers."""

    async def look_up(self, platform_reference: str, account: PlatformAccount, now: datetime) -> PaymentReport | None:
        """This will wait for ever."""
        await asyncio.Event().wait()
        raise AssertionError("it never answers")

    async def find_checkout(self, purchase: Purchase, account: PlatformAccount) -> str | None:
        """This will wait for ever."""
        await asyncio.Event().wait()
        raise AssertionError("it never answers")

    async def trace_payment(self, payment_id: str) -> str | None:
        """This will wait for ever."""
        await asyncio.Event().wait()
        raise AssertionError("it never answers")


class _Together(ScriptedPlatform):
    """A platform that is asked about many payments at once, and may trip over one of them."""

    def __init__(self, name: str, *, trouble: Exception | None = None) -> None:
        super().__init__(name)
        self.asked: list[list[str]] = []
        self._trouble = trouble

    async def look_up_many(
        self, checkouts: Sequence[tuple[str, PlatformAccount]], now: datetime
    ) -> Sequence[PaymentReport | None]:
        """This will tell of all, or raise the trouble."""
        self.asked.append([reference for reference, _ in checkouts])
        if self._trouble is not None:
            raise self._trouble
        return [await self.look_up(reference, account, now) for reference, account in checkouts]

    async def look_up(self, platform_reference: str, account: PlatformAccount, now: datetime) -> PaymentReport | None:
        """This will know every payment but the broken one."""
        if platform_reference == "broken":
            raise KeyError("status")
        return PaymentReport(platform_reference=platform_reference, status=PaymentStatus.PENDING, observed_at=now)


def _question(reference: str | None, platform: str = "sandbox") -> Question:
    return Question(platform=platform, platform_reference=reference, account=ACCOUNT)


class TestAskPlatforms:
    async def test_one_platforms_trouble_is_returned_not_raised(self, billing: InMemoryBilling) -> None:
        """Whatever kind it is: the others have their answers, in the order asked."""
        questions = []
        for _ in range(2):
            purchase = stored(billing, await a_bought_one(billing))
            account = PlatformAccount(platform_account_id=purchase.platform_account_id, platform_domain=None)
            questions.append(Question.about(purchase, account))
        billing.platform.fail("look_up", PlatformRejected("sandbox", "no"))

        answers = await billing.ask(questions, billing.clock.now())

        assert [type(answer) for answer in answers] == [PlatformRejected, PaymentReport]

    async def test_an_answer_was_observed_when_it_was_asked_for(self, billing: InMemoryBilling) -> None:
        """Not when it came: what happened in between may not be in it."""
        purchase = stored(billing, await a_bought_one(billing))
        account = PlatformAccount(platform_account_id=purchase.platform_account_id, platform_domain=None)

        (answer,) = await billing.ask([Question.about(purchase, account)], billing.clock.now())

        assert isinstance(answer, PaymentReport)
        assert answer.observed_at == billing.clock.now()

    async def test_no_question_asks_nobody(self, billing: InMemoryBilling) -> None:
        """An empty batch is an empty answer."""
        assert list(await billing.ask([], billing.clock.now())) == []
        assert list(await billing.ask.trace([])) == []
        assert billing.platform.calls == []

    async def test_nothing_to_ask_by_is_no_checkout(self, billing: InMemoryBilling) -> None:
        """Neither a reference nor a purchase: nothing is known."""
        assert list(await billing.ask([_question(None)], billing.clock.now())) == [None]

    async def test_a_mistake_in_an_adapter_stays_with_its_question_and_keeps_its_cause(
        self, billing: InMemoryBilling
    ) -> None:
        """The answer tells no detail; the cause is there for whoever must mend it."""
        platforms = {"crashing": _Crashing("crashing"), "sandbox": billing.platform}
        reference = reference_of(await a_bought_one(billing))

        crashed, answered = await AskPlatforms(platforms=platforms)(
            [_question("pay-1", "crashing"), _question(reference)], billing.clock.now()
        )

        assert isinstance(crashed, PlatformProtocolError)
        assert str(crashed) == "crashing: KeyError in its adapter"
        assert isinstance(crashed.__cause__, KeyError)
        (traced,) = await AskPlatforms(platforms=platforms).trace([("crashing", "money-1")])
        assert str(traced) == "crashing: KeyError in its adapter"
        assert answered is None  # another account's: but it was asked and has answered

    async def test_a_platform_that_tells_of_many_is_asked_once(self, billing: InMemoryBilling) -> None:
        """Each payment once, and every question gets its answer in the order asked."""
        together = _Together("together")
        ask = AskPlatforms(platforms={"together": together, "sandbox": billing.platform})
        questions = [_question(name, "together") for name in ("pay-2", "pay-1", "pay-2")]

        answers = await ask([questions[0], _question("pay-9"), *questions[1:]], billing.clock.now())

        assert together.asked == [["pay-2", "pay-1"]]
        assert [answer and getattr(answer, "platform_reference", None) for answer in answers] == [
            "pay-2", None, "pay-1", "pay-2",
        ]  # fmt: skip

    async def test_a_mistake_over_one_of_many_stays_with_it(self, billing: InMemoryBilling) -> None:
        """They are asked about apart then, so that the others have their answers."""
        ask = AskPlatforms(platforms={"together": _Together("together", trouble=KeyError("status"))})

        broken, fine = await ask([_question("broken", "together"), _question("fine", "together")], billing.clock.now())

        assert str(broken) == "together: KeyError in its adapter"
        assert isinstance(fine, PaymentReport)

    async def test_trouble_of_a_platform_asked_about_many_is_told_of_each(self, billing: InMemoryBilling) -> None:
        """It is not asked again one by one: it is away."""
        together = _Together("together", trouble=AWAY)

        answers = await AskPlatforms(platforms={"together": together})(
            [_question("pay-1", "together"), _question("pay-2", "together")], billing.clock.now()
        )

        assert list(answers) == [AWAY, AWAY]

    async def test_a_platform_nobody_configured_cannot_be_asked(self, billing: InMemoryBilling) -> None:
        """The remedy is in the answer."""
        (answer,) = await billing.ask([_question("pay-1", "unheard-of")], billing.clock.now())
        (traced,) = await billing.ask.trace([("unheard-of", "money-1")])

        for told in (answer, traced):
            assert isinstance(told, PlatformError)
            assert str(told).startswith("unheard-of: ")
            assert "BILLING_PLATFORMS" in str(told)

    async def test_payments_are_traced_each_on_its_own(self, billing: InMemoryBilling) -> None:
        """Found, unknown and in trouble, in the order asked."""
        reference = reference_of(await a_bought_one(billing))
        billing.platform.fail("trace_payment", AWAY)

        traced = await billing.ask.trace(
            [("sandbox", "money-0"), ("sandbox", reference.replace("pay-", "money-")), ("sandbox", "money-1")]
        )

        assert list(traced) == [AWAY, reference, None]

    async def test_a_platform_that_never_answers_is_not_waited_for(self, billing: InMemoryBilling) -> None:
        """It is away; the questions to the others are answered."""
        ask = AskPlatforms(platforms={"silent": _Silent("silent"), "sandbox": billing.platform}, patience_s=0.01)

        silent, other = await ask([_question("pay-1", "silent"), _question("pay-2")], billing.clock.now())
        (traced,) = await ask.trace([("silent", "money-1")])
        unanswered = Question.about(a_purchase(platform="silent", status=PurchaseStatus.CREATED), ACCOUNT)
        async with asyncio.timeout(SOON_S):
            (searched,) = await ask([unanswered], billing.clock.now())

        assert {str(silent), str(traced), str(searched)} == {"silent: no answer in time"}
        assert isinstance(silent, PlatformUnavailable)
        assert other is None


class TestInTime:
    async def test_gives_the_answer_or_says_that_it_was_late(self) -> None:
        """The error is the platform's, and may pass."""
        assert await in_time("sandbox", asyncio.sleep(0, "told")) == "told"
        with pytest.raises(PlatformUnavailable) as late:
            await in_time("sandbox", asyncio.Event().wait(), 0)

        assert late.value.retryable
