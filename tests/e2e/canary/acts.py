"""What happens in the world of the canaries: good days and bad ones."""

import json
from typing import Any
from urllib.parse import urlsplit

import httpx2
from tests.adapters.platforms.stripe.account import a_session
from tests.e2e.canary.mirror import MOODS, PLAYING_WELL
from tests.e2e.canary.world import ACCOUNTS, PATIENCE_S, World
from tests.e2e.conftest import wait_until
from tests.hostile.malformed_events import CHARGE, EVENT

PURCHASES = "/api/billing/purchases"


def merchants_arrive(world: World) -> None:
    """Merchants are announced with an address that nobody needs, some of them wrongly."""
    for platform, account in ACCOUNTS.items():
        announced = {
            "merchant_id": f"merchant-{platform}",
            "platform": platform,
            "platform_account_id": account,
            "platform_domain": "shop-1.myshopify.com",
            "email": world.canaries.new("e-mail of a merchant", "{}@shop.example"),
            "owner": {"name": world.canaries.new("name of a merchant")},
        }
        for wrong in ({}, {"merchant_id": None}, {"platform": "paypal"}, {"platform_account_id": [announced["email"]]}):
            world.publish("evt.merchant.created", json.dumps(announced | wrong).encode())
    world.publish("evt.merchant.created", b"{" + world.canaries.new("an event that is no JSON").encode())

    def all_are_known() -> bool:
        answers = [world.request("GET", "/api/billing", platform=platform) for platform in ACCOUNTS]
        return all(answer.status_code == 200 for answer in answers)

    wait_until(all_are_known, within_s=PATIENCE_S, what="every merchant is known")


def callers(world: World) -> None:
    """Good requests, and bad ones with something in every place that nobody should repeat."""
    assert world.request("POST", "/api/billing/trials", json={}).status_code in (201, 409)
    assert world.buy("sandbox").status_code in (200, 201)
    for path in ("/api/billing", PURCHASES, "/api/billing/packs", "/health", "/openapi.json", "/docs"):
        assert world.request("GET", path).status_code == 200
    bodies: tuple[Any, ...] = (
        {"pack": world.canaries.new("pack"), "return_url": "https://shop.example/"},
        {"pack": "large", "return_url": world.canaries.new("user of a return URL", "https://u:{}@shop.example/")},
        {"pack": "large", "return_url": [world.canaries.new("list for a return URL")]},
        {"pack": "large", "return_url": "https://shop.example/", "currency": world.canaries.new("currency")},
        {"pack": "large", "return_url": "https://shop.example/", "card": world.canaries.new("a field nobody knows")},
    )
    for body in bodies:
        assert world.request("POST", PURCHASES, json=body).status_code == 400
    garbage = world.canaries.new("a body that is no JSON", '{{"pack": "{}').encode()
    assert world.request("POST", PURCHASES, content=garbage).status_code == 415
    json_type = {"Content-Type": "application/json"}
    assert world.request("POST", PURCHASES, content=garbage, headers=json_type).status_code == 400
    assert world.request("GET", f"{PURCHASES}?cursor={world.canaries.new('cursor')}").status_code == 400
    assert world.request("GET", f"{PURCHASES}?status={world.canaries.new('status')}").status_code == 400
    assert world.request("GET", "/api/billing", headers={"Cookie": world.canaries.new("cookie", "s={}")}).is_success
    key = world.canaries.new("idempotency key")
    for pack in ("small", "medium"):
        wanted = {"pack": pack, "return_url": "https://shop.example/"}
        world.request("POST", PURCHASES, json=wanted, headers={"Idempotency-Key": key})
    _with_bad_tokens(world)


