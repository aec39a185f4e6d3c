"""Where requests of ours go: to the hosts the configuration names, whatever a message, a shop or an answer says."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from aiohttp import web
from tests.adapters.platforms.shopify.shop import ACCOUNT, GID, a_shopify_purchase, some_settings

from billing_adapters.outbound import DestinationRefused, Destinations, checked_url, is_shop_domain, open_client
from billing_adapters.platforms.shopify import open_shopify
from billing_adapters.platforms.shopify.admin_api import AdminApi
from billing_adapters.platforms.shopify.platform import ShopifyPlatform
from billing_adapters.platforms.shopify.throttles import Throttles
from billing_adapters.platforms.shopify.tokens import StaticToken
from billing_adapters.platforms.shopify.wire import Wire
from billing_adapters.platforms.stripe_checkout.calls import StripeCalls
from billing_adapters.platforms.stripe_checkout.paced_http import PacedHttp
from billing_adapters.settings import InvalidConfiguration
from billing_adapters.stand_ins.serving import serving
from billing_core.errors import PlatformAuthError, PlatformError
from billing_core.testing import MOMENT

# What a merchant may be announced with as its shop's domain. `{port}` is where somebody listens on this machine.
HOSTILE: Mapping[str, str] = {
    "this machine": "127.0.0.1",
    "this machine, a port": "127.0.0.1:{port}",
    "this machine by name": "localhost",
    "this machine by name, a port": "localhost:{port}",
    "this machine in IPv6": "[::1]",
    "this machine in IPv6, a port": "[::1]:{port}",
    "IPv4 in IPv6": "[::ffff:127.0.0.1]:{port}",
    "every address": "0.0.0.0:{port}",
    "nothing but a port": ":{port}",
    "a short address": "127.1:{port}",
    "an address as a number": "2130706433:{port}",
    "an address in hexadecimal": "0x7f000001:{port}",
    "an address in octal": "0177.0.0.1:{port}",
    "the cloud's metadata": "169.254.169.254",
    "the cloud's metadata by name": "metadata.google.internal",
    "a private address": "10.0.0.1",
    "another private address": "192.168.0.1:{port}",
    "a name inside the cluster": "billing-postgres.default.svc.cluster.local",
    "a single label": "postgres",
    "an unspecified address": "[::]:{port}",
    "a link-local zone": "[fe80::1%25eth0]",
    "a resolver that points home": "127.0.0.1.nip.io",
    "another host": "evil.example",
    "the name in front": "shop-1.myshopify.com.evil.example",
    "the name behind, without a dot": "evilmyshopify.com",
    "the name behind a hyphen": "evil-myshopify.com",
    "the name as a path": "evil.example/shop-1.myshopify.com",
    "the name as a query": "evil.example?shop-1.myshopify.com",
    "the name as a fragment": "127.0.0.1:{port}#.myshopify.com",
    "a fragment on a host": "evil.example#shop-1.myshopify.com",
    "an encoded fragment": "evil.example%23.myshopify.com",
    "an encoded slash": "evil.example%2f.myshopify.com",
    "an encoded at sign": "shop-1.myshopify.com%40evil.example",
    "a user": "shop-1.myshopify.com@127.0.0.1:{port}",
    "a user and a password": "shop-1.myshopify.com:x@127.0.0.1:{port}",
    "a user in front of a shop": "evil.example@shop-1.myshopify.com",
    "two users": "a@b@127.0.0.1:{port}",
    "a backslash": "127.0.0.1:{port}\\.myshopify.com",
    "a backslash and a user": "127.0.0.1:{port}\\@shop-1.myshopify.com",
    "a backslash for a slash": "evil.example\\shop-1.myshopify.com",
    "a port": "shop-1.myshopify.com:{port}",
    "the port of plain http": "shop-1.myshopify.com:80",
    "an empty port": "shop-1.myshopify.com:",
    "a dot at the end": "shop-1.myshopify.com.",
    "two dots at the end": "shop-1.myshopify.com..",
    "a dot in front": ".myshopify.com",
    "the zone itself": "myshopify.com",
    "a name below a shop": "a.shop-1.myshopify.com",
    "two dots": "shop-1..myshopify.com",
    "a star": "*.myshopify.com",
    "an underscore": "shop_1.myshopify.com",
    "a hyphen in front": "-shop.myshopify.com",
    "a hyphen behind": "shop-.myshopify.com",
    "a label too long": "s" * 64 + ".myshopify.com",
    "upper case": "SHOP-1.MYSHOPIFY.COM",
    "another top level": "shop-1.myshopify.co",
    "one letter more": "shop-1.myshopify.comm",
    "Shopify's other host": "admin.shopify.com",
    "a space in front": " shop-1.myshopify.com",
    "a space behind": "shop-1.myshopify.com ",
    "a line end": "shop-1.myshopify.com\n",
    "a line end and a header": "shop-1.myshopify.com\r\nHost: evil.example",
    "a line end and a host": "127.0.0.1:{port}\n.myshopify.com",
    "a tab": "shop-1\t.myshopify.com",
    "NUL": "127.0.0.1:{port}\0.myshopify.com",
    "a full-width letter": "ｓhop-1.myshopify.com",
    "a full-width dot": "127．0．0．1",
    "an ideographic dot": "shop-1。myshopify。com",
    "circled digits": "①②⑦.⓪.⓪.①",
    "a Cyrillic letter": "shop-1.myshорify.com",
    "a dotless i": "shop-1.myshopıfy.com",
    "a sign that becomes a slash": "evil.example／.myshopify.com",
    "a sign that becomes an at sign": "shop-1.myshopify.com＠evil.example",
    "a sign that becomes two letters": "evil.example℀.myshopify.com",
    "a soft hyphen": "shop\u00ad1.myshopify.com",
    "a zero-width joiner": "shop\u200d1.myshopify.com",
    "right to left": "moc.yfipohsym.\u202eshop",
    "punycode of another zone": "xn--myshopify-q8b.com",
    "punycode below another zone": "shop-1.xn--myshopify-q8b.com",
    "a scheme": "http://127.0.0.1:{port}/",
    "a scheme and a shop": "https://shop-1.myshopify.com",
    "no scheme": "//127.0.0.1:{port}/",
    "a file": "file:///etc/passwd",
    "gopher": "gopher://127.0.0.1:{port}/_x",
    "a shop and a path": "shop-1.myshopify.com/../../evil",
    "a shop and a query": "shop-1.myshopify.com?x=",
    "a shop and a fragment": "shop-1.myshopify.com#",
    "nothing": "",
    "a dot": ".",
}


class Recording(httpx2.AsyncBaseTransport):
    """A transport that keeps what it is to send, and sends nothing."""

    def __init__(self) -> None:
        self.requests: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """This will keep it and answer with nothing."""
        self.requests.append(request)
        return httpx2.Response(200, json={})


class Listener:
    """Somebody who listens on this machine, and everything this process tried to reach meanwhile."""

    def __init__(self) -> None:
        self.accepted = 0
        self.port = 0
        self.reached: list[object] = []


_listening: list[Listener] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname") and _listening:
        _listening[-1].reached.append((event, arguments[1:] if event == "socket.connect" else arguments))


sys.addaudithook(_audit)  # it cannot be taken away again, so it tells only while somebody listens


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    """The interpreter itself tells of every connection and every name that is looked up."""
    listener = Listener()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listener.accepted += 1
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    listener.port = server.sockets[0].getsockname()[1]
    _listening.append(listener)
    yield listener
    _listening.clear()
    server.close()
    await server.wait_closed()


@pytest.fixture
def recording() -> Recording:
    """Nothing yet."""
    return Recording()


@asynccontextmanager
async def platform_over(recording: Recording) -> AsyncIterator[ShopifyPlatform]:
    """Shopify, for shops at their own domains, over a transport that sends nothing."""
    async with open_client(Destinations.of(shops=True), timeout_s=5, transport=recording) as client:
        wire = Wire(client, timeout_s=5)
        api = AdminApi(wire, StaticToken("t"), api_version="2026-10", base_url=None, throttles=Throttles())
        yield ShopifyPlatform(api, test_mode=False)


class TestHostileDomains:
    @pytest.mark.parametrize("domain", HOSTILE.values(), ids=HOSTILE.keys())
    async def test_nothing_is_sent(self, recording: Recording, domain: str) -> None:
        """No request of any kind is even begun for a shop whose domain is none."""
        account = replace(ACCOUNT, platform_domain=domain.format(port=8080))
        async with platform_over(recording) as platform:
            for asked in (
                platform.create_checkout(a_shopify_purchase(), account),
                platform.look_up(GID, account, MOMENT),
                platform.find_checkout(a_shopify_purchase(), account),
            ):
                with pytest.raises(PlatformAuthError, match="platform_domain"):
                    await asked

        assert recording.requests == []

    @pytest.mark.parametrize("domain", HOSTILE.values(), ids=HOSTILE.keys())
    async def test_nobody_is_connected_to(self, listener: Listener, domain: str) -> None:
        """The platform as a deployment opens it: no connection, and no name looked up."""
        account = replace(ACCOUNT, platform_domain=domain.format(port=listener.port))
        async with open_shopify(some_settings(platform_timeout_s=2)) as platform:
            with pytest.raises(PlatformAuthError):
                await platform.create_checkout(a_shopify_purchase(), account)

        assert listener.reached == []
        assert listener.accepted == 0

    @pytest.mark.parametrize("domain", HOSTILE.values(), ids=HOSTILE.keys())
    async def test_the_last_wall_stands_alone(self, listener: Listener, domain: str) -> None:
        """Were it written into an address unchecked, the client itself would go nowhere but to a shop."""
        url = f"https://{domain.format(port=listener.port)}/admin/api/2026-10/graphql.json"
        recording = Recording()
        async with open_client(Destinations.of(shops=True), timeout_s=2, transport=recording) as client:
            try:
                await client.post(url, json={})
            except (DestinationRefused, httpx2.InvalidURL, httpx2.UnsupportedProtocol):
                assert recording.requests == []

        assert {request.url.host for request in recording.requests} <= {"shop-1.myshopify.com"}
        assert {request.url.port for request in recording.requests} <= {None}
        assert not any(request.url.userinfo for request in recording.requests)
        assert listener.reached == []

    def test_they_are_many_and_each_is_another(self) -> None:
        """And a shop's own name is none of them."""
        assert len(set(HOSTILE.values())) == len(HOSTILE) > 80
        assert not any(is_shop_domain(domain) for domain in HOSTILE.values())

    @pytest.mark.parametrize(
        "domain", ["shop-1.myshopify.com", "a.myshopify.com", "0.myshopify.com", f"{'s' * 63}.myshopify.com"]
    )
    async def test_a_shop_is_asked_under_its_name(self, recording: Recording, domain: str) -> None:
        """Whatever its handle, of up to 63 letters, digits and hyphens."""
        async with platform_over(recording) as platform:
            with pytest.raises(PlatformError):  # what comes back here is no answer of Shopify's
                await platform.look_up(GID, replace(ACCOUNT, platform_domain=domain), MOMENT)

        assert [str(each.url) for each in recording.requests] == [f"https://{domain}/admin/api/2026-10/graphql.json"]

    @pytest.mark.parametrize(
        "domain", ["x&platform_account_id=gid://shopify/Shop/2", "x#", "x?y=", "../../", "http://127.0.0.1"]
    )
    async def test_a_token_service_is_asked_at_its_own_address(self, domain: str) -> None:
        """Whatever the domain is, it stays the value of one parameter."""
        asked = list[web.Request]()

        async def tokens(request: web.Request) -> web.Response:
            asked.append(request)
            return web.Response(status=404)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", tokens)
        async with (
            serving(app) as url,
            open_shopify(some_settings(shopify_token_url=f"{url}/tokens", shopify_base_url=url)) as platform,
        ):
            with pytest.raises(PlatformAuthError):
                await platform.look_up(GID, replace(ACCOUNT, platform_domain=domain), MOMENT)

        assert [(each.path, dict(each.query)) for each in asked] == [
            ("/tokens", {"platform_account_id": ACCOUNT.platform_account_id, "domain": domain})
        ]


