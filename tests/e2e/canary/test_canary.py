"""No secret is told: not in a log, an answer, a metric, a command, or the title of a process, whatever happens."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
import redis
from tests.e2e.canary.acts import ACTS, merchants_arrive
from tests.e2e.canary.canaries import Canaries, in_files, secret_settings, settings_that_are_secrets
from tests.e2e.canary.mirror import mirror
from tests.e2e.canary.world import World, alive, environment_of

from billing_adapters.settings import Settings

if TYPE_CHECKING:
    from billing_adapters.embedded import EmbeddedServers

# A public key is for everybody.
# Public keys, and the seed of a key: with one beside it, the login of the URL, which is a canary, would not be used.
NO_SECRETS = {"BILLING_JWT_PUBLIC_KEY", "BILLING_JWT_PUBLIC_KEY_PREVIOUS", "BILLING_NATS_NKEY_SEED"}
# Addresses that tests put in the place of the platforms', and our own.
NO_ROOM_FOR_SECRETS = {
    "BILLING_PUBLIC_URL",
    "BILLING_SHOPIFY_BASE_URL",
    "BILLING_SHOPIFY_PARTNER_BASE_URL",
    "BILLING_STRIPE_BASE_URL",
}


@pytest.fixture(scope="module")
def world(
    servers: "EmbeddedServers", _tidied: Any, _wait_for: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """The service with a canary for each secret, half of them in files, at its most talkative."""
    _wait_for(_tidied.tidy())
    with redis.Redis.from_url(str(servers.urls.redis)) as client:
        client.flushall()
    urls = {"database": _tidied.url, "redis": str(servers.urls.redis), "nats": str(servers.urls.nats)}
    canaries, folder = Canaries(), tmp_path_factory.mktemp("canary")
    with mirror() as platforms:
        platforms.shop_token = canaries.new("a shop's token", "shpat_{}")
        settings = secret_settings(canaries, platforms=platforms.url, urls=urls)
        environment = environment_of(in_files(settings, folder), platforms.url)
        waiting = World(canaries, servers, platforms, folder, settings, environment)
        with alive(waiting) as living:
            merchants_arrive(living)
            yield living


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_no_secret_is_told(world: World, act: Callable[[World], None]) -> None:
    """Whatever happens, nothing of what anybody can read has any of the secrets in it."""
    act(world)

    assert world.canaries.told_by(world.everything()) == []


def test_every_secret_setting_has_a_canary() -> None:
    """A new setting that is a secret, or an address with room for one, is part of this."""
    given = secret_settings(
        Canaries(), platforms="http://127.0.0.1", urls=dict.fromkeys(("database", "redis", "nats"), "")
    )
    addresses = {f"BILLING_{name.upper()}" for name in Settings.model_fields if name.endswith(("_url", "_endpoint"))}

    assert set(settings_that_are_secrets()) - NO_SECRETS <= given.keys()
    assert addresses - NO_ROOM_FOR_SECRETS <= given.keys()


def test_a_canary_that_is_told_is_seen() -> None:
    """Whoever tells one is named, and what."""
    canaries = Canaries()
    secret = canaries.new("key", "sk_{}")

    assert canaries.told_by([("the log", f"nothing\nthe {secret} is wrong"), ("an answer", "nothing")]) == [
        "the log tells key"
    ]
