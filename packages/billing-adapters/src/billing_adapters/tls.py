"""Certificates of connections to servers: whose we trust, and our own where a server asks for it (mTLS)."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from billing_adapters.settings import InvalidConfiguration


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFiles:
    """PEM files: `ca` of the authority we trust instead of the system's, `cert` and `key` of our own certificate.
    `prefix` is how their variables begin: `{prefix}_CA_FILE`, `{prefix}_CERT_FILE`, `{prefix}_KEY_FILE`."""

    prefix: str
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @property
    def any(self) -> bool:
        """Whether one of them is given."""
        return (self.ca, self.cert, self.key) != (None, None, None)

    def context(self) -> ssl.SSLContext | None:
        """What a connection is made with: the server's certificate and name are checked. None where no file is given.

        Raises InvalidConfiguration, naming the variable, where a file cannot be used.
        """
        if (self.cert is None) != (self.key is None):
            raise InvalidConfiguration(f"set {self.prefix}_CERT_FILE and {self.prefix}_KEY_FILE, both or neither")
        if not self.any:
            return None
        context = self._trusting()
        if self.cert is not None:
            try:
                # The empty password refuses an encrypted key; without one OpenSSL asks whoever sits at the terminal.
                context.load_cert_chain(self.cert, self.key, password="")
            except (OSError, ValueError) as wrong:
                names = f"{self.prefix}_CERT_FILE={self.cert}, {self.prefix}_KEY_FILE={self.key}"
                raise InvalidConfiguration(f"{names}: {_why(wrong)}") from None
        return context

    def _trusting(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self.ca)
        except OSError as wrong:
            raise InvalidConfiguration(f"{self.prefix}_CA_FILE={self.ca}: {_why(wrong)}") from None


def _why(wrong: Exception) -> str:
    if isinstance(wrong, ssl.SSLError):
        return f"no PEM that can be used ({wrong.reason or 'unreadable'})"
    return getattr(wrong, "strerror", None) or str(wrong)