class TestDestinations:
    @pytest.mark.parametrize(
        "url",
        [
            "https://api.stripe.com/v1",
            "https://api.stripe.com:443/",
            "HTTPS://API.STRIPE.COM",
            "http://127.0.0.1:8080/a",
        ],
    )
    def test_what_is_named_may_be_asked(self, url: str) -> None:
        """Whatever the path, and however it is spelled."""
        Destinations.of("https://api.stripe.com", "http://127.0.0.1:8080/base", None).check(url)

    @pytest.mark.parametrize(
        "url",
        [
            "http://api.stripe.com/v1",
            "https://api.stripe.com:8443/v1",
            "https://api.stripe.com:0/v1",
            "https://api.stripe.com./v1",
            "https://api.stripe.com.evil.example/v1",
            "https://x.api.stripe.com/v1",
            "https://stripe.com/v1",
            "https://user@api.stripe.com/v1",
            "https://api.stripe.com@evil.example/v1",
            "https://127.0.0.1:8080/a",
            "http://127.0.0.1/a",
            "http://127.0.0.1:8081/a",
            "http://localhost:8080/a",
            "https://shop-1.myshopify.com/",
            "ftp://api.stripe.com/",
            "//api.stripe.com/",
            "/v1",
            "",
            "https://",
            "https://[/",
            "https://api.stripe.com:999999/",
        ],
    )
    def test_nothing_else_may(self, url: str) -> None:
        """Another scheme, port, user, or a host that only looks like it."""
        with pytest.raises(DestinationRefused):
            Destinations.of("https://api.stripe.com", "http://127.0.0.1:8080/base").check(url)

    @pytest.mark.parametrize("url", ["http://shop-1.myshopify.com/", "https://shop-1.myshopify.com:8443/"])
    def test_shops_are_asked_over_https_alone(self, url: str) -> None:
        """At the port of it."""
        with pytest.raises(DestinationRefused):
            Destinations.of(shops=True).check(url)

    async def test_where_everything_goes_through_a_proxy_shops_are_not_asked(self, listener: Listener) -> None:
        """With BILLING_SHOPIFY_BASE_URL set, nobody but it is called."""
        base_url = f"http://127.0.0.1:{listener.port}"
        async with open_shopify(some_settings(shopify_base_url=base_url, platform_timeout_s=2)) as platform:
            with pytest.raises(PlatformError):
                await platform.look_up(GID, ACCOUNT, MOMENT)

        assert {each for each in listener.reached if "myshopify" in repr(each)} == set()
        assert listener.accepted >= 1

    async def test_stripes_library_asks_nobody_else(self, listener: Listener) -> None:
        """Whatever address it comes up with; it is told as our trouble with the platform, and nothing is sent."""
        from stripe import StripeClient

        http = PacedHttp(Destinations.of("https://api.stripe.com"), timeout_s=2, requests_per_second=100)
        elsewhere = {"api": f"http://127.0.0.1:{listener.port}"}
        client = StripeClient("sk_test_sample", base_addresses=elsewhere, http_client=http)  # type: ignore[arg-type]
        with pytest.raises(PlatformAuthError, match="host"):
            await StripeCalls(client).session("cs_test_1")
        await http.close_async()  # type: ignore[no-untyped-call]

        assert listener.reached == []

    async def test_a_wire_tells_it_as_trouble_with_the_platform(self, recording: Recording) -> None:
        """Not to be tried again, and nothing of ours leaves."""
        async with open_client(Destinations.of(shops=True), timeout_s=2, transport=recording) as client:
            with pytest.raises(PlatformAuthError, match="host") as told:
                await Wire(client, timeout_s=2).send(httpx2.Request("GET", "https://evil.example/"))

        assert not told.value.retryable
        assert recording.requests == []


class TestAddresses:
    @pytest.mark.parametrize("url", [None, "https://a.example", "http://127.0.0.1:1/b?c=d", "https://[::1]:8443/"])
    def test_an_address_is_taken_as_it_is(self, url: str | None) -> None:
        """Or there is none."""
        assert checked_url("BILLING_X", url) == url

    @pytest.mark.parametrize(
        "url",
        ["", "a.example", "ftp://a.example", "https://", "https:///a", "https://user@a.example", "https://a b.example",
         "https://a.example/ b", "https://é.example", "https://[::1", "https://a.example:65536/", "https://a.example:0/",
         "https://:443/"],
    )  # fmt: skip
    def test_what_is_none_is_told_by_its_variable(self, url: str) -> None:
        """At the start."""
        with pytest.raises(InvalidConfiguration, match="BILLING_X"):
            checked_url("BILLING_X", url)
