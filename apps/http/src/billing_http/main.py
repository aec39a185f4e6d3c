"""The process: reads the configuration, refuses what must not run, and serves until told to stop."""

import asyncio
import socket
import sys
from contextlib import nullcontext

from billing_adapters.clock import SystemClock
from billing_adapters.garbage import collect_garbage_seldom
from billing_adapters.logs import configure_logs
from billing_adapters.preflight import refuse_another_redaction_key, refuse_unbound_role
from billing_adapters.settings import InvalidConfiguration, Settings, load_settings
from billing_core.errors import BillingError
from billing_http.app import create_app, open_billing
from billing_http.metrics import HttpMetrics
from billing_http.server import DRAIN_S, Server, listening_socket, loop_factory, server_config
from billing_http.state import Drain
from billing_http.tokens import token_verifier


def main() -> int:
    """This will run the HTTP app and return its exit code: 0 after an orderly stop, 1 where it could not start."""
    try:
        settings = load_settings()
        settings.load_price_book()
        token_verifier(settings, SystemClock())
        configure_logs(settings.log_level, app="http")
        return _run(settings)
    except BillingError as wrong:
        sys.stderr.write(f"billing_http: {wrong}\n")
        return 1


def _run(settings: Settings) -> int:
    try:
        listening = listening_socket(settings.host, settings.port)
    except OSError as wrong:
        raise InvalidConfiguration(
            f"cannot listen on {settings.host} port {settings.port}: {wrong.strerror}"
        ) from wrong
    # With port 0 only now is it known how browsers reach us.
    settings = settings.model_copy(update={"port": listening.getsockname()[1]})
    with listening, asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_serve(settings, listening))


async def _serve(settings: Settings, listening: socket.socket) -> int:
    await refuse_unbound_role(settings)
    await refuse_another_redaction_key(settings)
    drain, metrics = Drain(), HttpMetrics()
    # Opened here and not by the app's lifespan: what cannot be opened is told in a sentence, not in a traceback.
    async with open_billing(settings, metrics) as billing:
        app = create_app(settings, lambda _: nullcontext(billing), drain=drain, metrics=metrics)
        server = Server(server_config(app), drain=drain, drain_s=DRAIN_S[settings.env])
        collect_garbage_seldom()
        await server.serve(sockets=[listening])
    return 0
