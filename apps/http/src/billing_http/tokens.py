"""Tokens: JSON Web Tokens of one issuer, verified and read strictly (contract §2)."""

import base64
import binascii
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from billing_adapters.settings import Settings
from billing_core.domain.merchants import MERCHANT_ID
from billing_core.errors import InvalidRequest
from billing_core.ports.clock import Clock
from billing_http.json_documents import read_json
from billing_http.jwks import PublishedKeys, published_keys
from billing_http.keys import ASYMMETRIC, HMAC, KeySource, VerificationKey, configured_keys
from billing_http.refusals import Unauthenticated

MAX_TOKEN_BYTES = 8 * 1024
LEEWAY_S = 30
REMEMBERED_TOKENS = 4096
REMEMBERED_FOR = timedelta(seconds=60)

# Keys and key addresses inside a token are never used; `crit` names extensions, and we know none.
_REFUSED_HEADERS = frozenset({"crit", "b64", "jwk", "jku", "x5u", "x5c", "zip"})
_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_KID = re.compile(r"[\x21-\x7e]{1,128}")
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_REFUSED = "The token is not accepted."


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who a verified token speaks for."""

    subject: str
    merchant_id: str
    platform: str
    scopes: frozenset[str]


class TokenVerifier:
    """Verifies tokens of one issuer for one audience."""

    def __init__(
        self, *, static: KeySource, published: PublishedKeys | None, issuer: str, audience: str, clock: Clock
    ) -> None:
        self._published = published
        # In this order: while the configured keys can tell, no issuer is asked.
        self._sources = [source for source in (static, published) if source is not None]
        self._issuer, self._audience, self._clock = issuer, audience, clock
        self._remembered: dict[str, tuple[Principal, float]] = {}

    async def verify(self, token: str) -> Principal:
        """This will verify the signature and every claim.

        Raises Unauthenticated, with a detail that helps an honest caller and tells nothing about our keys, and
        KeysUnavailable where the issuer's keys cannot be had. An accepted token is remembered for a minute at most,
        and never past its expiry.
        """
        now = self._clock.now()
        remembered = self._remembered.get(token)
        if remembered is not None and now.timestamp() < remembered[1]:
            return remembered[0]
        claims = await self._verified_claims(token)
        principal = self._principal(claims, now)
        self._remember(token, principal, min(claims["exp"], (now + REMEMBERED_FOR).timestamp()))
        return principal

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """This will keep the published keys fresh for as long as the block runs, where there are any."""
        async with nullcontext() if self._published is None else self._published.kept_fresh():
            yield

    def _remember(self, token: str, principal: Principal, until: float) -> None:
        if len(self._remembered) >= REMEMBERED_TOKENS:
            self._remembered.clear()
        self._remembered[token] = (principal, until)

    async def _verified_claims(self, token: str) -> Mapping[str, Any]:
        parts = _COMPACT.fullmatch(token) if len(token) <= MAX_TOKEN_BYTES else None
        if parts is None:
            raise _refused()
        header = _json_object(_decoded(parts[1]))
        algorithm, kid = header.get("alg"), header.get("kid")
        kind = header.get("typ", "JWT")
        if _REFUSED_HEADERS & header.keys() or not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise _refused()
        if kid is not None and not (isinstance(kid, str) and _KID.fullmatch(kid)):
            raise _refused()
        if not isinstance(algorithm, str) or algorithm not in ASYMMETRIC | {HMAC}:
            raise _refused()
        for source in self._sources:
            for key in await source.find(algorithm, kid):  # several only while one is replaced
                if (payload := _signed_payload(token, key)) is not None:
                    return _json_object(payload)
        raise _refused()

    def _principal(self, claims: Mapping[str, Any], now: datetime) -> Principal:
        _check_times(claims, now.timestamp())
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if not all(isinstance(each, str) for each in audiences) or self._audience not in audiences:
            raise _refused("The token is not for this service (aud).")
        if claims.get("iss") != self._issuer:
            raise _refused("The token is from another issuer (iss).")
        merchant_id, scope = _text(claims, "merchant_id"), claims.get("scope")
        if not MERCHANT_ID.fullmatch(merchant_id):
            raise _refused("The token's merchant_id is not well formed.")
        if not isinstance(scope, str):
            raise _refused("The token's scope must be a string.")
        return Principal(
            subject=_text(claims, "sub"),
            merchant_id=merchant_id,
            platform=_text(claims, "platform"),
            scopes=frozenset(scope.split(" ")) - {""},
        )


def token_verifier(settings: Settings, clock: Clock) -> TokenVerifier:
    """The verifier the configuration asks for. Raises InvalidConfiguration where its keys cannot be used."""
    return TokenVerifier(
        static=configured_keys(settings),
        published=published_keys(settings),
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        clock=clock,
    )


class _OneAlgorithm(JWSRegistry):
    """Knows the one algorithm of the key at hand. The library warns of the name `EdDSA` (RFC 9864 prefers
    `Ed25519`); our contract has it, and its keys here are Ed25519 only."""

    def get_alg(self, name: str) -> Any:
        if self.allowed is None or name not in self.allowed:
            raise _refused()
        return self.algorithms[name]


def _signed_payload(token: str, key: VerificationKey) -> bytes | None:
    """What stands in the token; None where the key did not sign it."""
    registry = _OneAlgorithm(algorithms=[key.algorithm], strict_check_header=False)
    try:
        return jws.deserialize_compact(token, key.key, [key.algorithm], registry).payload or b""
    except (JoseError, ValueError, TypeError):
        return None


def _check_times(claims: Mapping[str, Any], now_s: float) -> None:
    for name in ("exp", "iat", "nbf"):
        if (name in claims or name != "nbf") and type(claims.get(name)) is not int:
            raise _refused(f"The token's {name} must be an integer.")
    if claims["exp"] <= now_s:
        raise _refused("The token has expired.")
    if max(claims["iat"], claims.get("nbf", 0)) > now_s + LEEWAY_S:
        raise _refused("The token is not valid yet.")


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 255 or not value.isprintable():
        raise _refused(f"The token's {name} must be a string of 1-255 printable characters.")
    return value


def _decoded(segment: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except binascii.Error as wrong:
        raise _refused() from wrong


def _json_object(text: bytes) -> dict[str, Any]:
    try:
        document = read_json(text)
    except InvalidRequest as wrong:
        raise _refused() from wrong
    if not isinstance(document, dict):
        raise _refused()
    return document


def _refused(detail: str = _REFUSED) -> Unauthenticated:
    return Unauthenticated(detail, token_sent=True)
