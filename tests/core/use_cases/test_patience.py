"""A platform that hangs is waited for as long as is good, and no longer."""

import asyncio
from datetime import datetime

import pytest

from billing_core.domain.payments import PaymentReport
from billing_core.domain.purchases import Purchase
from billing_core.domain.return_urls import ReturnUrlPolicy
from billing_core.errors import PlatformUnavailable
from billing_core.ports.platforms import Checkout, PlatformAccount
from billing_core.testing import InMemoryBilling, ScriptedPlatform
from billing_core.use_cases.ask_platforms import AskPlatforms, Question
from billing_core.use_cases.create_purchase import CreatePurchase, PurchaseRequest

ACCOUNT = PlatformAccount(platform_account_id="shop-1", platform_domain=None)
PATIENCE_S = 0.05


class _Hanging(ScriptedPlatform):
    """A platform that never answers."""

    async def create_checkout(self, purchase: Purchase, account: PlatformAccount) -> Checkout:
        return await asyncio.Event().wait()  # type: ignore[return-value] # it never ends

    async def look_up(self, platform_reference: str, account: PlatformAccount, now: datetime) -> PaymentReport | None:
        return await asyncio.Event().wait()  # type: ignore[return-value] # it never ends

    async def trace_payment(self, payment_id: str) -> str | None:
        return await asyncio.Event().wait()  # type: ignore[return-value] # it never ends


class TestPatience:
    async def test_a_question_that_is_never_answered_is_trouble_and_the_next_is_asked(self) -> None:
        """One platform that hangs keeps no other purchase waiting for ever."""
        billing = InMemoryBilling(platforms=[_Hanging("stripe"), ScriptedPlatform()])
        ask = AskPlatforms(platforms=billing.platforms, patience_s=PATIENCE_S)
        questions = [
            Question(platform=name, account=ACCOUNT, platform_reference="pay-1") for name in ("stripe", "sandbox")
        ]

        hung, answered = await ask(questions, billing.clock.now())
        traced = await ask.trace([("stripe", "money-1")])

        assert isinstance(hung, PlatformUnavailable)
        assert answered is None
        assert isinstance(traced[0], PlatformUnavailable)

    async def test_a_checkout_that_is_never_answered_frees_the_key_and_keeps_the_purchase(self) -> None:
        """The merchant hears of it soon, and asking again goes on with the same purchase."""
        billing = InMemoryBilling(platforms=[_Hanging()])
        caller = await billing.register()
        create = CreatePurchase(
            requests=billing.storage.requests,
            units=billing.storage.units,
            replays=billing.replays,
            platforms=billing.platforms,
            price_book=billing.price_book,
            return_urls=ReturnUrlPolicy(),
            clock=billing.clock,
            new_id=billing.new_id,
            patience_s=PATIENCE_S,
        )
        request = PurchaseRequest(pack="large", return_url="https://shop.example/billing")

        for _ in range(2):
            with pytest.raises(PlatformUnavailable):
                await create(caller, "key-1", request)

        assert len(billing.storage.tables.purchases) == 1
