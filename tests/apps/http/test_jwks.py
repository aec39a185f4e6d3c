"""Published keys: fetched seldom, kept when the issuer is away, never fetched because a token says so."""

import asyncio
import json
from typing import Any

import pytest
from joserfc.jwk import ECKey

from billing_adapters.settings import InvalidConfiguration
from billing_http.jwks import COOLDOWN_S, FRESH_FOR_S, FetchError, PublishedKeys, published_keys
from billing_http.keys import jwk_keys
from billing_http.refusals import KeysUnavailable

ONE, TWO = ECKey.generate_key("P-256", {"kid": "one"}), ECKey.generate_key("P-256", {"kid": "two"})


class Issuer:
    """Publishes keys, and counts how often it is asked."""

    def __init__(self, *keys: ECKey) -> None:
        self.keys, self.asked, self.is_down, self.now_s = list(keys), 0, False, 1000.0

    async def fetch(self, url: str) -> bytes:
        """The key set, or a failure."""
        self.asked += 1
        await asyncio.sleep(0)
        if self.is_down:
            raise FetchError("away")
        return json.dumps({"keys": [key.as_dict(private=False) for key in self.keys]}).encode()

    def published(self) -> PublishedKeys:
        """Its keys as we see them."""
        return PublishedKeys("https://issuer.example/keys", fetch=self.fetch, monotonic_s=lambda: self.now_s)


async def test_one_fetch_serves_many() -> None:
    """Any number of tokens at once have the set fetched once."""
    issuer = Issuer(ONE)
    keys = issuer.published()

    found = await asyncio.gather(*(keys.find("ES256", "one") for _ in range(50)))

    assert all(found)
    assert issuer.asked == 1


async def test_unknown_ids_do_not_flood_the_issuer() -> None:
    """Key ids that are not there have the set fetched at most every 30 s; one published since is found after that."""
    issuer = Issuer(ONE)
    keys = issuer.published()
    await keys.find("ES256", "one")

    made_up = [await keys.find("ES256", f"made-up-{number}") for number in range(100)]
    issuer.keys.append(TWO)
    early, asked_early = await keys.find("ES256", "two"), issuer.asked
    issuer.now_s += COOLDOWN_S

    assert (any(made_up), early, asked_early) == (False, None, 2)
    assert await keys.find("ES256", "two")
    assert issuer.asked == 3


async def test_a_new_key_is_found_at_once() -> None:
    """A key published a moment after the set was fetched is found by the first tokens that name it, in one fetch."""
    issuer = Issuer(ONE)
    keys = issuer.published()
    await keys.find("ES256", "one")
    issuer.keys.append(TWO)

    found = await asyncio.gather(*(keys.find("ES256", "two") for _ in range(10)))

    assert all(found)
    assert issuer.asked == 2


async def test_the_last_good_set_is_kept() -> None:
    """While the issuer is away known keys go on working."""
    issuer = Issuer(ONE)
    keys = issuer.published()
    await keys.find("ES256", "one")
    issuer.is_down, issuer.now_s = True, issuer.now_s + FRESH_FOR_S

    first = await keys.find("ES256", "one")
    await asyncio.sleep(0.01)

    assert first
    assert await keys.find("ES256", "one")
    assert issuer.asked == 2


async def test_before_the_first_set_nothing_can_be_judged() -> None:
    """An issuer that was never reached is an outage of ours, not the caller's fault; it is asked again soon."""
    issuer = Issuer(ONE)
    keys, issuer.is_down = issuer.published(), True

    with pytest.raises(KeysUnavailable):
        await keys.find("ES256", "one")
    issuer.is_down, issuer.now_s = False, issuer.now_s + 2

    assert await keys.find("ES256", "one")


async def test_a_key_is_for_its_algorithm() -> None:
    """A published P-256 key verifies ES256 only, and a token without key id finds none."""
    keys = Issuer(ONE).published()

    assert await keys.find("RS256", "one") is None
    assert await keys.find("ES256", None) is None


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "x"},
        ONE.as_dict(private=True),
        ONE.as_dict(private=False) | {"use": "enc"},
        ONE.as_dict(private=False) | {"alg": "HS256"},
        ONE.as_dict(private=False) | {"key_ops": ["encrypt"]},
        ONE.as_dict(private=False) | {"kid": 7},
        ONE.as_dict(private=False) | {"x": "AA"},
        ECKey.generate_key("P-384", {"kid": "x"}).as_dict(private=False),
        {"kty": "RSA", "kid": "x", "e": "AQAB", "n": "y" * 171},
        {"kty": "RSA", "kid": "x", "e": "AQAB", "n": "A" * 171 + "y" * 171},  # long by the zeros it begins with
        {"kty": "RSA", "kid": "x", "e": "AQAB", "n": "ÿ"},
        ONE.as_dict(private=False) | {"key_ops": 1},
        ONE.as_dict(private=False) | {"key_ops": None},
        "text",
    ],
)
def test_other_keys_are_left_out(entry: Any) -> None:
    """Secrets, private, short, foreign and broken keys are passed over; the good one beside them counts."""
    assert jwk_keys({"keys": [entry, TWO.as_dict(private=False)]}).keys() == {"two"}


@pytest.mark.parametrize("url", ["http://issuer.example/keys", "ftp://127.0.0.1/keys", "keys", "file:///keys"])
def test_keys_come_over_https(url: str) -> None:
    """Plain http is for this machine in development."""
    with pytest.raises(InvalidConfiguration, match="JWKS_URL"):
        published_keys(url, development=True)
    with pytest.raises(InvalidConfiguration, match="JWKS_URL"):
        published_keys("http://127.0.0.1/keys", development=False)
