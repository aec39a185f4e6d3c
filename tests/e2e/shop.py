"""A shop whose merchants are in every state their billing page can show, on the whole service."""

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import asyncpg
import httpx2
from nats.aio.client import Client
from tests.e2e.conftest import Service, start_service, wait_until

from billing_adapters.platforms.sandbox import sandbox_notice
from billing_adapters.platforms.sandbox_books import SandboxEntry
from billing_core.domain.money import Money
from billing_core.domain.payments import PaymentStatus

PATIENCE_S = 30
# As the built-in catalogue, but for how many purchases may be open: with two, the third pack is refused.
CATALOG = """
version = "shop-1"
default_currency = "USD"
max_open_purchases = 2

[trial]
duration_days = 14
credits = 500

[[packs]]
code = "small"
credits = 100
prices = { USD = "9.99" }

[[packs]]
code = "medium"
credits = 500
prices = { USD = "39.99" }

[[packs]]
code = "large"
credits = 1000
prices = { USD = "69.99" }
"""


class Shop:
    """The service with the sandbox and Stripe, and what its merchants do."""

    def __init__(self, service: Service, stripe_url: str) -> None:
        self.service, self._stripe_url = service, stripe_url
        self.http = service.ready["http"]

    # --- where to look -----------------------------------------------------------------------------------------------

    def page_of(self, merchant_id: str, platform: str = "sandbox") -> str:
        """The address of the merchant's billing page."""
        return f"{self.http}/?{urlencode({'merchant': merchant_id, 'platform': platform})}"

    def receipt_of(self, merchant_id: str, purchase: dict[str, Any]) -> str:
        """The address of the receipt of a purchase."""
        who = urlencode({"merchant": merchant_id, "platform": purchase["platform"]})
        return f"{self.http}/development/receipts/{purchase['id']}?{who}"

    # --- what merchants do -------------------------------------------------------------------------------------------

    def merchant(self, name: str, platform: str = "sandbox") -> str:
        """A new merchant, announced and registered."""
        merchant_id = f"{name}-{uuid.uuid4().hex[:6]}"
        who = {"merchant": merchant_id, "platform": platform}
        assert httpx2.post(f"{self.http}/development/merchants", data=who).status_code == 303

        def is_known() -> bool:
            return self._ask(merchant_id, platform, "GET", "/api/billing").status_code == 200

        wait_until(is_known, within_s=PATIENCE_S, what=f"{merchant_id} is registered")
        return merchant_id

    def start_trial(self, merchant_id: str, platform: str = "sandbox", *, days_ago: int = 0) -> None:
        """This will start the merchant's trial, as if it had been so many days ago."""
        assert self._ask(merchant_id, platform, "POST", "/api/billing/trials", {}).status_code == 201
        if days_ago:
            self._execute(
                "update trials set started_at = started_at - $2 * interval '1 day',"
                " ends_at = ends_at - $2 * interval '1 day' where merchant_id = $1",
                merchant_id,
                days_ago,
            )

    def buy(self, merchant_id: str, pack: str, platform: str = "sandbox") -> dict[str, Any]:
        """This will open a purchase."""
        body = {"pack": pack, "return_url": self.page_of(merchant_id, platform)}
        answer = self._ask(merchant_id, platform, "POST", "/api/billing/purchases", body)
        assert answer.status_code == 201, answer.text
        purchase: dict[str, Any] = answer.json()
        return purchase

    def decide(self, purchase: dict[str, Any], action: str, status: str) -> None:
        """This will press a button of the sandbox's checkout, and wait until the purchase stands like that."""
        answer = httpx2.post(purchase["checkout_url"], data={"action": action})
        assert answer.status_code == 303
        self._becomes(purchase, status=status)

    def pay_by_stripe(
        self, purchase: dict[str, Any], becomes: str, *, refund_minor: int = 0, dispute: bool = False
    ) -> None:
        """This will pay at Stripe's checkout, give some of it back or dispute it, and wait until Billing was told."""
        reference = purchase["platform_reference"]
        self._play("pay", reference=reference)
        if refund_minor:
            self._play("refund", reference=reference, amount_minor=refund_minor)
        if dispute:
            self._play("dispute", reference=reference, status="needs_response")
        self._notify("stripe", self._play("event", reference=reference, type="checkout.session.completed"))
        self._becomes(purchase, status=becomes)

    def pay_another_amount(self, purchase: dict[str, Any]) -> None:
        """This will have the sandbox tell of a payment of five dollars, which a person must look at."""
        entry = SandboxEntry(
            reference=purchase["platform_reference"],
            status=PaymentStatus.PAID,
            platform_account_id=purchase["merchant_id"],
            price=Money(amount_minor=500, currency="USD"),
        )
        self._execute(
            "insert into sandbox_payments (reference, status, amount_minor, currency, platform_account_id, occurred_at)"
            " values ($1, $2, $3, $4, $5, now())",
            entry.reference,
            entry.status,
            entry.price.amount_minor,
            entry.price.currency,
            entry.platform_account_id,
        )
        self._notify("sandbox", sandbox_notice(entry))
        self._becomes(purchase, needs_review=True)

    def read(self, purchase: dict[str, Any]) -> dict[str, Any]:
        """The purchase as it stands."""
        path = f"/api/billing/purchases/{purchase['id']}"
        answer: dict[str, Any] = self._ask(purchase["merchant_id"], purchase["platform"], "GET", path).json()
        return answer

    def _becomes(self, purchase: dict[str, Any], **values: Any) -> None:
        def stands_so() -> bool:
            return values.items() <= self.read(purchase).items()

        wait_until(stands_so, within_s=PATIENCE_S, what=f"the purchase has {values}")

    def _ask(self, merchant_id: str, platform: str, method: str, path: str, body: Any = None) -> httpx2.Response:
        who = {"merchant": merchant_id, "platform": platform}
        token = httpx2.get(f"{self.http}/development/token", params=who).json()["token"]
        headers = {"Authorization": f"Bearer {token}", "X-Platform": platform, "Idempotency-Key": str(uuid.uuid4())}
        return httpx2.request(method, f"{self.http}{path}", headers=headers, json=body)

    def _play(self, verb: str, **arguments: Any) -> Any:
        answer = httpx2.post(f"{self._stripe_url}/_control/{verb}", json=arguments)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def _notify(self, platform: str, payload: dict[str, Any]) -> None:
        """This will relay a platform's notice as a webhook service does."""
        data = {"platform": platform, "delivery_id": str(uuid.uuid4()), "topic": payload["type"], "payload": payload}
        url, body = self.service.environment["BILLING_NATS_URL"], json.dumps(data).encode()
        _run(_published(url, "evt.webhook.app.purchase_updated", body))

    def _execute(self, statement: str, *arguments: Any) -> None:
        done = _run(_executed(self.service.environment["BILLING_DATABASE_URL"], statement, arguments))
        assert done.endswith(" 1"), done


