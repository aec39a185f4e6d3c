"""The test kit is honest: what it pretends to be, it is."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import billing_core.testing
from billing_core.domain.merchants import Merchant
from billing_core.domain.money import Money
from billing_core.domain.packs import Catalog
from billing_core.domain.purchases import DisputeStatus, PaymentReport, PaymentStatus, Purchase, PurchaseStatus
from billing_core.domain.trials import TrialStatus
from billing_core.errors import (
    MalformedMessage,
    PlatformUnavailable,
    PublishingUnavailable,
    StorageConflict,
)
from billing_core.messages import MerchantCreated, PurchaseUpdated, open_envelope, read_data
from billing_core.ports.clock import Clock, NewId
from billing_core.ports.idempotency import ReplayCache
from billing_core.ports.platforms import PaymentPlatform, PlatformAccount
from billing_core.ports.publishing import EventPublisher, MessageSender
from billing_core.testing import (
    FixedClock,
    InMemoryBilling,
    InMemoryPublisher,
    InMemoryReplayCache,
    InMemorySender,
    InMemoryStorage,
    ScriptedPlatform,
    SequentialIds,
    a_merchant,
    a_merchant_created,
    a_purchase,
    a_purchase_updated,
    a_report,
    a_trial,
    an_offer,
    an_origin,
    assert_event,
    decode,
)
from billing_core.testing import strategies as billing_strategies
from billing_core.testing.builders import again
from billing_core.testing.contracts import BillingStorage
from billing_core.testing.contracts.journal import created, recorded
from billing_core.testing.contracts.waiting import registered, stored
from billing_core.use_cases.inbound import Done, Parked, Retry

ACCOUNT = PlatformAccount(platform_account_id="account-1", platform_domain=None)


class TestInMemoryStorage:
    """What the contract does not ask, but a simulator counts on."""

    async def test_two_transactions_that_wait_for_each_other_do_not_hang(self) -> None:
        """The one that closes the circle is undone, and the other goes on."""
        storage = InMemoryStorage()
        one, other = await registered(storage), await registered(storage)

        async def lock_other_first() -> Merchant | None:
            async with storage.units() as second:
                await second.merchants.lock(other.merchant_id)
                await asyncio.sleep(0)
                return await second.merchants.lock(one.merchant_id)

        async with storage.units() as first:
            await first.merchants.lock(one.merchant_id)
            task = asyncio.create_task(lock_other_first())
            await asyncio.wait({task}, timeout=0)
            with pytest.raises(StorageConflict):
                await first.merchants.lock(other.merchant_id)
            with pytest.raises(StorageConflict):
                await first.commit()

        assert await asyncio.wait_for(task, 5) == one

    async def test_a_cancelled_transaction_leaves_the_queue(self) -> None:
        """Who gave up waiting is passed over, and holds nothing."""
        storage = InMemoryStorage()
        merchant = await registered(storage)

        async def lock() -> Merchant | None:
            async with storage.units() as uow:
                return await uow.merchants.lock(merchant.merchant_id)

        async with storage.units() as first:
            await first.merchants.lock(merchant.merchant_id)
            gives_up, waits = asyncio.create_task(lock()), asyncio.create_task(lock())
            await asyncio.wait({gives_up, waits}, timeout=0)
            gives_up.cancel()

        assert await asyncio.wait_for(waits, 5) == merchant
        assert await asyncio.wait_for(lock(), 5) == merchant
        assert gives_up.cancelled()

    async def test_one_cancelled_in_the_moment_of_its_turn_passes_it_on(self) -> None:
        """A row handed to a task that is cancelled before it runs is let go by that task's unit."""
        storage = InMemoryStorage()
        merchant = await registered(storage)

        async def lock() -> Merchant | None:
            async with storage.units() as uow:
                return await uow.merchants.lock(merchant.merchant_id)

        async with storage.units() as first:
            await first.merchants.lock(merchant.merchant_id)
            heir, waits = asyncio.create_task(lock()), asyncio.create_task(lock())
            await asyncio.wait({heir, waits}, timeout=0)
        heir.cancel()

        assert await asyncio.wait_for(waits, 5) == merchant
        assert heir.cancelled()

    async def test_a_closed_unit_can_do_nothing(self) -> None:
        """Using it after its end is refused, not ignored."""
        storage = InMemoryStorage()
        async with storage.units() as uow:
            await uow.commit()

        with pytest.raises(StorageConflict):
            await uow.merchants.add([a_merchant()])

    async def test_saving_a_purchase_nobody_holds_is_a_fault(self) -> None:
        """The port asks to hold first; the fake insists, so that the real one is never surprised."""
        storage = InMemoryStorage()
        purchase = a_purchase(await registered(storage))
        await stored(storage, purchase)

        async with storage.units() as uow:
            with pytest.raises(RuntimeError, match="held"):
                await uow.purchases.save([purchase])

    async def test_events_of_a_merchant_nobody_announced_are_a_fault(self) -> None:
        """The sequence is counted on the merchant's row, and there is none."""
        with pytest.raises(LookupError):
            await recorded(InMemoryStorage(), created(a_merchant()))


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

    async def test_every_due_job_runs_once_and_reports(self, billing: InMemoryBilling) -> None:
        """The second call finds nothing due until a minute has passed."""
        first = await billing.jobs()
        second = await billing.jobs()
        billing.clock.advance(timedelta(minutes=1))
        third = await billing.jobs()

        assert [outcome.error for outcome in first] == [None] * 6
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

        assert set(answers) == {first}
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


