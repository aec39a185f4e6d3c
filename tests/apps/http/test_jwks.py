"""Published keys: fetched seldom, kept when the issuer is away, never fetched because a token says so."""

import asyncio
import json
from typing import Any

import pytest
from joserfc.jwk import ECKey
from tests.apps.http.door import some_settings

from billing_adapters.settings import InvalidConfiguration
from billing_http.jwks import COOLDOWN_S, KEPT_FOR_S, FetchError, PublishedKeys, published_keys
from billing_http.keys import jwk_keys
from billing_http.refusals import KeysUnavailable

ONE, TWO = ECKey.generate_key("P-256", {"kid": "one"}), ECKey.generate_key("P-256", {"kid": "two"})


DEADLINE_S = 20.0


class Issuer:
    """Publishes keys, and counts how often it is asked."""

    def __init__(self, *keys: ECKey) -> None:
        self.keys, self.asked, self.is_down, self.now_s = list(keys), 0, False, 1000.0
        self.is_closed = False

    async def fetch(self) -> bytes:
        """The key set, or a failure."""
        self.asked += 1
        published = [key.as_dict(private=False) for key in self.keys]
        await asyncio.sleep(0)
        if self.is_down:
            raise FetchError("away")
        return json.dumps({"keys": published}).encode()

    async def close(self) -> None:
        """This will note it."""
        self.is_closed = True

    def published(self, *, every_s: float = 0.001) -> PublishedKeys:
        """Its keys as we see them; kept fresh, they are asked for this often."""
        return PublishedKeys(self, monotonic_s=lambda: self.now_s, fresh_for_s=every_s, retry_after_s=every_s)

    async def asked_again(self, times: int = 2) -> None:
        """This will wait until it was asked so often again: twice, and what was told by now has been taken over."""
        enough = self.asked + times
        async with asyncio.timeout(DEADLINE_S):
            while self.asked < enough:  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.001)


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

    assert (any(made_up), early, asked_early) == (False, (), 2)
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


async def test_a_key_published_while_the_set_is_fetched_is_found() -> None:
    """That fetch may have been answered before; whoever finds it under way asks once more."""
    issuer = Issuer(ONE)
    keys = issuer.published()
    await keys.find("ES256", "one")
    before = asyncio.create_task(keys.find("ES256", "two"))
    await asyncio.sleep(0)  # now it is asked for, and the issuer has looked at what it publishes
    await asyncio.sleep(0)
    assert issuer.asked == 2
    issuer.keys.append(TWO)
    issuer.now_s += COOLDOWN_S

    found = await asyncio.gather(*(keys.find("ES256", "two") for _ in range(10)))

    assert (await before, all(found), issuer.asked) == ((), True, 3)


async def test_it_is_kept_fresh_in_the_background() -> None:
    """Nobody need ask for a new key to be known, nor for an old one to be gone."""
    issuer = Issuer(ONE)
    keys = issuer.published()
    async with keys.kept_fresh():
        await issuer.asked_again()
        issuer.keys = [TWO]
        await issuer.asked_again()
        asked = issuer.asked

        told = [await keys.find("ES256", "two"), await keys.find("ES256", "one")]

    assert [len(each) for each in told] == [1, 0]
    assert asked >= 3
    assert issuer.is_closed


async def test_the_last_good_set_is_kept() -> None:
    """While the issuer is away known keys go on working, and once it is back new ones do."""
    issuer = Issuer(ONE)
    keys = issuer.published()
    async with keys.kept_fresh():
        await issuer.asked_again()
        issuer.is_down, issuer.keys = True, [TWO]
        await issuer.asked_again()
        away = await keys.find("ES256", "one")
        issuer.is_down = False
        await issuer.asked_again()

        assert away
        assert await keys.find("ES256", "two")


async def test_a_set_is_not_kept_for_ever() -> None:
    """An issuer that cannot be asked for a day could have taken its keys back."""
    issuer = Issuer(ONE)
    keys = issuer.published()
    await keys.find("ES256", "one")
    issuer.is_down, issuer.now_s = True, issuer.now_s + KEPT_FOR_S

    assert await keys.find("ES256", "one")
    issuer.now_s += 1
    with pytest.raises(KeysUnavailable):
        await keys.find("ES256", "one")


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

    assert [await keys.find("RS256", "one"), await keys.find("ES256", None)] == [(), ()]


async def test_a_secret_is_never_published() -> None:
    """For a token of HS256 nobody is asked."""
    issuer = Issuer(ONE)

    assert await issuer.published().find("HS256", "one") == ()
    assert issuer.asked == 0


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


@pytest.mark.parametrize(
    ("url", "env"),
    [
        ("http://issuer.example/keys", "development"),
        ("http://127.0.0.1/keys", "production"),
        ("http://127.0.0.1.evil.example/keys", "development"),
        ("https://user@issuer.example/keys", "development"),
        ("ftp://127.0.0.1/keys", "development"),
        ("keys", "development"),
        ("file:///keys", "development"),
        ("https://", "development"),
    ],
)
def test_keys_come_over_https(url: str, env: str) -> None:
    """Plain http is for this machine in development."""
    with pytest.raises(InvalidConfiguration, match="JWKS_URL"):
        published_keys(some_settings(jwt_jwks_url=url, env=env))


def test_this_machine_may_publish_keys_in_development() -> None:
    """And nobody does where no address is set."""
    assert published_keys(some_settings(jwt_jwks_url="http://127.0.0.1:8080/keys")) is not None
    assert published_keys(some_settings()) is None