T = TypeVar("T")


def _run(work: Coroutine[Any, Any, T]) -> T:
    """This will run it on a thread of its own: Playwright has a loop running on ours."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _executed(url: str, statement: str, arguments: tuple[Any, ...]) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.execute(statement, *arguments))
    finally:
        await connection.close()


async def _published(url: str, subject: str, body: bytes) -> None:
    client = Client()
    await client.connect(url)
    try:
        await client.jetstream().publish(subject, body, headers={"Nats-Msg-Id": str(uuid.uuid4())})
    finally:
        await client.close()


@contextmanager
def a_shop(folder: Path) -> Iterator[Shop]:
    """The shop, on a service of its own, until the end of the block."""
    catalog = folder / "catalog.toml"
    catalog.write_text(CATALOG)
    command = [sys.executable, "-m", "billing_adapters.stand_ins", "stripe", "--port", "0"]
    stripe = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert stripe.stdout is not None
        stripe_url: str = json.loads(stripe.stdout.readline())["stripe"]
        running = start_service(
            folder,
            BILLING_PLATFORMS="sandbox,stripe",
            BILLING_STRIPE_BASE_URL=stripe_url,
            BILLING_STRIPE_SECRET_KEY="sk_test_sample",
            BILLING_CATALOG=str(catalog),
        )
        for service in running:
            yield Shop(service, stripe_url)
    finally:
        stripe.terminate()
        stripe.communicate(timeout=30)
