"""The issuer's published keys: fetched in the background, served from memory, never fetched for each token."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol
from urllib.parse import urlsplit

import httpx2

from billing_adapters.logs import get_logger
from billing_adapters.outbound import Client, Destinations, checked_url, open_client
from billing_adapters.settings import InvalidConfiguration, Settings
from billing_core.errors import InvalidRequest
from billing_http.json_documents import read_json
from billing_http.keys import ASYMMETRIC, VerificationKey, jwk_keys
from billing_http.refusals import KeysUnavailable

FETCH_TIMEOUT_S = 1.5
MAX_SET_BYTES = 256 * 1024
FRESH_FOR_S = 300.0
COOLDOWN_S = 30.0
COOLDOWN_WITHOUT_KEYS_S = 2.0
# An issuer that cannot be asked so long can take no key back, so none of its keys is believed any more.
KEPT_FOR_S = 24 * 3600.0


class FetchError(Exception):
    """The key set could not be fetched."""


class KeySet(Protocol):
    """Where an issuer publishes its keys."""

    async def fetch(self) -> bytes:
        """This will fetch the set as it is now. Raises FetchError."""
        ...

    async def close(self) -> None:
        """This will end what is open for fetching it."""
        ...


class KeySetAtUrl:
    """The key set at one address, fetched over a client of its own, which asks nobody else."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Client | None = None  # takes its time to open, so it is opened once

    async def fetch(self) -> bytes:
        """See `KeySet.fetch`. Redirects are not followed."""
        if self._client is None:
            self._client = open_client(Destinations.of(self._url), timeout_s=FETCH_TIMEOUT_S)
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        body = b""
        try:
            async with (
                asyncio.timeout(FETCH_TIMEOUT_S),
                self._client.stream("GET", self._url, headers=headers) as response,
            ):
                if response.status_code != 200:
                    raise FetchError(f"the issuer answered {response.status_code}")
                async for chunk in response.aiter_raw():  # nothing unpacked: a little of it may become a lot
                    body += chunk
                    if len(body) > MAX_SET_BYTES:
                        raise FetchError(f"the key set has more than {MAX_SET_BYTES} bytes")
        except (httpx2.HTTPError, TimeoutError, OSError) as wrong:
            raise FetchError(f"the issuer cannot be reached: {type(wrong).__name__}") from wrong
        return body

    async def close(self) -> None:
        """See `KeySet.close`."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


class PublishedKeys:
    """A `KeySource` over a JWKS URL.

    Kept fresh, the set is fetched anew every five minutes. A key id that is not in it has it fetched at once, but for
    such ids at most every 30 s however many come. The last good set is kept for a day while the issuer is away.
    """

    def __init__(
        self,
        key_set: KeySet,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        fresh_for_s: float = FRESH_FOR_S,
        retry_after_s: float = COOLDOWN_S,
    ) -> None:
        self._key_set, self._monotonic_s = key_set, monotonic_s
        self._fresh_for_s, self._retry_after_s = fresh_for_s, retry_after_s
        self._keys: Mapping[str, VerificationKey] | None = None
        self._keys_of_s = 0.0  # when they were asked for
        self._asked_at_s: float | None = None
        self._missed_at_s: float | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._log = get_logger("jwks")

    async def find(self, algorithm: str, kid: str | None) -> Sequence[VerificationKey]:
        """The published key of that id, where it is for this algorithm. Raises KeysUnavailable before the first set
        could be fetched, and when the last one is a day old."""
        if kid is None or algorithm not in ASYMMETRIC:
            return ()
        if self._keys is None:
            await self._refresh(not_within_s=COOLDOWN_WITHOUT_KEYS_S)
        elif kid not in self._keys:
            await self._look_for(kid)
        if self._keys is None or self._monotonic_s() - self._keys_of_s > KEPT_FOR_S:
            raise KeysUnavailable
        key = self._keys.get(kid)
        return (key,) if key is not None and key.algorithm == algorithm else ()

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """This will fetch the set now and again, whether or not anybody asks, for as long as the block runs."""
        keeping = asyncio.create_task(self._keep_fresh())
        try:
            yield
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping
            await self._key_set.close()

    async def _keep_fresh(self) -> None:
        while True:
            asked_at_s = self._monotonic_s()
            await self._refresh(not_within_s=0)
            if self._keys is None:
                await asyncio.sleep(COOLDOWN_WITHOUT_KEYS_S)
            else:
                await asyncio.sleep(self._fresh_for_s if self._keys_of_s >= asked_at_s else self._retry_after_s)

    async def _look_for(self, kid: str) -> None:
        await self._wait()  # that set may have been asked for before the key was published
        if self._keys is not None and kid in self._keys:
            return
        # Counted apart from other fetches: a key published a moment after one of those is found at once.
        now_s = self._monotonic_s()
        if self._missed_at_s is None or now_s - self._missed_at_s >= COOLDOWN_S:
            self._missed_at_s = now_s
            await self._refresh(not_within_s=0)
        else:
            await self._wait()  # for the one that the first such token started

    async def _refresh(self, *, not_within_s: float) -> None:
        now_s = self._monotonic_s()
        under_way = self._refreshing is not None and not self._refreshing.done()
        if not under_way and (self._asked_at_s is None or now_s - self._asked_at_s >= not_within_s):
            self._asked_at_s = now_s
            self._refreshing = asyncio.create_task(self._take_over(now_s))
        await self._wait()

    async def _wait(self) -> None:
        if self._refreshing is not None:
            # Shielded: one caller going away must not stop the fetch the others wait for.
            await asyncio.shield(self._refreshing)

    async def _take_over(self, asked_at_s: float) -> None:
        try:
            self._keys = jwk_keys(read_json(await self._key_set.fetch()))
            self._keys_of_s = asked_at_s
        except (FetchError, InvalidRequest, ValueError) as wrong:
            # Kept going on the last good set; without one `find` says that no token can be judged.
            self._log.warning("jwks_not_refreshed", reason=str(wrong), keys_kept=self._keys is not None)


def published_keys(settings: Settings) -> PublishedKeys | None:
    """The keys at the configured URL; None where there is none. Raises InvalidConfiguration where it is not https (this
    machine aside, in development)."""
    url = checked_url("BILLING_JWT_JWKS_URL", settings.jwt_jwks_url)
    if url is None:
        return None
    parts = urlsplit(url)
    local = settings.env == "development" and parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme != "https" and not local:
        raise InvalidConfiguration("BILLING_JWT_JWKS_URL: must be an https URL")
    return PublishedKeys(KeySetAtUrl(url))
