"""A server whose users are told by signed tokens (operator mode): our `.creds` file gets in."""

import base64
import binascii
import hashlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from billing_adapters.embedded.binaries import find_programs
from billing_adapters.nats.access import NatsAccess
from billing_adapters.nats.connection import open_nats
from billing_adapters.nats.nkeys import UserKey
from billing_core.errors import BrokerDenied

DEADLINE_S = 30.0
OPERATOR, ACCOUNT = 14 << 3, 0  # what the public keys of operators (O) and accounts (A) begin with


class Issuer:
    """An operator or an account, who signs tokens."""

    def __init__(self, kind: int) -> None:
        self._key = Ed25519PrivateKey.generate()
        content = bytes([kind]) + self._key.public_key().public_bytes_raw()
        checksum = binascii.crc_hqx(content, 0).to_bytes(2, "little")
        self.public = base64.b32encode(content + checksum).decode().rstrip("=")

    def token(self, subject: str, name: str, nats: dict[str, object]) -> str:
        """A JWT about the subject, as NATS wants it."""
        claims = {"iat": int(time.time()), "iss": self.public, "name": name, "sub": subject, "nats": nats, "jti": ""}
        digest = hashlib.sha256(json.dumps(claims).encode()).digest()
        claims["jti"] = base64.b32encode(digest).decode().rstrip("=")
        parts = [_encoded(json.dumps(each).encode()) for each in ({"typ": "JWT", "alg": "ed25519-nkey"}, claims)]
        signed = ".".join(parts)
        return f"{signed}.{_encoded(self._key.sign(signed.encode()))}"


class OperatorServer:
    """A server in operator mode with one account."""

    def __init__(self, url: str, account: Issuer) -> None:
        self.url, self._account = url, account

    def creds(self, path: Path, *, account: Issuer | None = None) -> Path:
        """This will write the `.creds` file of a new user of the account, or of another one nobody knows."""
        key = UserKey.generate()
        nats: dict[str, object] = {"pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1}
        token = (account or self._account).token(key.public, "user", {**nats, "type": "user", "version": 2})
        path.write_text(
            f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
            "************************* IMPORTANT *************************\nNKEY Seed printed below.\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{key.seed}\n------END USER NKEY SEED------\n"
        )
        return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorServer]:
    """The running server."""
    folder = tmp_path_factory.mktemp("operator")
    operator, account = Issuer(OPERATOR), Issuer(ACCOUNT)
    unlimited = {"subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1}
    limits = {"limits": unlimited, "type": "account", "version": 2}
    lines = (
        'listen: "127.0.0.1:-1"',
        f'ports_file_dir: "{folder}"',
        f'operator: "{operator.token(operator.public, "tests", {"type": "operator", "version": 2})}"',
        "resolver: MEMORY",
        "resolver_preload: {",
        f'  {account.public}: "{operator.token(account.public, "app", limits)}"',
        "}",
    )
    (folder / "nats.conf").write_text("\n".join(lines))
    with (folder / "log").open("wb") as log:
        program = find_programs(frozenset({"nats"}))["nats"]
        process = subprocess.Popen([program, "-c", str(folder / "nats.conf")], stdout=log, stderr=log)
    try:
        yield OperatorServer(_url(folder), account)
    finally:
        process.terminate()
        process.wait()


class TestCreds:
    async def test_a_creds_file_gets_in(self, server: OperatorServer, tmp_path: Path) -> None:
        """The token says who we are, and our signature that it is ours."""
        creds = server.creds(tmp_path / "billing.creds")

        async with open_nats(server.url, name="test", access=NatsAccess(creds_file=creds)) as connection:
            await connection.ping()

    async def test_a_file_that_is_replaced_is_read_anew(self, server: OperatorServer, tmp_path: Path) -> None:
        """Tokens run out, and somebody puts new ones in their place while we run."""
        creds = server.creds(tmp_path / "billing.creds", account=Issuer(ACCOUNT))
        access = NatsAccess(creds_file=creds)

        async with open_nats(server.url, name="test", access=access, denied_wait_s=0.05) as connection:
            with pytest.raises(BrokerDenied):
                await connection.ping()
            server.creds(creds)

            assert await connection.wait_connected(DEADLINE_S)

    async def test_without_one_nobody_gets_in(self, server: OperatorServer) -> None:
        """The server asks for it."""
        async with open_nats(server.url, name="test") as connection:
            with pytest.raises(BrokerDenied):
                await connection.ping()


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def _url(folder: Path) -> str:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        for ports in folder.glob("*.ports"):
            if text := ports.read_text():
                return f"nats://127.0.0.1:{json.loads(text)['nats'][0].rpartition(':')[2]}"
        time.sleep(0.02)
    pytest.fail((folder / "log").read_text())
