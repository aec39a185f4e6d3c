"""The whole of Billing in memory, and the broker and cache that fail when told to."""

import asyncio
import inspect
from collections import Counter
from dataclasses import is_dataclass, replace
from datetime import timedelta
from importlib import import_module
from pkgutil import iter_modules

import pytest

from billing_core import use_cases
from billing_core.domain.purchases import PurchaseStatus
from billing_core.domain.trials import TrialStatus
from billing_core.errors import (
    PublishingUnavailable,
)
from billing_core.testing import (
    FixedClock,
    InMemoryBilling,
    InMemoryPublisher,
    InMemorySender,
    InMemoryStorage,
    ScriptedPlatform,
    a_caller,
    a_merchant,
    a_merchant_created,
    a_purchase_updated,
)
from billing_core.testing.contracts.journal import created, recorded
from billing_core.testing.contracts.waiting import registered
from billing_core.use_cases.consume_messages import ConsumeMessages
from billing_core.use_cases.inbound import Done, Parked, Retry
from billing_core.use_cases.merchant_pages import MerchantPages
from billing_core.use_cases.sweep_rows import Sweep


class TestInMemoryBilling:
    """The whole, in memory."""

    async def test_a_purchase_is_bought_paid_and_announced(self, billing: InMemoryBilling) -> None:
        """Merchant, trial, purchase and payment, told in one gap-free sequence."""
        caller = await billing.register()
        await billing.activate_trial(caller, "key-1")
        purchase = await billing.buy(caller, "small")

        outcome = await billing.pay(purchase)

        events = await billing.events()
        assert outcome == Done()
        assert [event.sequence for event in events] == [1, 2, 3, 4]
        assert [event.type.removeprefix("evt.billing.") for event in events] == [
            "trial.started",
            "purchase.created",
            "credits.purchased",
            "trial.converted",
        ]
        read = await billing.read.purchase(caller, purchase.id)
        assert read.status is PurchaseStatus.COMPLETED

    async def test_the_fixtures_share_one_clock_and_platform(
        self, billing: InMemoryBilling, clock: FixedClock, scripted_platform: ScriptedPlatform
    ) -> None:
        """A test that advances the clock moves the whole of Billing."""
        caller = await billing.register()
        await billing.activate_trial(caller, "key-1")
        clock.advance(timedelta(days=14))

        report = await billing.expire_trials()

        assert report.done == 1
        assert billing.platform is scripted_platform
        assert (await billing.read.trial(caller)).status == TrialStatus.EXPIRED

    async def test_it_has_every_use_case(self, billing: InMemoryBilling) -> None:
        """Whatever acts of Billing there are: each class of `use_cases` that takes ports is wired, twice where two
        queues are consumed."""
        wired = Counter(type(value) for value in vars(billing).values())

        assert {each.__name__ for each in _use_cases()} - {each.__name__ for each in wired} == set()
        assert wired[ConsumeMessages] == 2

    async def test_a_poisoned_message_is_consumed_alone(self, billing: InMemoryBilling) -> None:
        """`consume_merchants` is what a worker does with a batch: one that breaks the handler is put off, the others
        are handled."""
        merchant = a_merchant(platform=billing.platform.name)
        breaking = replace(a_merchant_created(), headers=None)  # type: ignore[arg-type]

        outcomes = await billing.consume_merchants([a_merchant_created(merchant), breaking])

        assert isinstance(outcomes[0], Done)
        assert isinstance(outcomes[1], Retry)
        assert (await billing.read.overview(a_caller(merchant))).merchant.id == merchant.merchant_id

    async def test_every_due_job_runs_once_and_reports(self, billing: InMemoryBilling) -> None:
        """The second call finds nothing due until a minute has passed."""
        first = await billing.jobs()
        second = await billing.jobs()
        billing.clock.advance(timedelta(minutes=1))
        third = await billing.jobs()

        assert [outcome.error for outcome in first] == [None] * 7
        assert list(second) == []
        assert {outcome.name for outcome in third} == {"remind-trials", "expire-purchases", "reconcile-purchases"}

    async def test_two_of_them_may_share_a_storage(self) -> None:
        """As two processes share a database: 32 requests under one key through both make one purchase."""
        storage = InMemoryStorage()
        processes = [InMemoryBilling(storage=storage, platforms=[platform]) for platform in [ScriptedPlatform()] * 2]
        caller = await processes[0].register()
        processes[1].new_id = processes[0].new_id

        first = await processes[0].buy(caller, key="key-1")
        answers = await asyncio.gather(*(processes[n % 2].buy(caller, key="key-1") for n in range(32)))

        assert answers == [first] * len(answers)
        assert len(storage.tables.purchases) == 1

    async def test_a_notice_nobody_understands_is_parked_and_can_be_replayed(self, billing: InMemoryBilling) -> None:
        """It goes back to its stream byte for byte."""
        notice = a_purchase_updated(payload={"nonsense": True})

        (outcome,) = await billing.handle_webhooks([notice])
        (parked_id,) = billing.storage.tables.parked
        await billing.replay_parked(parked_id)

        assert isinstance(outcome, Parked)
        assert [(sent.subject, sent.body) for sent in billing.sender.sent] == [(notice.subject, notice.body)]

    async def test_an_unknown_reference_is_tried_again(self, billing: InMemoryBilling) -> None:
        """A notice may overtake the purchase it is about."""
        outcome = await billing.notify("pay-unknown")

        assert isinstance(outcome, Retry)


class TestMessaging:
    """The broker and the cache fail when told to."""

    async def test_a_broker_may_take_some_and_fail(self) -> None:
        """What it took it keeps, and the repeat adds the rest."""
        storage, publisher = InMemoryStorage(), InMemoryPublisher()
        merchant = await registered(storage)
        await recorded(storage, *(created(merchant) for _ in range(3)))
        events = await storage.outbox.unpublished(10)
        publisher.fail_after(1)

        with pytest.raises(PublishingUnavailable):
            await publisher.publish(events)
        taken = list(publisher.published)
        await publisher.publish(events)

        assert taken == list(events[:1])
        assert publisher.published == list(events)

    async def test_a_sender_that_is_down_sends_nothing(self) -> None:
        """It says so."""
        sender = InMemorySender()
        sender.is_down = True

        with pytest.raises(PublishingUnavailable):
            await sender.send("evt.x", b"{}", {})

        assert sender.sent == []

    async def test_a_cache_that_is_down_or_forgot_asks_for_the_truth(self, billing: InMemoryBilling) -> None:
        """Repeats are answered the same with the cache, without it and after it forgot."""
        caller = await billing.register()
        first = await billing.buy(caller, key="key-1")
        billing.replays.lose_everything()
        forgotten = await billing.buy(caller, key="key-1")
        billing.replays.is_down = True
        down = await billing.buy(caller, key="key-1")

        assert first == forgotten == down


def _use_cases() -> set[type]:
    """The acts: classes of the package that can be called, or are one act with several verbs; values are not."""
    modules = [import_module(f"{use_cases.__name__}.{each.name}") for each in iter_modules(use_cases.__path__)]
    own = [
        each
        for module in modules
        for name, each in inspect.getmembers(module, inspect.isclass)
        if each.__module__ == module.__name__ and not name.startswith("_")
    ]
    acts = [each for each in own if "__init__" in vars(each) and not is_dataclass(each)]
    # What leafs through a merchant's data for two of them, or through its rows for one, is no act itself.
    return {each for each in acts if not getattr(each, "_is_protocol", False)} - {MerchantPages, Sweep}
