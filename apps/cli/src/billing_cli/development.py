"""`billing up`: the whole service for a developer, with a merchant and a token to begin with."""

import asyncio
import os
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from billing_adapters.nats.access import NatsAccess
from billing_adapters.nats.permissions import CLI
from billing_adapters.settings import Settings, load_settings
from billing_cli.errors import NotForProduction
from billing_cli.interrupts import Interrupts
from billing_cli.local_service import URL_VARIABLES, LocalService
from billing_cli.newcomer import announce_merchant, wait_until_registered
from billing_cli.quiet import quiet_logs
from billing_cli.terminal import print_json, print_lines, say
from billing_cli.tokens import Signer

MERCHANT_ID = "dev-merchant"
TOKEN_TTL = timedelta(hours=24)
LOOK_EVERY_S = 0.1


def run_up(*, data: Path, port: int, json: bool) -> None:
    """This will run everything until Ctrl-C or SIGTERM, which is its good end.

    Raises NotForProduction, InvalidConfiguration, and whatever LocalService refuses.
    """
    settings = load_settings()
    if settings.env == "production":
        raise NotForProduction(
            "`billing up` is for development. Run python -m billing_http and python -m billing_worker."
        )
    quiet_logs()
    interrupts = Interrupts()
    with suppress(KeyboardInterrupt):  # that is how it ends well
        _run(data, port, settings, interrupts, json=json)
    say("billing up: stopped")


def _run(data: Path, port: int, settings: Settings, interrupts: Interrupts, *, json: bool) -> None:
    service = LocalService(
        data=data,
        configured=_configured_urls(settings),
        environment=_environment(settings),
        run_in=Path.cwd(),
        port=port,
        host=settings.host,
        tell=lambda what: say(f"billing up: {what}"),
    )
    if not json:
        say("Starting Postgres, Redis, NATS, HTTP and a worker …")
    with service:
        _welcome(service, settings, json=json)
        while not interrupts.asked_to_end:
            time.sleep(LOOK_EVERY_S)
            service.look_after()


def _configured_urls(settings: Settings) -> dict[str, str]:
    fields = {"postgres": "database_url", "redis": "redis_url", "nats": "nats_url"}
    return {
        name: getattr(settings, field).get_secret_value()
        for name, field in fields.items()
        if field in settings.model_fields_set
    }


def _environment(settings: Settings) -> dict[str, str]:
    """The environment of the apps: ours, and what development switches on unless it is configured otherwise."""
    defaults = {"docs": "on", "development_page": "on", "nats_manage_streams": "on"}
    wanted = {field: value for field, value in defaults.items() if field not in settings.model_fields_set}
    if settings.public_url is not None:
        wanted["public_url"] = settings.public_url
    return {**os.environ, **{f"BILLING_{field.upper()}": value for field, value in wanted.items()}}


def _welcome(service: LocalService, settings: Settings, *, json: bool) -> None:
    platform = "sandbox" if "sandbox" in settings.platforms else settings.platforms[0]
    asyncio.run(_make_merchant(service, settings, platform))
    token = None
    if settings.signing_secret() is not None:
        signer = Signer.of(settings)
        token = signer.sign(merchant_id=MERCHANT_ID, platform=platform, subject="billing-up", ttl=TOKEN_TTL)
    urls = service.urls
    if json:
        ready = {"http": urls.http, "postgres": urls.postgres, "redis": urls.redis, "nats": urls.nats}
        print_json({**ready, "token": token, "merchant_id": MERCHANT_ID})
    else:
        print_lines(*_banner(service, platform, token))


async def _make_merchant(service: LocalService, settings: Settings, platform: str) -> None:
    access = NatsAccess.of(settings, CLI)
    await announce_merchant(service.urls.nats, merchant_id=MERCHANT_ID, platform=platform, access=access)
    await wait_until_registered(service.urls.postgres, MERCHANT_ID)


def _banner(service: LocalService, platform: str, token: str | None) -> tuple[str, ...]:
    urls = service.urls
    exports = [f"  export {variable}='{getattr(urls, name)}'" for name, variable in URL_VARIABLES.items()]
    call = (
        f"  curl -H 'Authorization: Bearer {token}' -H 'X-Platform: {platform}' {urls.http}/api/billing"
        if token
        else "  (tokens are verified with a public key here: ask their issuer for one)"
    )
    return (
        "",
        f"Billing is up at {urls.http}",
        f"  a page to try it     {urls.http}/",
        f"  the API's reference  {urls.http}/docs",
        f"  logs and data        {service.data}",
        "",
        f"Merchant {MERCHANT_ID} on {platform}; its token is good for 24 hours:",
        call,
        "",
        "Let other programs, and `billing` itself, reach the same servers:",
        *exports,
        "",
        "Ctrl-C stops everything.",
    )
