"""Every fault of a platform, at every step that asks it: no credits without payment, no payment without credits.

One table. `script/test tests/faults/test_platform_faults.py -n 0 -s` prints it, with what was seen in each cell.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

import httpx2
import pytest
from tests.apps.http.door import WANTED, Door, assert_problem, open_door, signed, some_claims, some_settings
from tests.faults.plays import PLAYS, Play

from billing_adapters.stand_ins.faults import Fault
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.use_cases.caller import Caller
from billing_core.use_cases.check_purchases import AFTER_REFUSAL
from billing_core.use_cases.inbound import Done, Retry

SECRETS = ("sk_test", "shpat", "access_token", "http://127")
DEADLINE_S = 20
# As many cells as a small machine plays without taking its own slowness for a time-out.
AT_ONCE = 6
LARGE = [1000]


@dataclass(slots=True)
class Cell:
    """One platform, one step, one fault: what is played there, and what was seen."""

    play: Play
    door: Door
    caller: Caller
    fault: Fault
    key: str = field(default_factory=lambda: str(uuid4()))
    urls: set[str] = field(default_factory=set)
    seen: list[str] = field(default_factory=list)

    async def ask(self) -> httpx2.Response:
        """This will ask for the purchase, always under the same key."""
        claims = some_claims(self.play.billing.clock, self.caller.merchant_id, platform=self.play.platform)
        headers = {
            "Authorization": f"Bearer {signed(claims)}",
            "X-Platform": self.play.platform,
            "Idempotency-Key": self.key,
        }
        response = await self.door.client.post("/api/billing/purchases", json=WANTED, headers=headers)
        if url := response.json().get("checkout_url"):
            self.urls.add(url)
        return response

    async def open(self) -> str:
        """This will ask until the purchase has its page, and give its reference."""
        self.play.calm()
        opened: list[httpx2.Response] = []

        async def answered() -> bool:
            opened.append(await self.ask())
            return opened[-1].status_code in (200, 201)

        await until(answered)
        return str(opened[-1].json()["platform_reference"])

    async def told_of_trouble(self) -> None:
        """This will ask while the fault is on, and check what the caller is told."""
        response = await self.ask()
        problem = assert_problem(response, 502, "PLATFORM_ERROR")
        assert problem["platform"] == self.play.platform
        assert problem["retryable"] == (self.fault not in FINAL[self.play.platform])
        assert not [secret for secret in SECRETS if secret in response.text]
        self.seen.append(f"502 {'retry' if problem['retryable'] else 'final'}")

    async def reconciled(self) -> None:
        """This will reconcile, once the platform answers again, until nothing waits any more."""
        self.play.calm()

        async def all_answered() -> bool:
            self.play.billing.clock.advance(AFTER_REFUSAL)
            return (await self.play.billing.reconcile_purchases()).figures["platform_errors"] == 0

        await until(all_answered)

    @property
    def purchase(self) -> Purchase:
        """The one purchase there is."""
        (purchase,) = self.play.billing.storage.tables.purchases.values()
        return purchase


# --- the steps -------------------------------------------------------------------------------------------------------


async def creating(cell: Cell) -> None:
    """The checkout is asked for under the fault, then again; it is paid, and the platform sends its notice."""
    cell.play.fault(cell.fault, "create")
    await cell.told_of_trouble()
    reference = await cell.open()
    assert cell.play.credits == []
    cell.play.pay(reference)
    assert await cell.play.notify(reference) == Done()


async def settling(cell: Cell) -> None:
    """The notice of a payment arrives under the fault, then again."""
    reference = await cell.open()
    cell.play.pay(reference)
    cell.play.fault(cell.fault, "look_up")
    outcome = await cell.play.notify(reference)
    assert isinstance(outcome, Retry), outcome
    assert cell.play.credits == []
    cell.seen.append(f"again in {outcome.delay_s} s")
    cell.play.calm()

    async def done() -> bool:
        return await cell.play.notify(reference, attempt=2) == Done()

    await until(done)


async def reconciling(cell: Cell) -> None:
    """The notice of a payment is lost, and the reconciler asks under the fault, then again."""
    reference = await cell.open()
    cell.play.pay(reference)
    cell.play.billing.clock.advance(timedelta(minutes=1))
    cell.play.fault(cell.fault, "look_up")
    report = await cell.play.billing.reconcile_purchases()
    assert (report.figures["platform_errors"], cell.play.credits) == (1, [])
    cell.seen.append("left open")


async def finding(cell: Cell) -> None:
    """The answer to the create is lost, the reconciler searches under the fault; the caller comes back and pays."""
    cell.play.fault(Fault.LOST_ANSWER, "create")
    assert (await cell.ask()).status_code == 502
    cell.play.calm()
    cell.play.billing.clock.advance(timedelta(minutes=1))
    cell.play.fault(cell.fault, cell.play.find)
    report = await cell.play.billing.reconcile_purchases()
    assert report.figures["platform_errors"] == 1
    assert cell.purchase.status is PurchaseStatus.CREATED
    cell.seen.append("left created")
    cell.play.pay(await cell.open())


async def expiring(cell: Cell) -> None:
    """A payment in the last minute whose notice is lost; the expiry job asks under the fault, then again."""
    reference = await cell.open()
    cell.play.pay(reference)
    cell.play.billing.clock.advance(timedelta(days=3))
    cell.play.fault(cell.fault, "look_up")
    report = await cell.play.billing.expire_purchases()
    assert (report.figures["platform_errors"], report.done) == (1, 0)
    assert cell.purchase.status is PurchaseStatus.PENDING
    cell.seen.append("not expired")


STEPS: tuple[Callable[[Cell], Awaitable[None]], ...] = (creating, settling, reconciling, finding, expiring)

# Asking again does not help against these, until a person has. Stripe's library cannot tell a page for people from an
# answer that broke off.
FINAL = {
    "shopify": {Fault.UNAUTHORIZED, Fault.NO_URL, Fault.HTML_SUCCESS},
    "stripe": {Fault.UNAUTHORIZED, Fault.NO_URL},
}


def _faults_of(step: Callable[[Cell], Awaitable[None]]) -> list[Fault]:
    """Only a create has an address to leave out, and an effect to have before its answer is lost."""
    creates = {Fault.NO_URL, Fault.LOST_ANSWER}
    return [fault for fault in Fault if step is creating or fault not in creates]


async def _played(
    platform: str, step: Callable[[Cell], Awaitable[None]], fault: Fault, at_once: asyncio.Semaphore
) -> str:
    """One cell: the step under its fault, then everything healed and reconciled, then the notice once more."""
    async with at_once, _cell(platform, fault) as cell:
        await step(cell)
        await cell.reconciled()
        reference = str(cell.purchase.platform_reference)
        await cell.play.notify(reference)

        assert cell.play.credits == LARGE, f"{platform}, {step.__name__}, {fault}: {cell.play.credits}"
        assert cell.purchase.status is PurchaseStatus.COMPLETED
        assert len(cell.urls) == 1, f"{platform}, {step.__name__}, {fault}: {cell.urls}"
        return ", ".join([*cell.seen, "1 page, credits once"])


async def until(came: Callable[[], Awaitable[bool]]) -> None:
    """This will try until it comes: a platform that throttled us is to be left alone for a while."""
    async with asyncio.timeout(DEADLINE_S):
        while not await came():  # noqa: ASYNC110 - there is no event: the platform does not tell
            await asyncio.sleep(0.05)


@asynccontextmanager
async def _cell(platform: str, fault: Fault) -> AsyncIterator[Cell]:
    async with PLAYS[platform]() as play, open_door(play.billing, some_settings(platforms=(platform,))) as door:
        yield Cell(play, door, await play.merchant(), fault)


@pytest.mark.parametrize("platform", sorted(PLAYS))
async def test_no_fault_of_a_platform_loses_or_makes_credits(platform: str) -> None:
    """Each fault at each step: the caller is told rightly, one page is handed out, and payment counts once."""
    cells = [(step, fault) for step in STEPS for fault in _faults_of(step)]

    at_once = asyncio.Semaphore(AT_ONCE)
    played = (_played(platform, step, fault, at_once) for step, fault in cells)

    seen = await asyncio.gather(*played, return_exceptions=True)

    for (step, fault), what in zip(cells, seen, strict=True):
        print(f"{platform:8} {step.__name__:12} {fault.value:13} {what!r}")  # noqa: T201 - the matrix, under -s
    assert not [what for what in seen if isinstance(what, BaseException)]


@pytest.mark.parametrize("platform", sorted(PLAYS))
async def test_a_checkout_nobody_was_told_of_lapses_without_a_trace(platform: str) -> None:
    """Its answer was lost and the merchant never came back: the purchase ends unpaid, and nothing is parked."""
    async with _cell(platform, Fault.LOST_ANSWER) as cell:
        cell.play.fault(Fault.LOST_ANSWER, "create")
        await cell.told_of_trouble()
        cell.play.calm()
        cell.play.billing.clock.advance(timedelta(days=4))

        await cell.play.billing.expire_purchases()

        assert cell.purchase.status in (PurchaseStatus.FAILED, PurchaseStatus.EXPIRED)
        assert (cell.urls, cell.play.credits) == (set(), [])
        assert isinstance(cell.purchase.purchase_id, UUID)