class TestEvents:
    """What other services check events with."""

    async def test_assert_event_compares_type_and_data(self) -> None:
        """It returns the event, and fails on another type or value."""
        storage = InMemoryStorage()
        change = created(await registered(storage))
        await recorded(storage, change)
        (event,) = await storage.outbox.unpublished(1)

        told = assert_event(event.body, "evt.billing.purchase.created", pack="large", credits=1000)

        assert told == decode(event.body)
        with pytest.raises(AssertionError, match="expected evt"):
            assert_event(event.body, "evt.billing.trial.started")
        with pytest.raises(AssertionError, match="credits"):
            assert_event(event.body, "evt.billing.purchase.created", credits=1)
        with pytest.raises(AssertionError, match="missing"):
            assert_event(event.body, "evt.billing.purchase.created", colour="red")

    def test_decode_refuses_what_is_no_event_of_ours(self) -> None:
        """Neither nonsense nor another service's event."""
        with pytest.raises(MalformedMessage):
            decode(b"{}")


class TestBuilders:
    """Values with sensible defaults."""

    @pytest.mark.parametrize("status", list(PurchaseStatus))
    def test_a_purchase_is_whole_for_every_status(self, status: PurchaseStatus) -> None:
        """The value checks itself; ended ones have an end."""
        purchase = a_purchase(status=status)

        assert purchase.is_open == (purchase.ended_at is None)

    @pytest.mark.parametrize("status", list(TrialStatus))
    def test_a_trial_is_whole_for_every_status(self, status: TrialStatus) -> None:
        """The value checks itself."""
        assert a_trial(status=status).status is status

    def test_a_report_pays_the_purchase(self) -> None:
        """By default it matches what was offered."""
        purchase = a_purchase()

        settled = purchase.settle(a_report(purchase), purchase.created_at, an_origin())

        assert settled.purchase.status is PurchaseStatus.COMPLETED

    @pytest.mark.parametrize("bare", [True, False])
    def test_messages_are_what_billing_reads(self, bare: bool) -> None:
        """As a CloudEvent or bare, under the id given."""
        merchant = a_merchant(currency="CHF")
        announced = open_envelope(a_merchant_created(merchant, bare=bare, message_id="m-1"))
        notice = open_envelope(a_purchase_updated("pay-7", bare=bare, message_id="m-2"))

        assert (announced.message_id, notice.message_id) == ("m-1", "m-2")
        assert read_data(MerchantCreated, announced.data).currency == "CHF"
        assert read_data(PurchaseUpdated, notice.data).payload == {"reference": "pay-7"}

    def test_a_message_again_is_its_next_delivery(self) -> None:
        """The same bytes and id, one attempt later."""
        message = a_merchant_created()

        assert (again(message).body, again(message).attempt) == (message.body, 2)


