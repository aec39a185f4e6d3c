"""The test kit is honest: what it pretends to be, it is."""

import subprocess
import sys
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import billing_core.testing
from billing_core.domain.merchants import Merchant
from billing_core.domain.packs import Catalog
from billing_core.domain.payments import PaymentStatus
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.domain.reviews import NO_REVIEW
from billing_core.domain.trials import TrialStatus
from billing_core.errors import (
    MalformedMessage,
)
from billing_core.messages import MerchantCreated, PurchaseUpdated, open_envelope, read_data
from billing_core.ports.clock import Clock, NewId
from billing_core.ports.idempotency import ReplayCache
from billing_core.ports.platforms import PaymentPlatform
from billing_core.ports.publishing import EventPublisher, MessageSender
from billing_core.testing import (
    FixedClock,
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
    an_origin,
    assert_event,
    decode,
)
from billing_core.testing import strategies as billing_strategies
from billing_core.testing.builders import again
from billing_core.testing.contracts import BillingStorage
from billing_core.testing.contracts.journal import created, recorded
from billing_core.testing.contracts.waiting import registered


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

    @given(data=st.data(), purchase=billing_strategies.purchases(status=PurchaseStatus.PENDING, review=NO_REVIEW))
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
