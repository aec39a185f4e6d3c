"""Published keys over https, from a real server: slow, away, leading elsewhere, and replaced while tokens arrive."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from tests.apps.http.door import some_claims, some_settings
from tests.apps.http.https_issuer import HttpsIssuer, https_issuer, make_certificate

from billing_adapters.clock import SystemClock
from billing_core.ports.clock import Clock
from billing_core.testing import FixedClock
from billing_http.jwks import FETCH_TIMEOUT_S, MAX_SET_BYTES, KeySetAtUrl, PublishedKeys
from billing_http.keys import configured_keys
from billing_http.refusals import KeysUnavailable, Unauthenticated
from billing_http.tokens import REMEMBERED_FOR, TokenVerifier

ONE, TWO = ECKey.generate_key("P-256", {"kid": "one"}), ECKey.generate_key("P-256", {"kid": "two"})
DEADLINE_S = 30.0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What to trust, and what to serve with."""
    return make_certificate(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def issuer(certificates: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HttpsIssuer]:
    """An issuer this process trusts, with one key."""
    trusted, served = certificates
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    async with https_issuer(served, ONE) as running:
        yield running


@asynccontextmanager
async def keys_of(issuer: HttpsIssuer, *, every_s: float = 0.01) -> AsyncIterator[PublishedKeys]:
    """Its keys as we see them, kept fresh so often, once there is a first set."""
    keys = PublishedKeys(KeySetAtUrl(issuer.url), fresh_for_s=every_s, retry_after_s=every_s)
    async with keys.kept_fresh():
        await keys.find("ES256", "one")
        yield keys


def verifier_of(keys: PublishedKeys, clock: Clock | None = None) -> TokenVerifier:
    """A verifier that knows no other keys."""
    static = configured_keys(some_settings(jwt_secret=None, jwt_jwks_url="https://issuer.example"))
    return TokenVerifier(
        static=static, published=keys, issuer="issuer", audience="billing", clock=clock or SystemClock()
    )


def signed_by(key: ECKey, clock: Clock | None = None, kid: str | None = None, **claims: Any) -> str:
    """A token of the issuer's."""
    header = {"alg": "ES256", "kid": kid or key.kid}
    return jwt.encode(header, some_claims(clock or SystemClock(), "merchant-1", **claims), key, algorithms=["ES256"])


class TestTheServer:
    async def test_its_keys_are_taken_from_whoever_is_certified(self, issuer: HttpsIssuer) -> None:
        """A token of its key is accepted, one of another is not."""
        async with keys_of(issuer) as keys:
            accepted = await verifier_of(keys).verify(signed_by(ONE))
            with pytest.raises(Unauthenticated):
                await verifier_of(keys).verify(signed_by(TWO, kid="one"))

        assert accepted.merchant_id == "merchant-1"

    async def test_nobody_else_can_stand_in_for_it(self, issuer: HttpsIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
        """A certificate that nobody vouches for, or for another name, brings no keys."""
        by_name = issuer.url.replace("127.0.0.1", "localhost")
        with pytest.raises(KeysUnavailable):
            await PublishedKeys(KeySetAtUrl(by_name)).find("ES256", "one")
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(KeysUnavailable):
            await PublishedKeys(KeySetAtUrl(issuer.url)).find("ES256", "one")

        assert issuer.asked == 0

    async def test_a_slow_one_keeps_nobody_waiting_who_is_known(self, issuer: HttpsIssuer) -> None:
        """While it is asked and does not answer, its known keys verify tokens."""
        async with keys_of(issuer) as keys:
            issuer.hold = asyncio.Event()
            await issuer.is_asked()

            accepted = [await verifier_of(keys).verify(signed_by(ONE)) for _ in range(100)]

            assert len(accepted) == 100
            assert not issuer.hold.is_set()

    async def test_one_that_never_answers_is_given_up(self, issuer: HttpsIssuer) -> None:
        """An unknown key id waits for no more than one attempt."""
        async with keys_of(issuer, every_s=DEADLINE_S) as keys:
            issuer.hold = asyncio.Event()

            async with asyncio.timeout(FETCH_TIMEOUT_S + DEADLINE_S):
                found = await keys.find("ES256", "two")

            assert (found, issuer.asked) == ((), 2)
            assert await keys.find("ES256", "one")

    async def test_away_its_last_keys_are_kept_and_back_its_new_ones_taken(self, issuer: HttpsIssuer) -> None:
        """Nobody is refused meanwhile."""
        async with keys_of(issuer) as keys:
            verifier = verifier_of(keys)
            await issuer.stop()
            for _ in range(20):
                await verifier.verify(signed_by(ONE))
                await asyncio.sleep(0.005)
            issuer.keys = [ONE, TWO]
            await issuer.start()
            await issuer.is_asked(2)

            accepted = await verifier.verify(signed_by(TWO))

        assert accepted.merchant_id == "merchant-1"

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("where", ["/elsewhere", "//127.0.0.1:{port}/elsewhere", "http://127.0.0.1:{port}/keys"])
    async def test_where_it_leads_nobody_goes(self, issuer: HttpsIssuer, status: int, where: str) -> None:
        """A redirect is no key set: the last one is kept."""
        async with keys_of(issuer) as keys:
            issuer.keys, issuer.status = [TWO], status
            issuer.headers = {"Location": where.format(port=issuer.url.split(":")[2].partition("/")[0])}
            await issuer.is_asked(2)

            assert await keys.find("ES256", "one")
            assert issuer.elsewhere == 0

    @pytest.mark.parametrize(
        ("body", "headers"),
        [
            (b" " * MAX_SET_BYTES + b"{}", {}),
            (gzip.compress(json.dumps({"keys": []}).encode()), {"Content-Encoding": "gzip"}),
            (gzip.compress(b" " * 100 * MAX_SET_BYTES), {"Content-Encoding": "gzip"}),
            (b'{"keys": [{"kid": "one"', {}),
            (b'{"keys": [], "keys": []}', {}),
            (b'{"keys": {}}', {}),
            (b"[]", {}),
            (b"<html>", {"Content-Type": "text/html"}),
            (b"\xff\xfe", {}),
            (b"[" * 5000, {}),
        ],
        ids=["too much", "packed", "a lot, packed", "cut", "twice", "no list", "a list", "a page", "no text", "deep"],
    )
    async def test_what_is_no_key_set_changes_nothing(
        self, issuer: HttpsIssuer, body: bytes, headers: dict[str, str]
    ) -> None:
        """Too much of it, packed, or of another shape: the last good one is kept."""
        async with keys_of(issuer) as keys:
            issuer.body, issuer.headers = body, headers
            await issuer.is_asked(2)

            assert await keys.find("ES256", "one")


class TestUnknownKeys:
    async def test_a_thousand_tokens_at_once_have_it_asked_once(self, issuer: HttpsIssuer) -> None:
        """Each names a key of its own that nobody published; each is refused, and the issuer hears of one."""
        async with keys_of(issuer, every_s=DEADLINE_S) as keys:
            verifier = verifier_of(keys)
            tokens = [signed_by(TWO, kid=f"made-up-{number}") for number in range(1000)]
            issuer.hold = asyncio.Event()
            asked = asyncio.gather(*(verifier.verify(token) for token in tokens), return_exceptions=True)
            await issuer.is_asked()
            issuer.hold.set()

            told = await asked

            assert {type(each) for each in told} == {Unauthenticated}
            assert issuer.asked == 2

    async def test_before_the_first_set_it_is_asked_once_too(self, issuer: HttpsIssuer) -> None:
        """A process that starts under load is no attack on its issuer."""
        keys = PublishedKeys(KeySetAtUrl(issuer.url))
        async with keys.kept_fresh():
            verifier = verifier_of(keys)

            accepted = await asyncio.gather(*(verifier.verify(signed_by(ONE, sub=f"user-{n}")) for n in range(1000)))

        assert len(accepted) == 1000
        assert issuer.asked == 1


class TestRotation:
    async def test_keys_are_replaced_under_load_without_a_refusal(self, issuer: HttpsIssuer) -> None:
        """Published, then signed with, then taken back once no token of the old key lives: as the procedure says."""
        async with keys_of(issuer) as keys:
            load = Load(verifier_of(keys), ONE)
            async with load.running():
                await load.goes_on()
                issuer.keys = [ONE, TWO]
                await issuer.is_asked(2)
                load.key = TWO
                await load.goes_on()
                issuer.keys = [TWO]
                await issuer.is_asked(2)
                await load.goes_on()

            assert load.refused == []
            assert load.accepted["one"] > 0 < load.accepted["two"]
            with pytest.raises(Unauthenticated):
                await verifier_of(keys).verify(signed_by(ONE))

    async def test_a_key_that_is_signed_with_at_once_is_found_at_once(self, issuer: HttpsIssuer) -> None:
        """Also where nothing is fetched meanwhile but for the first token of the new key."""
        async with keys_of(issuer, every_s=DEADLINE_S) as keys:
            load = Load(verifier_of(keys), ONE)
            async with load.running():
                await load.goes_on()
                issuer.keys = [ONE, TWO]
                load.key = TWO
                await load.goes_on()

            assert (load.refused, issuer.asked) == ([], 2)

    async def test_a_key_that_was_taken_back_is_remembered_for_a_minute(self, issuer: HttpsIssuer) -> None:
        """A token that was accepted before goes on for so long, and not a second longer; a new one ends at once."""
        clock = FixedClock()
        async with keys_of(issuer) as keys:
            verifier = verifier_of(keys, clock)
            token = signed_by(ONE, clock)
            await verifier.verify(token)
            issuer.keys = [TWO]
            await issuer.is_asked(2)

            with pytest.raises(Unauthenticated):
                await verifier.verify(signed_by(ONE, clock, sub="another"))
            clock.advance(REMEMBERED_FOR - timedelta(seconds=1))
            await verifier.verify(token)
            clock.advance(timedelta(seconds=1))
            with pytest.raises(Unauthenticated):
                await verifier.verify(token)


class Load:
    """Tokens that arrive one after the other, each new, signed with the key of the moment."""

    def __init__(self, verifier: TokenVerifier, key: ECKey) -> None:
        self.key, self.refused = key, list[Exception]()
        self.accepted = {"one": 0, "two": 0}
        self._verifier = verifier

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """For as long as the block runs."""
        callers = [asyncio.create_task(self._call(number)) for number in range(8)]
        yield
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)

    async def goes_on(self) -> None:
        """This will wait until a hundred more were answered."""
        async with asyncio.timeout(DEADLINE_S):
            enough = self._answered + 100
            while self._answered < enough:  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.001)

    @property
    def _answered(self) -> int:
        return sum(self.accepted.values()) + len(self.refused)

    async def _call(self, caller: int) -> None:
        number = 0
        while True:
            number, key = number + 1, self.key
            try:
                await self._verifier.verify(signed_by(key, sub=f"caller-{caller}-{number}"))
                self.accepted[str(key.kid)] += 1
            except (Unauthenticated, KeysUnavailable) as refusal:
                self.refused.append(refusal)
            await asyncio.sleep(0)
