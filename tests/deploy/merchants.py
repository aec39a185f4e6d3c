"""One merchant's main job, on processes that a deployment file has started."""

import asyncio
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2
from tests.deploy.stacks import wait_until
from tests.deploy.workloads import Machine

from billing_adapters.nats.connection import open_nats
from billing_adapters.nats.streams import ensure_streams
from billing_cli.checkout_form import read_checkout
from billing_cli.newcomer import announce_merchant
from billing_cli.tokens import Signer

MERCHANT = "m-1"


class Merchant:
    """Somebody who is announced, asks with a token, and pays."""

    def __init__(self, base_url: str, *, platform: str, secret: str, environment: Mapping[str, str]) -> None:
        """This will take where HTTP is, and what tokens are signed with there."""
        self._platform = platform
        signer = Signer(
            secret=secret.strip(),
            issuer=environment.get("BILLING_JWT_ISSUER") or "billing-development",
            audience=environment.get("BILLING_JWT_AUDIENCE") or "billing",
        )
        token = signer.sign(merchant_id=MERCHANT, platform=platform, subject="tests", ttl=timedelta(hours=1))
        headers = {"Authorization": f"Bearer {token}", "X-Platform": platform}
        self.http = httpx2.Client(base_url=base_url, timeout=30, headers=headers)

    def arrives(self, machine: Machine) -> None:
        """This will announce it as the service does whose stream that is, and wait until Billing knows it."""
        asyncio.run(announce_merchant(url_of_others(machine), merchant_id=MERCHANT, platform=self._platform))
        wait_until(lambda: self.http.get("/api/billing").status_code == 200, "the merchant is known")

    def starts_its_trial(self) -> None:
        """This will start it, and find it running."""
        self._post("/api/billing/trials", {})
        assert self.http.get("/api/billing").json()["trial"]["status"] == "active"

    def buys(self) -> None:
        """This will buy a pack, pay for it on the sandbox, and wait for the credits."""
        purchase = self._post("/api/billing/purchases", {"pack": "large", "return_url": "https://shop.example/back"})
        checkout = purchase["checkout_url"]
        assert urlsplit(checkout).netloc == self.http.base_url.netloc.decode()
        page = self.http.get(checkout)
        form = read_checkout(page.text, press="pay")
        paid = self.http.post(urljoin(str(page.url), form.action), data=dict(form.fields))
        assert paid.status_code in (200, 303), paid.text
        path = f"/api/billing/purchases/{purchase['id']}"
        wait_until(lambda: self.http.get(path).json()["status"] == "completed", "the purchase is completed")

    def _post(self, path: str, body: Any) -> Any:
        answer = self.http.post(path, json=body, headers={"Idempotency-Key": uuid.uuid4().hex})
        assert answer.status_code in (200, 201), answer.text
        return answer.json()


def make_streams_of_others(machine: Machine) -> None:
    """This will make what the services around Billing make."""

    async def work() -> None:
        async with open_nats(url_of_others(machine), name="another service") as connection:
            await ensure_streams(connection, manage_all=True)

    asyncio.run(work())


def url_of_others(machine: Machine) -> str:
    """Where the services around Billing come to NATS."""
    return machine.here(machine.secrets["nats-url-others"]).strip()
