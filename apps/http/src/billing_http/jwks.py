"""The issuer's published keys: fetched now and then, served from memory, never fetched for each token."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

import httpx2

from billing_adapters.logs import get_logger
from billing_adapters.settings import InvalidConfiguration
from billing_core.errors import InvalidRequest
from billing_http.json_documents import read_json
from billing_http.keys import VerificationKey, jwk_keys
from billing_http.refusals import KeysUnavailable

FETCH_TIMEOUT_S = 1.5
MAX_SET_BYTES = 256 * 1024
FRESH_FOR_S = 300.0
COOLDOWN_S = 30.0
COOLDOWN_WITHOUT_KEYS_S = 2.0

Fetch = Callable[[str], Awaitable[bytes]]


class FetchError(Exception):
    """The key set could not be fetched."""


async def fetch_key_set(url: str) -> bytes:
    """This will fetch a key set, without following redirects. Raises FetchError."""
    body = b""
    try:
        async with (
            asyncio.timeout(FETCH_TIMEOUT_S),
            httpx2.AsyncClient(follow_redirects=False, timeout=FETCH_TIMEOUT_S) as client,
            client.stream("GET", url, headers={"Accept": "application/json"}) as response,
        ):
            if response.status_code != 200:
                raise FetchError(f"the issuer answered {response.status_code}")
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_SET_BYTES:
                    raise FetchError(f"the key set has more than {MAX_SET_BYTES} bytes")
    except (httpx2.HTTPError, TimeoutError, OSError) as wrong:
        raise FetchError(f"the issuer cannot be reached: {type(wrong).__name__}") from wrong
    return body


class PublishedKeys:
    """A `KeySource` over a JWKS URL.

    A set is good for five minutes; then the next token has it fetched again in the background. A key id that is not
    in it has it fetched at once, but for such ids at most every 30 s however many come. The last good set is kept
    while the issuer is away.
    """

    def __init__(
        self, url: str, *, fetch: Fetch = fetch_key_set, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._url, self._fetch, self._monotonic_s = url, fetch, monotonic_s
        self._keys: Mapping[str, VerificationKey] | None = None
        self._asked_at: float | None = None
        self._missed_at: float | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._log = get_logger("jwks")

    async def find(self, algorithm: str, kid: str | None) -> VerificationKey | None:
        """The published key of that id, where it is for this algorithm. Raises KeysUnavailable before the first
        set could be fetched."""
        if kid is None:
            return None
        if self._keys is None:
            await self._refresh(not_within_s=COOLDOWN_WITHOUT_KEYS_S)
        elif kid not in self._keys:
            await self._look_for_new()
        else:
            self._start_refresh(not_within_s=FRESH_FOR_S)
        if self._keys is None:
            raise KeysUnavailable
        key = self._keys.get(kid)
        return key if key is not None and key.algorithm == algorithm else None

    async def _look_for_new(self) -> None:
        # Counted apart from other fetches: a key published a moment after one of those is found at once.
        now_s = self._monotonic_s()
        if self._missed_at is None or now_s - self._missed_at >= COOLDOWN_S:
            self._missed_at = now_s
            await self._refresh(not_within_s=0)
        elif self._refreshing is not None:
            await asyncio.shield(self._refreshing)  # the one that the first such token started

    async def _refresh(self, *, not_within_s: float) -> None:
        self._start_refresh(not_within_s=not_within_s)
        if self._refreshing is not None:
            # Shielded: one caller going away must not stop the fetch the others wait for.
            await asyncio.shield(self._refreshing)

    def _start_refresh(self, *, not_within_s: float) -> None:
        now_s = self._monotonic_s()
        under_way = self._refreshing is not None and not self._refreshing.done()
        if under_way or (self._asked_at is not None and now_s - self._asked_at < not_within_s):
            return
        self._asked_at = now_s
        self._refreshing = asyncio.create_task(self._take_over())

    async def _take_over(self) -> None:
        try:
            self._keys = jwk_keys(read_json(await self._fetch(self._url)))
        except (FetchError, InvalidRequest, ValueError) as wrong:
            # Kept going on the last good set; without one `find` says that no token can be judged.
            self._log.warning("jwks_not_refreshed", reason=str(wrong), keys_kept=self._keys is not None)


def published_keys(url: str, *, development: bool) -> PublishedKeys:
    """The keys at the configured URL. Raises InvalidConfiguration where it is not https (this machine aside, in
    development)."""
    parts = urlsplit(url)
    local = development and parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not parts.hostname or (parts.scheme != "https" and not (local and parts.scheme == "http")):
        raise InvalidConfiguration("BILLING_JWT_JWKS_URL: must be an https URL")
    return PublishedKeys(url)