def _with_bad_tokens(world: World) -> None:
    tokens = (
        world.token("sandbox", exp=1),
        world.token("sandbox", aud="other"),
        world.token("sandbox", merchant_id=world.canaries.new("merchant of a token", "{} !")),
        "eyJhbGciOiJSUzI1NiIsImtpZCI6Im5ldyJ9.e30." + world.canaries.new("signature of nobody's token"),
        world.canaries.new("a token that is none"),
    )
    for token in tokens:
        answer = world.request("GET", "/api/billing", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code in (401, 503)
    for authorization in (world.canaries.new("another scheme", "Basic {}"), world.canaries.new("no scheme")):
        assert world.request("GET", "/api/billing", headers={"Authorization": authorization}).status_code == 401


def webhooks(world: World) -> None:
    """Webhooks under each secret, under none, and of things nobody understands."""
    payer = {"email": world.canaries.new("e-mail of a payer", "{}@payer.example")}
    bodies = {
        "shopify": {"app_purchase_one_time": CHARGE, "customer": payer},
        "stripe": EVENT | {"data": {"object": a_session(customer_details=payer, client_reference_id="x")}},
    }
    for platform, variable in (("shopify", "SHOPIFY_CLIENT_SECRET"), ("stripe", "STRIPE_WEBHOOK_SECRET")):
        body = json.dumps(bodies[platform]).encode()
        for name in (f"BILLING_{variable}", f"BILLING_{variable}_PREVIOUS"):
            assert world.webhook(platform, body, world.settings[name]).status_code == 200
        assert world.webhook(platform, body, "another").status_code == 401
        assert world.webhook(platform, b"[" + body, world.settings[f"BILLING_{variable}"]).status_code == 400
        assert world.webhook(platform, b'{"x":' + body + b"}", world.settings[f"BILLING_{variable}"]).is_success


def platforms(world: World) -> None:
    """Platforms that answer with everything they were sent, in every way they have."""
    packs = iter(["small", "medium", "large"] * len(MOODS))
    for mood in MOODS:
        world.mirror.mood = mood
        for platform in ("shopify", "stripe"):
            assert world.buy(platform, next(packs)).status_code in (200, 502)
    world.billing("purchases reconcile --all-open --dry-run", "jobs run follow-refunds")
    world.mirror.mood = PLAYING_WELL
    for platform in ("shopify", "stripe"):
        assert world.buy(platform).status_code in (200, 201, 409)
    world.billing("purchases reconcile --all-open", "jobs run follow-refunds")
    seen = world.canaries.seen_in("\n".join(world.mirror.seen))
    assert {"a shop's token", "shopify_token_url", "shopify_partner_token", "stripe_secret_key", "return URL"} <= seen


def outages(world: World) -> None:
    """Each server is killed, asked for, and back."""
    for name in ("postgres", "redis", "nats"):
        world.servers.kill_server(name)
        try:
            answers = [world.buy("sandbox"), world.request("GET", "/health")]
            world.billing("doctor", "merchants show merchant-sandbox", "events tail --since 1h --no-follow")
        finally:
            world.servers.start_server(name)
        assert answers[0].status_code == 503 or name != "postgres"
        wait_until(
            lambda: httpx2.get(f"{world.url}/health").json()["status"] == "ok", within_s=PATIENCE_S, what="all is well"
        )


def errors_of_sql(world: World) -> None:
    """Rows that Postgres refuses, and tells of with everything in them: for a request, and for a worker."""
    world.sql("alter table purchases add constraint canary check (return_url not like '%canary%') not valid")
    world.sql("alter table merchants add constraint canary check (merchant_id <> 'merchant-refused') not valid")
    try:
        world.request("POST", "/api/billing/purchases", json=None)
        refused = world.buy("sandbox", "medium", return_url=world.canaries.new("a refused row", "https://a.example/{}"))
        domain = world.canaries.new("a refused merchant's domain", "{}.example")
        announced = {"merchant_id": "merchant-refused", "platform": "sandbox", "platform_domain": domain}
        world.publish("evt.merchant.created", json.dumps(announced).encode())
        wait_until(lambda: "InvariantRefused" in world.log("worker"), within_s=PATIENCE_S, what="the worker is refused")
    finally:
        world.sql("alter table purchases drop constraint canary")
        world.sql("alter table merchants drop constraint canary")
    assert refused.status_code == 500
    assert "InvariantRefused" in world.log("http")


def wrong_passwords(world: World) -> None:
    """Every server refuses the password; two processes and a command say so."""
    wrong = {
        f"BILLING_{name.upper()}_URL": world.settings[f"BILLING_{name.upper()}_URL"].replace(
            _password(world, name), world.canaries.new(f"wrong password of {name}")
        )
        for name in ("database", "redis", "nats")
    }
    given = {**{f"{name}_FILE": "" for name in wrong}, **wrong, "BILLING_PORT": "0"}
    commands = [("billing_cli", each.split(), given) for each in ("doctor", "merchants show merchant-sandbox")]
    with (
        world.running("billing_http", "http-refused", **given),
        world.running("billing_worker", "worker-refused", **given, BILLING_WORKER_METRICS_PORT="0"),
    ):
        assert [code for code, _ in world.run(commands)] == [1, 1]
        logs = ("http-refused", "worker-refused")
        wait_until(
            lambda: all("BROKER_DENIED" in world.log(name) or "NKEY_SEED" in world.log(name) for name in logs),
            within_s=PATIENCE_S,
            what="NATS refuses",
        )


def _password(world: World, name: str) -> str:
    parts = urlsplit(world.settings[f"BILLING_{name.upper()}_URL"])
    return str(parts.password or parts.username)


def wrong_settings(world: World) -> None:
    """Settings whose values are none, each with a secret in it: whoever is started says what to mend."""
    new = world.canaries.new
    wrong = {
        "BILLING_DATABASE_URL": (
            new("a database URL without a scheme"),
            new("half a password", "postgresql://u:p/{}@127.0.0.1/d"),
            new("half a password with a mark", "postgresql://u:{}?x@127.0.0.1/d"),
            new("password of another database", "mysql://u:{}@127.0.0.1/d"),
        ),
        "BILLING_REDIS_URL": (
            new("a Redis URL without a scheme"),
            new("half a password of Redis", "redis://:{}/x@127.0.0.1"),
            new("password in the place of the port", "redis://127.0.0.1:{}"),
        ),
        "BILLING_NATS_URL": (
            new("a NATS URL without a scheme"),
            new("half a token of NATS", "nats://{}/x@127.0.0.1"),
            new("password in the place of NATS' port", "nats://127.0.0.1:{}"),
        ),
        "BILLING_JWT_PUBLIC_KEY": (
            new("a path that is none"),
            new("a public key that is none", "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----"),
        ),
        "BILLING_JWT_JWKS_URL": (new("an issuer's password", "http://u:{}@issuer.example/keys"),),
        "BILLING_STRIPE_SECRET_KEY": (new("a publishable key", "pk_live_{}"),),
        "BILLING_SHOPIFY_ACCESS_TOKEN": (new("a token with a space", "shpat {}"),),
        "BILLING_SHOPIFY_TOKEN_URL": (new("a token service's password", "https://u:{}@127.0.0.1/token"),),
        "BILLING_SHOPIFY_PARTNER_TOKEN": (new("a partner's token with a space", "prtapi {}"),),
        "BILLING_PORT": (new("a port"),),
        "BILLING_ENV": (new("an environment"),),
    }
    in_files = {f"{variable}_FILE": (new(f"{variable} for a file's name"),) for variable in wrong}
    starts = [
        _alone(variable) | {variable: value} for variable, values in (wrong | in_files).items() for value in values
    ]
    starts.append({"BILLING_ENV": "production"})
    ended = world.run([("billing_http", (), {"BILLING_PORT": "0", **start}) for start in starts])
    assert [code for code, _ in ended] == [1] * len(starts)
    world.run([("billing_cli", each.split(), start) for start in starts for each in ("config show", "db current")])


def _alone(variable: str) -> dict[str, str]:
    """Nothing in the place of what else would be taken for it."""
    name = variable.removesuffix("_FILE")
    instead = {"BILLING_SHOPIFY_ACCESS_TOKEN": "BILLING_SHOPIFY_TOKEN_URL"}.get(name, name)
    return {each: "" for one in (name, instead) for each in (one, f"{one}_FILE")}


def operators(world: World) -> None:
    """Everything an operator looks at."""
    shown, *_, unknown = world.billing(
        "config show --json",
        "config show",
        "doctor",
        "doctor --json",
        "merchants show merchant-sandbox",
        "purchases list",
        "parked list",
        "events tail --since 1h --no-follow",
        "report sales",
        "merchants show nobody",
        "jobs list",
        "no-such-command",
    ).values()

    settings = json.loads(shown[1])
    assert all("********" in settings[name]["value"] for name in world.settings)
    assert unknown[0] == 2


ACTS = (callers, webhooks, platforms, outages, errors_of_sql, wrong_passwords, wrong_settings, operators)
