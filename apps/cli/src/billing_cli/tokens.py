"""Development tokens, signed with the secret in force."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from joserfc import jwt
from joserfc.jwk import OctKey

from billing_adapters.settings import Settings
from billing_cli.errors import NoSigningSecret

ALL_SCOPES = ("billing:read", "billing:write", "metrics:read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Signs HS256 tokens that this deployment accepts."""

    secret: str
    issuer: str
    audience: str

    @classmethod
    def of(cls, settings: Settings) -> "Signer":
        """The signer of a configuration. Raises NoSigningSecret where tokens are verified with a public key."""
        secret = settings.signing_secret()
        if secret is None:
            raise NoSigningSecret("Tokens are verified with a public key here; ask their issuer for one.")
        return cls(secret=secret, issuer=settings.jwt_issuer, audience=settings.jwt_audience)

    def sign(
        self, *, merchant_id: str, platform: str, subject: str, ttl: timedelta, scopes: Sequence[str] = ALL_SCOPES
    ) -> str:
        """This will sign a token that lets `subject` act for the merchant for `ttl`."""
        now_s = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": subject,
            "iat": now_s,
            "exp": now_s + int(ttl.total_seconds()),
            "jti": secrets.token_hex(8),
            "merchant_id": merchant_id,
            "platform": platform,
            "scope": " ".join(scopes),
        }
        return jwt.encode({"alg": "HS256", "typ": "JWT"}, claims, OctKey.import_key(self.secret), algorithms=["HS256"])
