"""An issuer of tokens that publishes its keys over https, with a certificate made for the occasion."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import ECKey

HOST = "127.0.0.1"
DEADLINE_S = 30.0


class HttpsIssuer:
    """Publishes keys at `/keys`. `elsewhere` counts who came where nobody should be led; `hold`, where it is set, is
    waited for before an answer."""

    def __init__(self, certificate: Path, *keys: ECKey) -> None:
        self.keys, self.asked, self.elsewhere = list(keys), 0, 0
        self.status, self.headers, self.body = 200, dict[str, str](), b""
        self.hold: asyncio.Event | None = None
        self._certificate = certificate
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Where its keys are."""
        return f"https://{HOST}:{self._port}/keys"

    async def start(self) -> None:
        """This will listen, where it did before."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate)
        app = web.Application()
        app.router.add_get("/keys", self._publish)
        app.router.add_get("/{elsewhere:.*}", self._elsewhere)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self._port, ssl_context=context, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """This will take it away."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def is_asked(self, times: int = 1) -> None:
        """This will wait until it was asked so often from now on."""
        enough = self.asked + times
        async with asyncio.timeout(DEADLINE_S):
            while self.asked < enough:  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.001)

    async def _publish(self, request: web.Request) -> web.Response:
        self.asked += 1
        published = {"keys": [key.as_dict(private=False) for key in self.keys]}
        if self.hold is not None:
            await self.hold.wait()
        if self.body or self.status != 200:
            return web.Response(status=self.status, headers=self.headers, body=self.body)
        return web.json_response(published, headers=self.headers)

    async def _elsewhere(self, request: web.Request) -> web.Response:
        self.elsewhere += 1
        return web.json_response({"keys": [key.as_dict(private=False) for key in self.keys]})


@asynccontextmanager
async def https_issuer(certificate: Path, *keys: ECKey) -> AsyncIterator[HttpsIssuer]:
    """A running issuer."""
    issuer = HttpsIssuer(certificate, *keys)
    await issuer.start()
    try:
        yield issuer
    finally:
        await issuer.stop()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """This will make an authority, and a certificate of this machine that it signed: the file to trust, and the file to
    serve with."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "An authority of the tests")])
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)

    def begun(subject: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority_name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
        )

    may_sign = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    authority = (
        begun(authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(may_sign, critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    served = (
        begun(name, key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    trusted_file, served_file = folder / "authority.pem", folder / "served.pem"
    trusted_file.write_bytes(authority.public_bytes(Encoding.PEM))
    served_file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + served.public_bytes(Encoding.PEM)
    )
    return trusted_file, served_file
