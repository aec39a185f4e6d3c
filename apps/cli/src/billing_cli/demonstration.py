"""`billing demo`: the main job once, on servers and processes that exist for it alone."""

import asyncio
import secrets
import time
from pathlib import Path

from billing_cli.demo_screen import DemoScreen, JsonScreen, PeoplesScreen
from billing_cli.demo_story import DemoStory
from billing_cli.interrupts import Interrupts
from billing_cli.local_service import LocalService, clean_environment
from billing_cli.quiet import quiet_logs
from billing_cli.temporary_folder import TemporaryFolder
from billing_cli.tokens import Signer


def run_demo(*, json: bool) -> None:
    """This will tell the story and clean up, however it ends. Raises ServiceFailed where an act does not happen."""
    quiet_logs()
    Interrupts()
    started_s = time.monotonic()
    screen: DemoScreen = JsonScreen() if json else PeoplesScreen()
    screen.begin()
    signer = Signer(secret=secrets.token_hex(32), issuer="billing-demo", audience="billing")
    with TemporaryFolder("billing-demo-") as folder, _service(folder, screen, signer) as service:
        screen.servers(service.urls.http, time.monotonic() - started_s)
        try:
            asyncio.run(DemoStory(service, screen, signer).tell())
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        told_s = time.monotonic() - started_s
    screen.end(told_s)


def _service(folder: Path, screen: DemoScreen, signer: Signer) -> LocalService:
    # Whatever is configured here is left alone: the demo neither reads nor touches it.
    environment = {
        **clean_environment(),
        "BILLING_PLATFORMS": "sandbox",
        "BILLING_JWT_SECRET": signer.secret,
        "BILLING_JWT_ISSUER": signer.issuer,
        "BILLING_JWT_AUDIENCE": signer.audience,
        "BILLING_NATS_MANAGE_STREAMS": "on",
    }
    return LocalService(data=folder, configured={}, environment=environment, run_in=folder, port=0, tell=screen.remark)
