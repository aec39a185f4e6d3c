"""A trial is started once per shop, whatever is asked how often."""

import asyncio
import json

import pytest

from billing_core.domain.merchants import Merchant
from billing_core.errors import IdempotencyKeyReused, MerchantNotFound, PlatformMismatch, TrialAlreadyUsed
from billing_core.testing import InMemoryBilling, a_caller, a_merchant, a_merchant_created
from billing_core.use_cases.answers import Answered


async def _registered(billing: InMemoryBilling, **values: str) -> Merchant:
    merchant = a_merchant(**values)
    await billing.register_merchants([a_merchant_created(merchant)])
    return merchant


def _types(billing: InMemoryBilling) -> list[str]:
    return [row.event.type for row in billing.storage.tables.outbox.values()]


class TestActivateTrial:
    async def test_starts_the_trial_and_tells_it(self, billing: InMemoryBilling) -> None:
        """The answer is the trial, and one event is on its way."""
        merchant = await _registered(billing)

        answered = await billing.activate_trial(a_caller(merchant), "key-1")

        trial = json.loads(answered.answer.document)
        assert (answered.answer.outcome, answered.replayed) == ("created", False)
        assert (trial["merchant_id"], trial["status"], trial["credits"]) == (merchant.merchant_id, "active", 500)
        assert _types(billing) == ["evt.billing.trial.started"]

    @pytest.mark.parametrize("cache_forgets", [True, False])
    async def test_same_key_replays_the_answer(self, billing: InMemoryBilling, cache_forgets: bool) -> None:
        """From the fast path or from the truth, the answer is the first one (market.md 33)."""
        caller = a_caller(await _registered(billing))
        first = await billing.activate_trial(caller, "key-1")
        if cache_forgets:
            billing.replays.lose_everything()

        again = await billing.activate_trial(caller, "key-1")

        assert again == Answered(answer=first.answer, replayed=True)
        assert _types(billing) == ["evt.billing.trial.started"]

    async def test_a_second_trial_under_another_key_is_refused(self, billing: InMemoryBilling) -> None:
        """Once is once, also after the first one is over."""
        caller = a_caller(await _registered(billing))
        await billing.activate_trial(caller, "key-1")

        with pytest.raises(TrialAlreadyUsed):
            await billing.activate_trial(caller, "key-2")

        assert _types(billing) == ["evt.billing.trial.started"]

    async def test_a_shop_reinstalled_under_a_new_merchant_id_gets_no_second_trial(
        self, billing: InMemoryBilling
    ) -> None:
        """The trial is the shop's; the refusal is recorded and told once (market.md 27)."""
        await billing.activate_trial(a_caller(await _registered(billing, platform_account_id="shop")), "key-1")
        reinstalled = a_caller(await _registered(billing, platform_account_id="shop"))

        for key in ("key-2", "key-3"):
            with pytest.raises(TrialAlreadyUsed):
                await billing.activate_trial(reinstalled, key)

        assert _types(billing) == ["evt.billing.trial.started", "evt.billing.trial.refused"]
        assert (await billing.read.trial(reinstalled)).status == "refused"

    async def test_one_shops_trial_does_not_use_up_anothers(self, billing: InMemoryBilling) -> None:
        """Other shops are other shops, also under an account of the same name elsewhere (market.md 31)."""
        one, other = await _registered(billing), await _registered(billing)

        await billing.activate_trial(a_caller(one), "key-1")
        await billing.activate_trial(a_caller(other), "key-1")

        assert _types(billing) == ["evt.billing.trial.started"] * 2

    async def test_requests_at_the_same_moment_start_one_trial(self, billing: InMemoryBilling) -> None:
        """Double clicks, two tabs and two installations race; one wins (market.md 27)."""
        callers = [a_caller(await _registered(billing, platform_account_id="shop")) for _ in range(3)]

        results = await asyncio.gather(
            *(billing.activate_trial(caller, f"key-{n}") for n in range(3) for caller in callers),
            return_exceptions=True,
        )

        assert sorted(type(result).__name__ for result in results) == ["Answered"] + ["TrialAlreadyUsed"] * 8
        assert _types(billing).count("evt.billing.trial.started") == 1

    async def test_a_key_is_the_merchants_own(self, billing: InMemoryBilling) -> None:
        """Two merchants may use the same key (market.md 33)."""
        first = await billing.activate_trial(a_caller(await _registered(billing)), "key-1")
        second = await billing.activate_trial(a_caller(await _registered(billing)), "key-1")

        assert (first.replayed, second.replayed) == (False, False)

    async def test_a_key_is_kept_for_its_route_from_now_on(self, billing: InMemoryBilling) -> None:
        """The same key may be used for a purchase, and is forgotten a day later like any other."""
        await billing.activate_trial(a_caller(await _registered(billing)), "key-1")

        ((key, record),) = billing.storage.tables.keys.items()
        assert (key.route, record.created_at) == ("POST /api/billing/trials", billing.clock.now())

    async def test_a_merchant_not_announced_is_not_found(self, billing: InMemoryBilling) -> None:
        """Billing knows merchants by their announcement alone."""
        with pytest.raises(MerchantNotFound):
            await billing.activate_trial(a_caller(), "key-1")

    async def test_a_caller_of_another_platform_is_refused(self, billing: InMemoryBilling) -> None:
        """The token's platform must be the merchant's."""
        merchant = await _registered(billing)

        with pytest.raises(PlatformMismatch):
            await billing.activate_trial(a_caller(merchant, platform="stripe"), "key-1")

        assert billing.storage.tables.keys == {}

    async def test_a_fast_path_that_remembers_another_request_refuses_it(self, billing: InMemoryBilling) -> None:
        """The cache is held to the same rule as the truth."""
        caller = a_caller(await _registered(billing))
        await billing.activate_trial(caller, "key-1")
        (key,) = billing.storage.tables.keys
        remembered = await billing.replays.get(key)
        assert remembered is not None
        await billing.replays.put(key, type(remembered)(fingerprint="another", answer=remembered.answer))

        with pytest.raises(IdempotencyKeyReused):
            await billing.activate_trial(caller, "key-1")
