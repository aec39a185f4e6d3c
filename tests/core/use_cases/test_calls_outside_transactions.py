"""No platform is ever called while a transaction is open: locks and connections do not wait for strangers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest

from billing_core.domain.money import Money
from billing_core.domain.payments import PaymentReport
from billing_core.domain.purchases import Purchase
from billing_core.errors import PlatformUnavailable
from billing_core.ports.platforms import Checkout, PlatformAccount, Refund
from billing_core.testing import InMemoryBilling, InMemoryStorage, ScriptedPlatform, a_purchase_updated, an_origin
from billing_core.testing.memory.storage import InMemoryUnitOfWork


class _Watched(InMemoryStorage):
    """Storage that knows how many transactions are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open_units = 0

    @asynccontextmanager
    async def units(self, merchant_id: str | None = None) -> AsyncIterator[InMemoryUnitOfWork]:
        self.open_units += 1
        try:
            async with super().units(merchant_id) as uow:
                yield uow
        finally:
            self.open_units -= 1


class _Watching(ScriptedPlatform):
    """A platform that notes, for each call, how many transactions were open."""

    def __init__(self, storage: _Watched) -> None:
        super().__init__(tells_refunds=False)
        self._storage = storage
        self.seen: dict[str, set[int]] = {}

    def _note(self, verb: str) -> None:
        self.seen.setdefault(verb, set()).add(self._storage.open_units)

    async def create_checkout(self, purchase: Purchase, account: PlatformAccount) -> Checkout:
        self._note("create_checkout")
        return await super().create_checkout(purchase, account)

    async def look_up(self, platform_reference: str, account: PlatformAccount, now: datetime) -> PaymentReport | None:
        self._note("look_up")
        return await super().look_up(platform_reference, account, now)

    async def find_checkout(self, purchase: Purchase, account: PlatformAccount) -> str | None:
        self._note("find_checkout")
        return await super().find_checkout(purchase, account)

    async def trace_payment(self, payment_id: str) -> str | None:
        self._note("trace_payment")
        return await super().trace_payment(payment_id)

    async def cancel_checkout(self, platform_reference: str, account: PlatformAccount) -> None:
        self._note("cancel_checkout")
        await super().cancel_checkout(platform_reference, account)

    async def refunds(self, since: datetime) -> list[Refund]:
        self._note("refunds")
        return list(await super().refunds(since))


async def test_no_platform_is_called_inside_a_transaction() -> None:
    """Every use case that asks a platform, every verb of the port: no transaction is open then."""
    storage = _Watched()
    platform = _Watching(storage)
    billing = InMemoryBilling(storage=storage, platforms=[platform])
    caller = await billing.register()
    paid, mismatched, called_off = [await billing.buy(caller, pack) for pack in ("small", "medium", "large")]
    key = (caller.merchant_id, mismatched.id)

    await billing.pay(paid)
    await billing.handle_webhooks([a_purchase_updated(payload={"payment": f"money-{paid.id}"})])
    platform.pay(str(mismatched.platform_reference), price=Money(amount_minor=1, currency="USD"))
    await billing.notify(str(mismatched.platform_reference))
    await billing.operate.reconcile([key], an_origin())
    await billing.operate.resolve(key, "accept", an_origin())
    await billing.operate.cancel((caller.merchant_id, called_off.id), an_origin())
    platform.refund(str(paid.platform_reference), 100)
    await billing.follow_refunds()
    platform.fail("create_checkout", PlatformUnavailable("sandbox", "no answer"))
    with pytest.raises(PlatformUnavailable):
        await billing.buy(caller, "large")
    billing.clock.advance(timedelta(days=3))
    await billing.reconcile_purchases()
    await billing.expire_purchases()

    verbs = ("create_checkout", "look_up", "find_checkout", "trace_payment", "cancel_checkout", "refunds")
    assert platform.seen == {verb: {0} for verb in verbs}


async def test_the_watch_itself_sees_an_open_transaction() -> None:
    """So the test above can fail."""
    storage = _Watched()
    platform = _Watching(storage)

    async with storage.units() as uow:
        assert isinstance(uow, InMemoryUnitOfWork)
        await platform.trace_payment("money-1")

    assert platform.seen == {"trace_payment": {1}}
