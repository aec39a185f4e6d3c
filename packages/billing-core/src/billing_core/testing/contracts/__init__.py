"""The promises of every port, as test methods. An adapter's tests subclass the suite of its port and give the fixture.

    class TestPostgresStorage(StorageContract):
        @pytest.fixture
        def storage(self, ...) -> BillingStorage: ...

`storage` is empty at the start of each test. Tests that must see a task wait give it `patience_s` to go wrong: a
broken lock is seen at any speed that matters, and a right one passes however slow the machine is.
"""

from billing_core.testing.contracts.event_publisher import EventPublisherContract
from billing_core.testing.contracts.payment_platform import PaymentPlatformContract, PlatformUnderTest
from billing_core.testing.contracts.replay_cache import ReplayCacheContract
from billing_core.testing.contracts.shared_usage import SharedUsageContract
from billing_core.testing.contracts.storage import StorageContract
from billing_core.testing.contracts.waiting import BillingStorage

__all__ = [
    "BillingStorage",
    "EventPublisherContract",
    "PaymentPlatformContract",
    "PlatformUnderTest",
    "ReplayCacheContract",
    "SharedUsageContract",
    "StorageContract",
]
