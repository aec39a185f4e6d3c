"""What befalls a step: what had its effect, what the caller is told, and what runs afterwards."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from tests.faults.ports import Crash, FaultyPorts, PortFault, Process

from billing_core.errors import BillingError, PlatformUnavailable, PublishingUnavailable, StorageUnavailable
from billing_core.ports.platforms import PlatformAccount
from billing_core.testing import (
    InMemoryPublisher,
    InMemoryReplayCache,
    InMemorySender,
    InMemoryStorage,
    ScriptedPlatform,
    a_caller,
    a_merchant,
    a_merchant_created,
    a_purchase,
)
from billing_core.testing.builders import a_request_key
from billing_core.use_cases.inbound import Done

NO_EFFECT = [PortFault.CRASH_BEFORE, PortFault.TIMEOUT, PortFault.CANCELLED]
EFFECT = [PortFault.CRASH_AFTER, PortFault.REPLY_LOST, PortFault.SLOW]


class Underneath:
    """What outlives a process, and the processes on it."""

    def __init__(self) -> None:
        self.storage, self.publisher, self.replays = InMemoryStorage(), InMemoryPublisher(), InMemoryReplayCache()
        self.platform, self.sender = ScriptedPlatform(), InMemorySender()
        self.labels: list[str] = []
        self.late: list[str] = []

    def process(
        self,
        faults: Mapping[str, PortFault] | None = None,
        task: Callable[[], "asyncio.Task[Any] | None"] = asyncio.current_task,
    ) -> FaultyPorts:
        """A process on which these faults befall the steps of these labels."""

        async def hook(label: str) -> PortFault | None:
            self.labels.append(label)
            return (faults or {}).get(label)

        async def slow(label: str) -> None:
            self.late.append(label)

        return FaultyPorts(
            hook,
            storage=self.storage,
            platforms={"sandbox": self.platform},
            publisher=self.publisher,
            replays=self.replays,
            sender=self.sender,
            slow=slow,
            task=task,
        )


@pytest.fixture
def underneath() -> Underneath:
    """A storage, a platform, a broker and a cache."""
    return Underneath()


async def _register(ports: FaultyPorts) -> None:
    async with ports.units() as uow:
        await uow.merchants.add([a_merchant("m-1")])
        await uow.commit()


async def _result(work: Any) -> Any:
    """What the work gave or raised, in a task of its own."""
    task = asyncio.ensure_future(work)
    await asyncio.wait([task])
    return asyncio.CancelledError() if task.cancelled() else task.exception() or task.result()


class TestSteps:
    async def test_a_process_that_nothing_befalls_is_billing(self, underneath: Underneath) -> None:
        """Without faults the use cases do through the proxies what they do without, and every step has its label."""
        billing = Process(underneath.process())

        caller = await billing.register()
        purchase = await billing.buy(caller)
        outcome = await billing.pay(purchase)
        events = await billing.events()

        assert outcome == Done()
        assert [event.data.type for event in events][-1] == "evt.billing.credits.purchased"
        asked = {"units.open", "purchases.lock", "journal.record", "now", "commit", "platform.create_checkout"}
        asked |= {"requests.look", "requests.open", "requests.hand_out"}
        beside = {"replays.put", "leadership.lead", "outbox.unpublished", "publisher.publish", "outbox.mark_published"}
        assert asked | beside <= set(underneath.labels)

    @pytest.mark.parametrize("fault", PortFault)
    async def test_a_commit_has_its_effect_or_not(self, underneath: Underneath, fault: PortFault) -> None:
        """What befalls the commit decides, alone, whether the merchant is there."""
        result = await _result(_register(underneath.process({"commit": fault})))

        told = {
            PortFault.CRASH_BEFORE: Crash,
            PortFault.CRASH_AFTER: Crash,
            PortFault.REPLY_LOST: StorageUnavailable,
            PortFault.TIMEOUT: StorageUnavailable,
            PortFault.SLOW: type(None),
            PortFault.CANCELLED: asyncio.CancelledError,
        }
        assert type(result) is told[fault]
        assert bool(underneath.storage.tables.merchants) is (fault in EFFECT)
        assert underneath.late == (["commit"] if fault is PortFault.SLOW else [])

    @pytest.mark.parametrize("fault", [*NO_EFFECT, *EFFECT])
    async def test_every_port_tells_of_trouble_in_its_own_words(self, underneath: Underneath, fault: PortFault) -> None:
        """A platform's trouble is a PlatformError, the broker's is PublishingUnavailable, the cache has none."""
        purchase, account = a_purchase(), PlatformAccount(platform_account_id="a", platform_domain=None)
        calls: dict[str, Callable[[FaultyPorts], Awaitable[Any]]] = {
            "platform.create_checkout": lambda ports: ports.platforms["sandbox"].create_checkout(purchase, account),
            "publisher.publish": lambda ports: ports.publisher.publish([]),
            "sender.send": lambda ports: ports.sender.send("a.subject", b"", {}),
            "replays.get": lambda ports: ports.replays.get(a_request_key("m-1")),
            "outbox.unpublished": lambda ports: ports.outbox.unpublished(1),
            "runs.last_run": lambda ports: ports.runs.last_run("a job"),
            "housekeeping.purge_keys": lambda ports: ports.housekeeping.purge_keys(underneath.storage.clock.now(), 1),
        }

        results = {label: await _result(call(underneath.process({label: fault}))) for label, call in calls.items()}

        kinds = {label: type(each) for label, each in results.items() if isinstance(each, BillingError)}
        in_trouble = fault in (PortFault.TIMEOUT, PortFault.REPLY_LOST)
        storage = dict.fromkeys(["outbox.unpublished", "runs.last_run", "housekeeping.purge_keys"], StorageUnavailable)
        broker = dict.fromkeys(["publisher.publish", "sender.send"], PublishingUnavailable)
        assert kinds == ({"platform.create_checkout": PlatformUnavailable, **broker, **storage} if in_trouble else {})
        assert bool(underneath.platform.payments) is (fault in EFFECT)
        assert bool(underneath.sender.sent) is (fault in EFFECT)


class TestProcesses:
    @pytest.mark.parametrize("fault", [PortFault.CRASH_BEFORE, PortFault.CRASH_AFTER])
    async def test_nothing_runs_in_a_dead_process(self, underneath: Underneath, fault: PortFault) -> None:
        """Whatever else the process tries is a crash too, and none of it has an effect."""
        ports = underneath.process({"now": fault})

        async with ports.units() as uow:
            await uow.merchants.add([a_merchant("m-1")])
            with pytest.raises(Crash):
                await uow.now()
            with pytest.raises(Crash):
                await uow.commit()
        with pytest.raises(Crash):
            await ports.publisher.publish([])

        assert underneath.storage.tables.merchants == {}

    async def test_a_dead_process_holds_no_rows_and_leads_nothing(self, underneath: Underneath) -> None:
        """The process after it does the same at once."""
        await _register(underneath.process())
        dying = underneath.process({"commit": PortFault.CRASH_BEFORE, "outbox.unpublished": PortFault.CRASH_AFTER})
        billing = Process(underneath.process())

        with pytest.raises(Crash):
            await _register(dying)
        with pytest.raises(Crash):
            await Process(underneath.process({"outbox.unpublished": PortFault.CRASH_AFTER})).relay_events()
        (outcome,) = await billing.register_merchants([a_merchant_created(a_merchant("m-2"))])
        answered = await billing.activate_trial(a_caller(merchant_id="m-2"), "key")
        report = await billing.relay_events()

        assert outcome == Done()
        assert not answered.replayed
        assert report.done == 1

    async def test_a_statement_that_fails_breaks_its_transaction(self, underneath: Underneath) -> None:
        """Nothing can be done or committed on a connection that was lost, however the caller goes on."""
        ports = underneath.process({"merchants.add": PortFault.REPLY_LOST})

        async with ports.units() as uow:
            with pytest.raises(StorageUnavailable):
                await uow.merchants.add([a_merchant("m-1")])
            with pytest.raises(StorageUnavailable, match="lost"):
                await uow.commit()

        assert underneath.storage.tables.merchants == {}

    async def test_who_waits_for_a_row_when_the_process_dies_never_gets_it(self, underneath: Underneath) -> None:
        """A statement that was waiting for a lock comes back to nobody."""
        await _register(underneath.process())
        ports, other = underneath.process({"publisher.publish": PortFault.CRASH_BEFORE}), underneath.process()

        async def lock() -> Any:
            async with ports.units() as uow:
                return await uow.merchants.lock("m-1")

        async with other.units() as uow:
            await uow.merchants.lock("m-1")
            waiting = asyncio.ensure_future(lock())
            await asyncio.sleep(0)
            with pytest.raises(Crash):
                await ports.publisher.publish([])
        result = await _result(waiting)

        assert isinstance(result, Crash)

    async def test_a_cancellation_hits_the_whole_task(self, underneath: Underneath) -> None:
        """Cancelled while it asks several platforms at once, none of the questions is asked afterwards."""
        await _register(underneath.process())
        tasks: list[asyncio.Task[Any]] = []
        ports = underneath.process({"platform.look_up": PortFault.CANCELLED}, lambda: tasks[0])
        account = PlatformAccount(platform_account_id="a", platform_domain=None)
        look_up = ports.platforms["sandbox"].look_up

        async def ask_all() -> None:
            now = underneath.storage.clock.now()
            await asyncio.gather(*(look_up(f"pay-{number}", account, now) for number in range(3)))

        tasks.append(asyncio.ensure_future(ask_all()))
        result = await _result(tasks[0])

        assert isinstance(result, asyncio.CancelledError)
        assert underneath.platform.calls == []
