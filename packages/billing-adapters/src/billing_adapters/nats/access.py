"""How a process gets into NATS: who it is there, how it proves that, and how NATS proves who it is."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from billing_adapters.nats.denials import Denial
from billing_adapters.nats.nkeys import InvalidSeed, UserKey
from billing_adapters.nats.permissions import ACCOUNTS_FILE, NatsUser
from billing_adapters.settings import InvalidConfiguration, Settings
from billing_adapters.tls import CertificateFiles

DEFAULT_INBOX: Final = "_INBOX"
_REFUSED: Final = re.compile(r"authorization violation|authentication (expired|revoked)")
_TLS: Final = frozenset({"tls", "wss"})
_JWT: Final = re.compile(r"-+BEGIN NATS USER JWT-+\s+(\S+)\s+-+END NATS USER JWT-+")
_SEED: Final = re.compile(r"-+BEGIN USER NKEY SEED-+\s+(\S+)\s+-+END USER NKEY SEED-+")


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsAccess:
    """What a process shows NATS, and `user`: as whom it comes, where that is one of the users of permissions.py.

    Files are read at every connection, so that a certificate or a `.creds` file may be replaced while we run.
    """

    inbox_prefix: str = DEFAULT_INBOX
    user: NatsUser | None = None
    certificates: CertificateFiles = field(default_factory=lambda: CertificateFiles(prefix="BILLING_NATS"))
    creds_file: Path | None = None
    nkey_seed: SecretStr | None = None

    @classmethod
    def of(cls, settings: Settings, user: NatsUser) -> "NatsAccess":
        """The access that is configured, as this user."""
        return cls(
            inbox_prefix=settings.nats_inbox_prefix or user.inbox,
            user=user,
            certificates=CertificateFiles(
                prefix="BILLING_NATS",
                ca=settings.nats_ca_file,
                cert=settings.nats_cert_file,
                key=settings.nats_key_file,
            ),
            creds_file=settings.nats_creds_file,
            nkey_seed=settings.nats_nkey_seed,
        )

    def check(self, servers: Sequence[str]) -> "Login":
        """This will look whether this can ever work with these URLs, and give the login. Raises InvalidConfiguration,
        naming the variable to mend and no secret."""
        if self.creds_file is not None and self.nkey_seed is not None:
            raise InvalidConfiguration("set BILLING_NATS_CREDS_FILE or BILLING_NATS_NKEY_SEED, not both")
        if (self.creds_file or self.nkey_seed) and any("@" in urlsplit(each).netloc for each in servers):
            raise InvalidConfiguration("BILLING_NATS_URL has a login beside the key: take one of them away")
        if self.certificates.any and not all(urlsplit(each).scheme in _TLS for each in servers):
            raise InvalidConfiguration("BILLING_NATS_CA_FILE and _CERT_FILE are for TLS: write tls://HOST:PORT")
        self.certificates.context()
        return self.login()

    def login(self) -> "Login":
        """The proof of who we are, for one connection. Raises InvalidConfiguration."""
        if self.creds_file is not None:
            return self._creds(self.creds_file)
        if self.nkey_seed is None:
            return Login(public_key=None, options={})
        key = _key("BILLING_NATS_NKEY_SEED", self.nkey_seed.get_secret_value())
        return Login(public_key=key.public, options={"signature_cb": key.sign})

    def refused(self, error: Exception, login: "Login") -> Denial | None:
        """Whether NATS did not let us in because of who we are, and what to do."""
        if _REFUSED.search(str(error).lower()) is None:
            return None
        if login.public_key is not None:
            name = self.user.name if self.user else "of its accounts"
            remedy = f"Make {login.public_key} the nkey of the user {name} in {ACCOUNTS_FILE}, or use that user's key."
        else:
            remedy = (
                "Set BILLING_NATS_NKEY_SEED_FILE or BILLING_NATS_CREDS_FILE, or mend the login in BILLING_NATS_URL."
            )
        return Denial.of_login(remedy)

    def _creds(self, path: Path) -> "Login":
        try:
            text = path.read_text("ascii")
        except (OSError, UnicodeDecodeError) as wrong:
            raise InvalidConfiguration(f"BILLING_NATS_CREDS_FILE={path}: {_why(wrong)}") from None
        jwt, seed = _JWT.search(text), _SEED.search(text)
        if jwt is None or seed is None:
            raise InvalidConfiguration(f"BILLING_NATS_CREDS_FILE={path} lacks the JWT or the seed of a user")
        key = _key(f"BILLING_NATS_CREDS_FILE={path}", seed[1])
        token: Callable[[], bytes] = jwt[1].encode
        return Login(public_key=key.public, options={"signature_cb": key.sign, "user_jwt_cb": token})


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What nats-py is told, and the public key it proves, where it proves one."""

    public_key: str | None
    options: dict[str, Any] = field(repr=False)


ANYBODY: Final = NatsAccess()


def checked_servers(url: str) -> list[str]:
    """The servers named in BILLING_NATS_URL. Raises InvalidConfiguration."""
    servers = [each.strip() for each in url.split(",") if each.strip()]
    for server in servers:
        try:
            parts = urlsplit(server)
            # A token with a slash in it would end as a path, and a part of it be taken, and told, for the host.
            whole = "@" not in parts.path + parts.query + parts.fragment
            fine = parts.scheme in {"nats", "tls", "ws", "wss"} and parts.hostname and parts.port != 0 and whole
        except ValueError:  # a port that is no number
            fine = False
        if not fine:
            raise InvalidConfiguration(
                "BILLING_NATS_URL: write nats://HOST:PORT or tls://HOST:PORT, or several separated by commas"
            )
    if not servers:
        raise InvalidConfiguration("BILLING_NATS_URL is empty: write nats://HOST:PORT or tls://HOST:PORT")
    return servers


def wants_tls(server: str) -> bool:
    """Whether the URL asks for TLS."""
    return urlsplit(server).scheme in _TLS


def _key(variable: str, seed: str) -> UserKey:
    try:
        return UserKey.from_seed(seed.strip())
    except InvalidSeed as wrong:
        raise InvalidConfiguration(f"{variable} {wrong}") from None


def _why(wrong: OSError | UnicodeDecodeError) -> str:
    return wrong.strerror or type(wrong).__name__ if isinstance(wrong, OSError) else "no text"
