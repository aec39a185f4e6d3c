"""`rediss://`: the server's certificate is checked, ours is shown, and files that cannot work are refused at once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.certificates import Authority
from tests.tls_front import tls_in_front_of

from billing_adapters.redis.client import is_up, open_redis
from billing_adapters.settings import InvalidConfiguration
from billing_adapters.tls import CertificateFiles


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Whose certificates the server has, and accepts."""
    return Authority(tmp_path)


@pytest.fixture
def secured(server: Any, authority: Authority) -> Iterator[str]:
    """A URL of the real server behind TLS, which asks for a certificate."""
    start, _, port = server.url.removesuffix("/0").rpartition(":")
    with tls_in_front_of(int(port), authority.server(), client_ca=authority.ca) as front:
        yield f"{start.replace('redis://', 'rediss://')}:{front}/0"


def files(**given: Path) -> CertificateFiles:
    """Certificates of Redis."""
    return CertificateFiles(prefix="BILLING_REDIS", **given)


async def answers(url: str, certificates: CertificateFiles) -> bool:
    """Whether a client of ours gets an answer."""
    async with open_redis(url, certificates=certificates, timeout_s=5) as client:
        return await is_up(client)


async def test_with_the_right_certificates_it_answers(secured: str, authority: Authority) -> None:
    """Theirs is one we trust, and ours one they do."""
    mine = authority.client()

    assert await answers(secured, files(ca=authority.ca, cert=mine.cert, key=mine.key))


async def test_with_wrong_ones_nothing_is_sent(secured: str, authority: Authority, tmp_path: Path) -> None:
    """A server we do not trust, one of another name, no certificate of ours, and one of a stranger."""
    mine, strangers = authority.client(), Authority(tmp_path / "stranger")
    theirs = strangers.client()
    right = files(ca=authority.ca, cert=mine.cert, key=mine.key)

    outcomes = {
        "unknown authority": await answers(secured, files(cert=mine.cert, key=mine.key)),
        "another authority": await answers(secured, files(ca=strangers.ca, cert=mine.cert, key=mine.key)),
        "another name": await answers(secured.replace("127.0.0.1", "localhost"), right),
        "no certificate": await answers(secured, files(ca=authority.ca)),
        "a stranger's": await answers(secured, files(ca=authority.ca, cert=theirs.cert, key=theirs.key)),
        "in the clear": await answers(secured.replace("rediss://", "redis://"), files()),
    }

    assert outcomes == dict.fromkeys(outcomes, False)


async def test_certificates_without_tls_are_refused(authority: Authority) -> None:
    """Or they would be configured, and nothing be encrypted."""
    with pytest.raises(InvalidConfiguration, match="rediss://"):
        async with open_redis("redis://127.0.0.1:1", certificates=files(ca=authority.ca)):
            pass


async def test_a_file_that_cannot_be_used_is_named(authority: Authority, tmp_path: Path) -> None:
    """When opening, with its variable."""
    missing = tmp_path / "missing.pem"

    for given, variable in (({"ca": missing}, "CA_FILE"), ({"cert": authority.client().cert}, "KEY_FILE")):
        with pytest.raises(InvalidConfiguration, match=f"BILLING_REDIS_{variable}"):
            async with open_redis("rediss://127.0.0.1:1", certificates=files(**given)):
                pass
