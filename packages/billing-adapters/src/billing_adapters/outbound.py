"""Where requests of ours may go: to the hosts the configuration names, and to nobody else.

Every HTTP client we open is opened here, for the few hosts it is about. The address is checked as the client has
understood it, at the last moment before a connection is looked for; so whatever came with a message, a token or an
answer, it can have nobody else called. Redirects are not followed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import httpx2

from billing_adapters.settings import InvalidConfiguration
from billing_core.errors import BillingError

Client: TypeAlias = httpx2.AsyncClient  # noqa: TID251 - the one place
# Scheme, user, host and port, as a client understands an address.
Origin = tuple[str, bytes, str, int]
_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
_URL: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[\x21-\x7e]*)?")
# The one name of a shop that Shopify's API is asked at. Nothing in front of it but the shop's own handle, and no port,
# no dot at the end and no other alphabet: a name that only looks like it belongs to somebody else.
_SHOP_DOMAIN: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.myshopify\.com")


class DestinationRefused(BillingError):
    """A request was to go where the configuration sends none."""

    code = "DESTINATION_REFUSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Destinations:
    """The origins that may be asked; with `shops` also every shop of Shopify's, under its own name."""

    origins: frozenset[Origin] = frozenset()
    shops: bool = False

    @classmethod
    def of(cls, *urls: str | None, shops: bool = False) -> "Destinations":
        """Those of the addresses that are set."""
        return cls(origins=frozenset(_origin(httpx2.URL(url)) for url in urls if url is not None), shops=shops)

    def check(self, url: httpx2.URL | str) -> None:
        """This will let an address pass whose origin is one of them. Raises DestinationRefused."""
        try:
            parsed = httpx2.URL(url)
        except (httpx2.InvalidURL, ValueError) as wrong:
            raise DestinationRefused("an address that is none is not called") from wrong
        origin = _origin(parsed)
        if origin not in self.origins and not (self.shops and _is_a_shop(origin)):
            raise DestinationRefused(f"{parsed.host[:253]!r} is none of the hosts the configuration names")

    async def guard(self, request: httpx2.Request) -> None:
        """This will check a request that a client is about to send. Raises DestinationRefused."""
        self.check(request.url)


def open_client(
    destinations: Destinations, *, timeout_s: float, transport: httpx2.AsyncBaseTransport | None = None
) -> Client:
    """This will open a client that asks nobody else, and follows nobody elsewhere; tests hand in a `transport`."""
    return Client(
        timeout=timeout_s,
        follow_redirects=False,
        transport=transport,
        event_hooks={"request": [destinations.guard]},
    )


def is_shop_domain(domain: str) -> bool:
    """Whether it is the name of a shop at Shopify, letter by letter."""
    return _SHOP_DOMAIN.fullmatch(domain) is not None


def checked_url(variable: str, url: str | None) -> str | None:
    """The address as it is. Raises InvalidConfiguration, naming the variable, where it is none."""
    if url is not None and not _is_an_address(url):
        raise InvalidConfiguration(f"{variable}: must be an address that begins with http:// or https://")
    return url


def _is_an_address(url: str) -> bool:
    if not _URL.fullmatch(url):
        return False
    try:
        _, _, host, port = _origin(httpx2.URL(url))
    except (httpx2.InvalidURL, ValueError):
        return False
    return host != "" and 0 < port < 65536


def _is_a_shop(origin: Origin) -> bool:
    scheme, user, host, port = origin
    return (scheme, user, port) == ("https", b"", 443) and is_shop_domain(host)


def _origin(url: httpx2.URL) -> Origin:
    port = _PORTS.get(url.scheme, 0) if url.port is None else url.port
    return url.scheme, url.userinfo, url.raw_host.decode("ascii"), port
