"""What `billing doctor` looks at, one small check after the other; a check that fails never hides the next."""

from collections.abc import Sequence

from billing_adapters.nats.permissions import ADMIN
from billing_adapters.postgres.patience import PROMPT
from billing_adapters.resources import nats_user_of, open_resources
from billing_adapters.settings import DEVELOPMENT_SECRET, InvalidConfiguration, Settings, load_settings
from billing_cli.findings import Finding, fail, ok, warn
from billing_cli.nats_examination import examine_nats
from billing_cli.postgres_examination import examine_postgres
from billing_cli.quiet import quiet_logs
from billing_cli.redis_examination import examine_redis
from billing_core.errors import InvalidCatalog


async def examine(process: str) -> Sequence[Finding]:
    """This will check everything a deployment needs, coming to NATS as `process`: http, worker, cli or admin. Never
    raises for what it looks for: that is a finding."""
    quiet_logs()
    try:
        settings = load_settings()
    except InvalidConfiguration as wrong:
        return [fail("configuration", str(wrong), "Mend the variables named; `.env.example` lists them all.")]
    findings = [_configuration(settings), _catalogue(settings), *_platforms(settings)]
    try:
        user = ADMIN if process == "admin" else nats_user_of(settings, process)
        async with open_resources(
            settings, app="doctor", patience=PROMPT, every_merchant=True, nats_user=user
        ) as resources:
            findings += await examine_postgres(resources.database, settings)
            findings += await examine_redis(resources.redis, settings)
            findings += await examine_nats(resources.nats, settings, user)
    except InvalidConfiguration as wrong:
        findings.append(fail("configuration", str(wrong), "Mend the variable named."))
    return findings


def _configuration(settings: Settings) -> Finding:
    if settings.signing_secret() == DEVELOPMENT_SECRET:
        remedy = "Fine for development only: everybody knows it. Set BILLING_JWT_SECRET."
        return warn("configuration", f"{settings.env}; tokens are signed with the sample secret", remedy)
    return ok("configuration", f"{settings.env}; platforms {', '.join(settings.platforms)}")


def _catalogue(settings: Settings) -> Finding:
    try:
        price_book = settings.load_price_book()
    except InvalidCatalog as wrong:
        return fail("catalogue", str(wrong), "Mend the entry named, or unset BILLING_CATALOG.")
    names = ", ".join(catalog.version for catalog in price_book.versions)
    return ok("catalogue", f"{settings.catalog or 'built in'}: {names}")


def _platforms(settings: Settings) -> Sequence[Finding]:
    given = {
        "shopify": (settings.shopify_token_url or settings.shopify_access_token, settings.shopify_client_secret),
        "stripe": (settings.stripe_secret_key, settings.stripe_webhook_secret),
    }
    variables = {
        "shopify": ("BILLING_SHOPIFY_TOKEN_URL or BILLING_SHOPIFY_ACCESS_TOKEN", "BILLING_SHOPIFY_CLIENT_SECRET"),
        "stripe": ("BILLING_STRIPE_SECRET_KEY", "BILLING_STRIPE_WEBHOOK_SECRET"),
    }
    findings = []
    for name in (each for each in settings.platforms if each in given):
        credentials, webhook_secret = given[name]
        if credentials is None:
            findings.append(fail(name, "no credentials: every call is refused", f"Set {variables[name][0]}."))
        elif settings.webhook_door and webhook_secret is None:
            findings.append(warn(name, "its webhook door is closed: no secret", f"Set {variables[name][1]}."))
        else:
            findings.append(ok(name, "credentials are set"))
    return findings
