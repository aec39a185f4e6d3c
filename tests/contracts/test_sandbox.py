"""The sandbox keeps every promise of a payment platform, on books in memory and on PostgreSQL."""

from collections.abc import Mapping
from typing import Any

import pytest

from billing_adapters.platforms.sandbox import SandboxPlatform, sandbox_notice
from billing_adapters.platforms.sandbox_books import (
    InMemorySandboxBooks,
    PostgresSandboxBooks,
    SandboxBooks,
    SandboxEntry,
)
from billing_adapters.postgres.database import Database
from billing_core.domain.payments import PaymentStatus
from billing_core.ports.platforms import PlatformAccount
from billing_core.testing import MOMENT, a_merchant, a_purchase, an_offer
from billing_core.testing.contracts import PaymentPlatformContract
from billing_core.testing.contracts.payment_platform import PlatformUnderTest


class SandboxUnderTest:
    """The sandbox, as the contract drives it: what its page would enter is entered."""

    def __init__(self, books: SandboxBooks) -> None:
        self.platform = SandboxPlatform(
            books, base_url="http://127.0.0.1:8116", secret="a-secret-of-32-bytes-or-more-…."
        )
        self.account = PlatformAccount(platform_account_id="account-1", platform_domain=None)
        self._books = books

    async def pay(self, reference: str) -> None:
        """See `PlatformUnderTest.pay`."""
        await self._books.enter(self._entry(reference, PaymentStatus.PAID))

    async def decline(self, reference: str) -> None:
        """See `PlatformUnderTest.decline`."""
        await self._books.enter(self._entry(reference, PaymentStatus.DECLINED))

    async def expire(self, reference: str) -> None:
        """See `PlatformUnderTest.expire`."""
        await self._books.enter(self._entry(reference, PaymentStatus.EXPIRED))

    def notice(self, reference: str) -> Mapping[str, Any]:
        """See `PlatformUnderTest.notice`."""
        return sandbox_notice(self._entry(reference, PaymentStatus.PAID))

    def _entry(self, reference: str, status: PaymentStatus) -> SandboxEntry:
        return SandboxEntry(
            reference=reference,
            status=status,
            platform_account_id=self.account.platform_account_id,
            price=an_offer().price,
        )


class SandboxContract(PaymentPlatformContract):
    """The platform's contract, but for the one thing that cannot happen here."""

    async def test_a_purchase_that_never_got_through_has_no_checkout(
        self, platform_under_test: PlatformUnderTest
    ) -> None:
        """A sandbox checkout is never lost: it follows from its purchase, and is pending from the beginning."""
        account = platform_under_test.account
        lost = a_purchase(a_merchant(platform_account_id=account.platform_account_id))

        found = await platform_under_test.platform.find_checkout(lost, account)
        report = await platform_under_test.platform.look_up(str(found), account, MOMENT)

        assert report is not None
        assert report.status is PaymentStatus.PENDING


class TestSandboxInMemory(SandboxContract):
    """On books in memory."""

    @pytest.fixture
    def platform_under_test(self) -> SandboxUnderTest:
        """A sandbox with empty books."""
        return SandboxUnderTest(InMemorySandboxBooks())


class TestSandboxOnPostgres(SandboxContract):
    """On the table `sandbox_payments`."""

    @pytest.fixture
    def platform_under_test(self, database: Database) -> SandboxUnderTest:
        """A sandbox with empty books."""
        return SandboxUnderTest(PostgresSandboxBooks(database))
