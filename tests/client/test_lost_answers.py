"""A line that breaks between the client and the real process: whatever is lost, a purchase is made once."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from tests.apps.http.door import RETURN_URL
from tests.client.conftest import Service, token
from tests.faults.chaos.proxy import FaultProxy, Line

from billing_client import AsyncBillingClient, BillingConnectionError, Retries, ServiceUnavailable

SOON = Retries(times=3, first_wait_s=0.01)


@pytest.fixture
async def line(service: Service) -> AsyncIterator[FaultProxy]:
    """A line to the service that a test may break."""
    proxy = FaultProxy(int(urlsplit(service.url).port or 0))
    await proxy.start()
    yield proxy
    await proxy.stop()


class Caller:
    """A client on that line, which is mended before the sending of that number."""

    def __init__(self, line: FaultProxy, merchant_id: str, *, mended_before: int) -> None:
        self._line, self._mended_before, self.sent = line, mended_before, 0
        self.billing = AsyncBillingClient(
            f"http://127.0.0.1:{line.port}",
            token=token(merchant_id),
            platform="sandbox",
            retries=SOON,
            timeout=1.0,
            headers=self._about_to_send,
        )

    def _about_to_send(self) -> dict[str, str]:
        self.sent += 1
        if self.sent == self._mended_before:
            self._line.behave(Line.PASS)
        return {}


@pytest.mark.parametrize("fault", [Line.RESET, Line.BLACK_HOLE, Line.SWALLOW_REPLIES])
async def test_a_purchase_is_made_once(line: FaultProxy, merchant_id: str, fault: Line) -> None:
    """Twice the answer does not come; the third sending, under the same key, brings the one purchase there is."""
    caller = Caller(line, merchant_id, mended_before=3)
    line.behave(fault)

    async with caller.billing as billing:
        purchase = await billing.create_purchase("large", return_url=RETURN_URL)
        every = [each async for each in billing.iter_purchases()]

    assert every == [purchase]
    assert (purchase.meta.attempts, purchase.status) == (3, "pending")
    # Where only the replies were lost, the purchase had been made by the first sending.
    assert purchase.meta.replayed == (fault is Line.SWALLOW_REPLIES)


async def test_a_line_that_stays_broken_is_told(line: FaultProxy, merchant_id: str) -> None:
    """After the bounded number of tries; the error has the key, under which it may be sent again."""
    caller = Caller(line, merchant_id, mended_before=99)
    line.behave(Line.SWALLOW_REPLIES)

    async with caller.billing as billing:
        with pytest.raises(BillingConnectionError) as failed:
            await billing.create_purchase("small", return_url=RETURN_URL)
        line.behave(Line.PASS)
        again = await billing.create_purchase(
            "small", return_url=RETURN_URL, idempotency_key=failed.value.idempotency_key
        )

    assert (failed.value.attempts, again.meta.replayed) == (4, True)


async def test_what_is_asked_together_waits_its_turn(service: Service, merchant_id: str) -> None:
    """Sixteen at once under one key: those told 409 ask again, and all get the same purchase."""
    patient = Retries(times=20, first_wait_s=0.05, longest_wait_s=5)
    async with AsyncBillingClient(
        service.url, token=token(merchant_id), platform="sandbox", retries=patient, timeout=30
    ) as billing:
        wanted = [
            billing.create_purchase("medium", return_url=RETURN_URL, idempotency_key="one-click") for _ in range(16)
        ]
        bought = await asyncio.gather(*wanted)

    assert {each.id for each in bought} == {bought[0].id}


async def test_a_service_without_its_database_is_told(
    merchant_id: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As unavailable, after the tries, with what it asked to wait; and its health can be asked all the same."""
    from tests.apps.http.test_process import NOWHERE, running

    with running(tmp_path_factory.mktemp("away"), **NOWHERE) as process:
        url = await asyncio.to_thread(process.url)
        async with AsyncBillingClient(
            url, token=token(merchant_id), platform="sandbox", retries=Retries(times=1, longest_wait_s=1)
        ) as billing:
            with pytest.raises(ServiceUnavailable) as failed:
                await billing.overview()
            health = await billing.health()

    assert failed.value.retry_after_s
    assert (health.status, health.checks.postgres, health.meta.status) == ("unavailable", "down", 503)