class TestClock:
    """Time and ids tests decide."""

    def test_a_clock_moves_forward_only(self) -> None:
        """It stands still until told, and refuses a step back or a naive moment."""
        clock = FixedClock()
        before = clock.now()

        assert clock.now() == before
        assert clock.advance(timedelta(seconds=1)) == before + timedelta(seconds=1) == clock.now()
        with pytest.raises(ValueError, match="backwards"):
            clock.set(before)
        with pytest.raises(ValueError, match="aware"):
            clock.set(datetime(2099, 1, 1))  # noqa: DTZ001 - the naive moment is the point

    def test_ids_are_uuid7_in_order_and_the_same_in_every_run(self) -> None:
        """Two runs make the same ids, which sort as they were made and carry the clock's time."""
        clock = FixedClock()
        new_id, again_id = SequentialIds(clock), SequentialIds(FixedClock())
        ids = [new_id() for _ in range(3)]
        clock.advance(timedelta(milliseconds=1))
        ids.append(new_id())

        assert ids == sorted(ids)
        assert ids[:3] == [again_id() for _ in range(3)]
        assert {(each.version, each.variant) for each in ids} == {(7, "specified in RFC 4122")}
        assert ids[0].int >> 80 == int(FixedClock().now().timestamp() * 1000)


class TestStrategies:
    """Every drawn value is legal: the domain's own checks let it through."""

    @given(catalog=billing_strategies.catalogs(), merchant=billing_strategies.merchants())
    @settings(max_examples=25, deadline=None)
    def test_every_catalogue_offers_every_pack(self, catalog: Catalog, merchant: Merchant) -> None:
        """In the merchant's currency where it can."""
        assert len(catalog.offers(home_currency=merchant.currency)) == len(catalog.packs)

    @given(data=st.data(), purchase=billing_strategies.purchases(status=PurchaseStatus.PENDING, review_reason=None))
    @settings(max_examples=50, deadline=None)
    def test_reports_that_match_complete_and_others_never_do(self, data: st.DataObject, purchase: Purchase) -> None:
        """`matching` says what the purchase's own check says."""
        matching = data.draw(st.booleans())
        report = data.draw(billing_strategies.payment_reports(purchase, matching=matching))

        settled = purchase.settle(report, report.observed_at, an_origin()).purchase

        assert settled.is_paid == (matching and report.status is PaymentStatus.PAID)


def test_every_fake_is_an_implementation_of_its_port() -> None:
    """The type checker holds these assignments; here every name is seen to exist."""
    storage: BillingStorage = InMemoryStorage()
    platform: PaymentPlatform = ScriptedPlatform()
    publisher: EventPublisher = InMemoryPublisher()
    sender: MessageSender = InMemorySender()
    replays: ReplayCache = InMemoryReplayCache()
    clock: Clock = FixedClock()
    new_id: NewId = SequentialIds()

    assert None not in (storage, platform, publisher, sender, replays, clock, new_id)


def test_every_public_name_can_be_imported() -> None:
    """`__all__` tells the truth."""
    assert [getattr(billing_core.testing, name) for name in billing_core.testing.__all__]
    assert not hasattr(billing_core.testing, "nothing_of_the_kind")


def test_the_plugin_loads_neither_use_cases_nor_hypothesis() -> None:
    """It loads before coverage is measured, and in every run of every project that has it installed."""
    program = (
        "import sys, billing_core.testing.plugin\n"
        "heavy = {'hypothesis', 'billing_core.use_cases', 'billing_core.testing.memory'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
