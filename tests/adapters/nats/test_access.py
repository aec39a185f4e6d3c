"""What can never work is refused when opening, by the variable to mend, and without telling a secret."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.certificates import Authority

from billing_adapters.nats.access import NatsAccess
from billing_adapters.nats.connection import open_nats
from billing_adapters.nats.nkeys import UserKey
from billing_adapters.nats.permissions import CLI
from billing_adapters.settings import InvalidConfiguration, load_settings
from billing_adapters.tls import CertificateFiles

TLS = "tls://nats.test:4222"
NO_CREDS = "-----BEGIN NATS USER JWT-----\nabc\n------END NATS USER JWT------\n"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """An authority with certificates in the test's folder."""
    return Authority(tmp_path)


def files(**given: Path) -> CertificateFiles:
    """Certificates of NATS."""
    return CertificateFiles(prefix="BILLING_NATS", **given)


class TestOpening:
    async def refused(self, access: NatsAccess, url: str = TLS) -> str:
        """This will open with the access, which must be refused, and give what was said."""
        with pytest.raises(InvalidConfiguration) as refused:
            async with open_nats(url, name="test", access=access):
                pass
        return str(refused.value)

    async def test_a_file_that_is_not_there_is_named(self, tmp_path: Path, authority: Authority) -> None:
        """With its variable."""
        missing, client = tmp_path / "missing.pem", authority.client()

        told = [
            await self.refused(NatsAccess(certificates=files(ca=missing))),
            await self.refused(NatsAccess(certificates=files(cert=missing, key=client.key))),
            await self.refused(NatsAccess(creds_file=missing)),
        ]

        assert [each.partition("=")[0] for each in told] == [
            "BILLING_NATS_CA_FILE",
            "BILLING_NATS_CERT_FILE",
            "BILLING_NATS_CREDS_FILE",
        ]
        assert all(str(missing) in each and "No such file" in each for each in told)

    async def test_a_file_that_is_no_certificate_is_named(self, tmp_path: Path, authority: Authority) -> None:
        """Nor is what stands in it told: it may be a key."""
        wrong, client = tmp_path / "wrong.pem", authority.client()
        wrong.write_text("a secret")

        told = [
            await self.refused(NatsAccess(certificates=files(ca=wrong))),
            await self.refused(NatsAccess(certificates=files(cert=client.cert, key=wrong))),
            await self.refused(NatsAccess(creds_file=wrong)),
        ]

        assert [each.partition("=")[0] for each in told] == [
            "BILLING_NATS_CA_FILE",
            "BILLING_NATS_CERT_FILE",
            "BILLING_NATS_CREDS_FILE",
        ]
        assert "a secret" not in "".join(told)

    async def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(self, authority: Authority) -> None:
        """A process that asks at the terminal would never start."""
        client = authority.client(password=b"sample")

        told = await self.refused(NatsAccess(certificates=files(cert=client.cert, key=client.key)))

        assert "BILLING_NATS_KEY_FILE" in told

    async def test_a_certificate_wants_its_key_and_a_key_its_certificate(self, authority: Authority) -> None:
        """One without the other is a mistake, whichever it is."""
        client = authority.client()

        told = {
            await self.refused(NatsAccess(certificates=files(cert=client.cert))),
            await self.refused(NatsAccess(certificates=files(key=client.key))),
        }

        assert told == {"set BILLING_NATS_CERT_FILE and BILLING_NATS_KEY_FILE, both or neither"}

    async def test_certificates_want_a_url_with_tls(self, authority: Authority) -> None:
        """Or they would be configured, and nothing be encrypted; also where one of several servers is without."""
        access = NatsAccess(certificates=files(ca=authority.ca))

        told = [await self.refused(access, url) for url in ("nats://nats.test", f"{TLS},nats://nats.test")]

        assert all("tls://" in each for each in told)

    async def test_there_is_one_way_to_say_who_we_are(self, tmp_path: Path) -> None:
        """A seed, a `.creds` file, or a login in the URL."""
        seed = SecretStr(UserKey.generate().seed)

        told = [
            await self.refused(NatsAccess(nkey_seed=seed, creds_file=tmp_path / "x.creds")),
            await self.refused(NatsAccess(nkey_seed=seed), "tls://user:password@nats.test"),
        ]

        assert ["not both" in told[0], "beside the key" in told[1]] == [True, True]
        assert seed.get_secret_value() not in "".join(told)

    async def test_a_seed_or_creds_that_are_none_are_refused(self, tmp_path: Path) -> None:
        """And not told."""
        creds = tmp_path / "x.creds"
        creds.write_text(NO_CREDS)

        told = [
            await self.refused(NatsAccess(nkey_seed=SecretStr("SU-sample-secret"))),
            await self.refused(NatsAccess(creds_file=creds)),
        ]

        assert ["BILLING_NATS_NKEY_SEED" in told[0], "lacks the JWT or the seed" in told[1]] == [True, True]
        assert "sample-secret" not in "".join(told)


class TestSettings:
    def test_they_are_the_access_of_a_process(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: Authority
    ) -> None:
        """The seed from a secret's file, everything else by path; the inbox is the user's own unless it is given."""
        key, client = UserKey.generate(), authority.client()
        (tmp_path / "seed").write_text(key.seed + "\n")
        monkeypatch.chdir(tmp_path)
        variables = {"CA": authority.ca, "CERT": client.cert, "KEY": client.key, "NKEY_SEED": tmp_path / "seed"}
        for name, path in variables.items():
            monkeypatch.setenv(f"BILLING_NATS_{name}_FILE", str(path))

        access = NatsAccess.of(load_settings(), CLI)
        monkeypatch.setenv("BILLING_NATS_INBOX_PREFIX", "_INBOX_mine")
        elsewhere = NatsAccess.of(load_settings(), CLI)

        assert access.login().public_key == key.public
        assert access.certificates == files(ca=authority.ca, cert=client.cert, key=client.key)
        assert (access.inbox_prefix, elsewhere.inbox_prefix) == ("_INBOX_billing_cli", "_INBOX_mine")

    @pytest.mark.parametrize("prefix", ["_INBOX.>", "a b", "a..b", "*"])
    def test_an_inbox_that_is_none_is_refused(self, monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
        """Wildcards would hear others' answers."""
        monkeypatch.setenv("BILLING_NATS_INBOX_PREFIX", prefix)

        with pytest.raises(InvalidConfiguration, match="BILLING_NATS_INBOX_PREFIX"):
            load_settings()

    def test_no_secret_is_shown_by_accident(self) -> None:
        """Whoever prints what a process gets in with prints no key."""
        key = UserKey.generate()
        access: Any = replace(NatsAccess(), nkey_seed=SecretStr(key.seed))

        shown = f"{access!r} {access.login()!r} {key!r}"

        assert key.seed not in shown
