"""The keys that verify tokens, each pinned to the one algorithm of its kind."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from billing_adapters.settings import InvalidConfiguration, Settings

HMAC = "HS256"
ASYMMETRIC = frozenset({"RS256", "ES256", "EdDSA"})
MIN_RSA_BITS = 2048
MAX_KEYS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationKey:
    """A key and the only algorithm it verifies."""

    algorithm: str
    key: Key


class KeySource(Protocol):
    """Finds the keys a token may be signed with."""

    async def find(self, algorithm: str, kid: str | None) -> Sequence[VerificationKey]:
        """The keys for this algorithm (and key id), the likeliest first; none where the token is not to be accepted.

        Raises KeysUnavailable where that cannot be told.
        """
        ...


class StaticKeys:
    """Keys from the configuration."""

    def __init__(self, keys: Sequence[VerificationKey]) -> None:
        self._keys = {
            algorithm: tuple(each for each in keys if each.algorithm == algorithm)
            for algorithm in {each.algorithm for each in keys}
        }

    async def find(self, algorithm: str, kid: str | None) -> Sequence[VerificationKey]:
        """The keys of the algorithm; a key id chooses nothing here."""
        return self._keys.get(algorithm, ())


def configured_keys(settings: Settings) -> StaticKeys:
    """The secret and the PEM key of the configuration, and the former ones while they are replaced.

    Raises InvalidConfiguration where one cannot be used.
    """
    keys = []
    if secret := settings.signing_secret():
        keys.append(_secret_key("BILLING_JWT_SECRET", secret))
    if settings.jwt_secret_previous and (previous := settings.jwt_secret_previous.get_secret_value()):
        keys.append(_secret_key("BILLING_JWT_SECRET_PREVIOUS", previous))
    if settings.jwt_public_key is not None:
        keys.append(_pem_key("BILLING_JWT_PUBLIC_KEY", settings.jwt_public_key.get_secret_value()))
    if settings.jwt_public_key_previous is not None:
        keys.append(_pem_key("BILLING_JWT_PUBLIC_KEY_PREVIOUS", settings.jwt_public_key_previous.get_secret_value()))
    return StaticKeys(keys)


def jwk_keys(document: object) -> Mapping[str, VerificationKey]:
    """The usable keys of a JWK Set (RFC 7517), by key id. Raises ValueError where it is no key set.

    Keys for other uses, without id, with private parts, or of other kinds are left out, as the RFC asks.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise ValueError(f"a key set is an object with up to {MAX_KEYS} keys")
    found = {}
    for entry in entries:
        if (key := _jwk_key(entry)) is not None:
            found[entry["kid"]] = key
    return found


def _secret_key(variable: str, secret: str) -> VerificationKey:
    try:
        return VerificationKey(algorithm=HMAC, key=OctKey.import_key(secret))
    except ValueError as wrong:
        raise InvalidConfiguration(f"{variable}: is a key of another kind, which others know") from wrong


def _pem_key(variable: str, pem: str) -> VerificationKey:
    text = pem.replace("\\n", "\n").strip().encode()  # one-line variables carry their line ends escaped
    try:
        public = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm) as wrong:
        raise InvalidConfiguration(f"{variable}: is not a PEM public key") from wrong
    if isinstance(public, RSAPublicKey) and public.key_size >= MIN_RSA_BITS:
        return VerificationKey(algorithm="RS256", key=RSAKey.import_key(text))
    if isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP256R1):
        return VerificationKey(algorithm="ES256", key=ECKey.import_key(text))
    if isinstance(public, Ed25519PublicKey):
        return VerificationKey(algorithm="EdDSA", key=OKPKey.import_key(text))
    raise InvalidConfiguration(
        f"{variable}: must be an RSA key of at least {MIN_RSA_BITS} bits (RS256), "
        "a P-256 key (ES256) or an Ed25519 key (EdDSA)"
    )


def _jwk_key(entry: Any) -> VerificationKey | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str) or "d" in entry:
        return None
    algorithm = {"RSA": "RS256", "P-256": "ES256", "Ed25519": "EdDSA"}.get(
        str(entry.get("kty") if entry.get("kty") == "RSA" else entry.get("crv"))
    )
    operations = entry.get("key_ops", ["verify"])
    for_verifying = entry.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    if algorithm is None or entry.get("alg", algorithm) != algorithm or not for_verifying:
        return None
    if algorithm == "RS256" and _bits(entry.get("n")) < MIN_RSA_BITS:
        return None
    kinds: Mapping[str, type[RSAKey | ECKey | OKPKey]] = {"RS256": RSAKey, "ES256": ECKey, "EdDSA": OKPKey}
    try:
        return VerificationKey(algorithm=algorithm, key=kinds[algorithm].import_key(entry))
    except (JoseError, ValueError, TypeError, KeyError):
        return None  # a key we cannot read is one we do not accept; the others still count


def _bits(modulus: object) -> int:
    """How many bits a modulus in base64url has, without zeros before it; 0 where it is none."""
    try:
        return int.from_bytes(base64.urlsafe_b64decode(f"{modulus}==")).bit_length()
    except ValueError:
        return 0
