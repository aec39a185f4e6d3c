"""The acts of the demo, each done from outside: over HTTP, NATS and the command line, never past them."""

import asyncio
import json
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urljoin

import httpx2

from billing_adapters.nats.connection import NatsConnection, open_nats
from billing_adapters.nats.tail import tail
from billing_cli.checkout_form import read_checkout
from billing_cli.demo_screen import DemoScreen
from billing_cli.errors import ServiceFailed
from billing_cli.local_service import LocalService
from billing_cli.newcomer import announce_merchant, wait_until_registered
from billing_cli.tokens import Signer
from billing_core.messages import MERCHANT_CREATED, InboundMessage

MERCHANT_ID, PLATFORM, PACK = "demo-merchant", "sandbox", "large"
SLOW_MOMENTS = 5
EVENT_TIMEOUT_S, HTTP_TIMEOUT_S, COMMAND_TIMEOUT_S = 60.0, 30.0, 60.0
TRIAL_STARTED, CREDITS_PURCHASED, TRIAL_EXPIRED = (
    "evt.billing.trial.started",
    "evt.billing.credits.purchased",
    "evt.billing.trial.expired",
)


class DemoStory:
    """Tells how a merchant comes to its credits."""

    def __init__(self, service: LocalService, screen: DemoScreen, signer: Signer) -> None:
        """This will take the running service, where to show what happens, and who signs the merchant's token."""
        self._service, self._urls, self._screen, self._signer = service, service.urls, screen, signer
        self._events: asyncio.Queue[InboundMessage] = asyncio.Queue()
        self._asked_to_end = False

    async def tell(self) -> None:
        """This will act it all out. Raises ServiceFailed where something does not happen, CancelledError on Ctrl-C."""
        self._listen_to_ctrl_c()
        token = self._signer.sign(
            merchant_id=MERCHANT_ID, platform=PLATFORM, subject="billing-demo", ttl=timedelta(hours=1)
        )
        headers = {"Authorization": f"Bearer {token}", "X-Platform": PLATFORM}
        async with (
            open_nats(self._urls.nats, name="billing-demo") as connection,
            self._listening(connection),
            httpx2.AsyncClient(
                base_url=self._urls.http, headers=headers, timeout=HTTP_TIMEOUT_S, trust_env=False
            ) as http,
        ):
            await self._merchant_arrives()
            trial = await self._trial_starts(http)
            purchase = await self._pack_is_bought(http)
            await self._pay(http, purchase["checkout_url"])
            await self._credits_arrive(http, purchase["id"])
            await self._trial_expires(http, trial)
            await self._sum_up(http)
        self._end_if_asked()

    async def _merchant_arrives(self) -> None:
        self._act("1. A merchant installs the app; another service announces it")
        data = await announce_merchant(self._urls.nats, merchant_id=MERCHANT_ID, platform=PLATFORM)
        self._screen.published(MERCHANT_CREATED, data)
        await wait_until_registered(self._urls.postgres, MERCHANT_ID)
        self._screen.remark("Billing has registered the merchant")

    async def _trial_starts(self, http: httpx2.AsyncClient) -> Mapping[str, Any]:
        self._act("2. The merchant starts its trial")
        trial = await self._call(http, "POST", "/api/billing/trials", 201, ("status", "credits", "ends_at"), body={})
        await self._event(TRIAL_STARTED)
        return trial

    async def _pack_is_bought(self, http: httpx2.AsyncClient) -> Mapping[str, Any]:
        self._act("3. The merchant chooses a credit pack")
        body = {"pack": PACK, "return_url": f"{self._urls.http}/thank-you"}
        shown = ("pack", "credits", "price", "status", "checkout_url")
        purchase = await self._call(http, "POST", "/api/billing/purchases", 201, shown, body=body)
        await self._event("evt.billing.purchase.created")
        return purchase

    async def _pay(self, http: httpx2.AsyncClient, checkout_url: str) -> None:
        self._act("4. The merchant opens the checkout page and presses Pay")
        page = await http.get(checkout_url)
        form = read_checkout(page.text, press="pay")
        self._screen.call(
            "GET", checkout_url, page.status_code, {"page": form.title, "buttons": ", ".join(form.buttons)}
        )
        action = urljoin(str(page.url), form.action)
        paid = await http.post(action, data=dict(form.fields))
        if paid.status_code not in (200, 303):
            raise ServiceFailed(f"POST {action} was answered {paid.status_code}, not 303")
        shown = {"location": paid.headers["location"]} if "location" in paid.headers else {}
        self._screen.call("POST", action, paid.status_code, {"pressed": "pay", **shown})

    async def _credits_arrive(self, http: httpx2.AsyncClient, purchase_id: str) -> None:
        self._act("5. The platform's notice arrives, the platform is asked, the credits are announced")
        await self._event(CREDITS_PURCHASED)
        shown = ("status", "credits", "price", "test", "completed_at")
        await self._call(http, "GET", f"/api/billing/purchases/{purchase_id}", 200, shown)

    async def _trial_expires(self, http: httpx2.AsyncClient, trial: Mapping[str, Any]) -> None:
        later = datetime.fromisoformat(trial["ends_at"]) + timedelta(seconds=1)
        self._act(f"6. {trial['duration_days']} days later (the job is told so) the trial expires")
        await self._command("jobs", "run", "expire-trials", "--now", later.isoformat(timespec="seconds"))
        await self._event(TRIAL_EXPIRED)
        await self._call(http, "GET", "/api/billing/trials", 200, ("status", "credits", "ends_at"))

    async def _sum_up(self, http: httpx2.AsyncClient) -> None:
        answer = await http.get("/api/billing")
        billing = answer.raise_for_status().json()
        purchases = billing["purchases"]
        self._screen.summary(
            {
                "merchant": billing["merchant"]["id"],
                "trial": billing["trial"]["status"],
                "credits_purchased": purchases["credits_purchased"],
                "paid": f"{purchases['last']['price']['currency']} {purchases['last']['price']['amount']}",
                "purchase": purchases["last"]["status"],
            }
        )

    def _act(self, title: str) -> None:
        self._end_if_asked()
        self._screen.act(title)

    def _listen_to_ctrl_c(self) -> None:
        task = asyncio.current_task()

        def ask_to_end() -> None:
            self._asked_to_end = True
            if task is not None:
                task.cancel()

        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # so shells start what runs in the background
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, ask_to_end)

    def _end_if_asked(self) -> None:
        if self._asked_to_end:
            raise asyncio.CancelledError  # Ctrl-C came, and the library that was awaited swallowed it

    # --- how ---------------------------------------------------------------------------------------------------------

    async def _call(
        self,
        http: httpx2.AsyncClient,
        method: str,
        path: str,
        expected: int,
        shown: tuple[str, ...],
        *,
        body: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any]:
        headers = {} if body is None else {"Idempotency-Key": str(uuid.uuid4())}
        answer = await http.request(method, path, json=body, headers=headers)
        for _ in range(SLOW_MOMENTS):  # a 503 decides nothing: every good client asks again, under the same key
            if answer.status_code != 503:
                break
            await asyncio.sleep(int(answer.headers["Retry-After"]))
            answer = await http.request(method, path, json=body, headers=headers)
        document: Mapping[str, Any] = answer.json()
        self._screen.call(method, path, answer.status_code, {name: document.get(name) for name in shown})
        if answer.status_code != expected:
            raise ServiceFailed(f"{method} {path} was answered {answer.status_code}, not {expected}: {answer.text}")
        return document

    async def _event(self, wanted: str) -> None:
        """This will show every event until the wanted one has come."""
        try:
            async with asyncio.timeout(EVENT_TIMEOUT_S):
                subject = ""
                while subject != wanted:
                    message = await self._events.get()
                    subject = message.subject
                    self._screen.received(subject, json.loads(message.body))
        except TimeoutError:
            raise ServiceFailed(f"{wanted} did not come within {EVENT_TIMEOUT_S:.0f} s") from None

    async def _command(self, *arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "billing_cli", *arguments, "--json",
            env=dict(self._service.environment), cwd=self._service.data,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                output, complaint = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode != 0:
            raise ServiceFailed(f"billing {' '.join(arguments)}: {complaint.decode(errors='replace').strip()}")
        self._screen.command(f"billing {' '.join(arguments)}", json.loads(output))

    @asynccontextmanager
    async def _listening(self, connection: NatsConnection) -> AsyncIterator[None]:
        listener = asyncio.create_task(self._listen(connection))
        try:
            yield
        finally:
            while not listener.done():  # one cancel can get lost in `asyncio.wait_for` (Python 3.11), inside nats-py
                listener.cancel()
                await asyncio.wait({listener}, timeout=0.1)
            if not listener.cancelled() and (trouble := listener.exception()):
                raise ServiceFailed(f"the events could not be read: {trouble}") from trouble

    async def _listen(self, connection: NatsConnection) -> None:
        # The stream is new, so an hour back is its beginning: nothing published before this reader is missed.
        async for message in tail(connection, "evt.billing.>", since_s=3600, follow=True):
            await self._events.put(message)
