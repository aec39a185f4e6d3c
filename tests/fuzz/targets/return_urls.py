"""Return URLs: where a merchant is sent is where the policy says, as browsers read it."""

import re
from contextlib import suppress

from ada_url import URL
from tests.fuzz.target import Target

from billing_core.domain.return_urls import ReturnUrlPolicy
from billing_core.errors import InvalidRequest

HOSTS = frozenset({"shop.example", "admin.shop.example"})
LISTED, ANYWHERE = ReturnUrlPolicy(hosts=HOSTS), ReturnUrlPolicy()
DEVELOPMENT = ReturnUrlPolicy(hosts=HOSTS, allow_loopback_http=True)
LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}


def run(data: bytes) -> None:
    """Whatever is accepted is what the document allows, and a browser (the URL Standard, by Ada) opens it by https on
    a listed host, or on this machine, without logging in, or not at all."""
    text = data.decode("utf-8", "surrogateescape")
    for policy, hosts in ((LISTED, HOSTS), (DEVELOPMENT, HOSTS | LOOPBACK), (ANYWHERE, None)):
        try:
            assert policy.check(text) == text
        except InvalidRequest as refusal:
            assert [each.pointer for each in refusal.errors] == ["/return_url"]
            assert hosts is not None or len(text) > 2048 or not re.fullmatch(policy.pattern[1:-1], text)
            continue
        assert re.fullmatch(policy.pattern[1:-1], text)
        _open(text, hosts)


def _open(text: str, hosts: frozenset[str] | set[str] | None) -> None:
    with suppress(ValueError):  # no browser opens it
        opened = URL(text)
        assert (opened.username, opened.password) == ("", "")
        assert hosts is None or opened.hostname in hosts, opened.hostname
        assert opened.protocol == "https:" or (opened.protocol == "http:" and opened.hostname in LOOPBACK)


TARGET = Target(
    name="return_urls",
    about="`return_url` of a purchase",
    run=run,
    words=(
        *(b"https://", b"http://", b"shop.example", b"admin.shop.example", b"evil.example", b"localhost", b"127.0.0.1"),
        *(b"[::1]", b"[", b"]", b"@", b":", b"\\", b"/", b"//", b"?", b"#", b"%2e", b"%40", b".", b":443", b":65536"),
        *(b"\t", b"\n", b"\xc2\xad", b"\xe3\x80\x82", b"xn--", b"0x7f.1", b";", b"javascript:"),
    ),
)
