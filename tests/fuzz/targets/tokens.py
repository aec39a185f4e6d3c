"""Tokens: the whole verifier. What it accepts was signed with its key, and says what was signed."""

import base64
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, OKPKey, RSAKey
from tests.apps.http.door import SECRET, signed, some_claims, some_settings
from tests.fuzz.target import Target, at_once, by_first_letter, parts

from billing_core.errors import InvalidRequest
from billing_core.testing import MOMENT, FixedClock
from billing_http.json_documents import read_json
from billing_http.keys import ASYMMETRIC, StaticKeys, VerificationKey, jwk_keys
from billing_http.refusals import Unauthenticated
from billing_http.tokens import LEEWAY_S, MAX_TOKEN_BYTES, Principal, TokenVerifier, token_verifier

CLOCK = FixedClock(MOMENT.replace(microsecond=0))
NOW_S = int(CLOCK.now().timestamp())
GOOD = some_claims(CLOCK, "merchant-1")
TOKEN = signed(GOOD)
EC, ED_PRIVATE = ECKey.generate_key("P-256"), Ed25519PrivateKey.generate()
ED = OKPKey.import_key(ED_PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
BY_SECRET = token_verifier(some_settings(), CLOCK)
BY_PUBLIC_KEYS = TokenVerifier(
    static=StaticKeys([VerificationKey(algorithm="ES256", key=EC), VerificationKey(algorithm="EdDSA", key=ED)]),
    published=None,
    issuer="issuer",
    audience="billing",
    clock=CLOCK,
)
_SEGMENT = re.compile(rb"[A-Za-z0-9_-]+")


def accepted(verifier: TokenVerifier, token: str) -> Principal | None:
    """Who the token speaks for; None where it is refused."""
    verifier._remembered.clear()
    try:
        return at_once(verifier.verify(token))
    except Unauthenticated as refusal:
        assert refusal.token_sent
        assert not any(each in str(refusal) for each in (SECRET, token) if len(each) > 40)
        return None


def whole(data: bytes) -> None:
    """A text nobody signed is refused, however close it is to a token that somebody did."""
    token = data.decode("latin-1")
    for verifier in (BY_SECRET, BY_PUBLIC_KEYS):
        principal = accepted(verifier, token)
        assert principal is None or (verifier, token.rpartition(".")[0]) == (BY_SECRET, TOKEN.rpartition(".")[0])
        assert principal == _lawful(*_read(token)) if principal else True


def signed_with_the_secret(data: bytes) -> None:
    """Any header and payload: signed with our secret it is accepted only where every rule holds, with another never."""
    header, payload = parts(data, 2)
    text = f"{_segment(header)}.{_segment(payload)}"
    ours, other = (_segment(hmac.digest(key, text.encode(), "sha256")) for key in (SECRET.encode(), b"other" * 8))
    principal = accepted(BY_SECRET, f"{text}.{ours}")
    assert principal is None or principal == _lawful(header, payload, "HS256")
    for verifier, signature in ((BY_SECRET, other), (BY_PUBLIC_KEYS, ours), (BY_PUBLIC_KEYS, other)):
        assert accepted(verifier, f"{text}.{signature}") is None


def signed_with_a_key(data: bytes) -> None:
    """The same with a private key; and another key's signature is never accepted."""
    header, payload = parts(data, 2)
    text = f"{_segment(header)}.{_segment(payload)}"
    by_ed = _segment(ED_PRIVATE.sign(text.encode()))
    principal = accepted(BY_PUBLIC_KEYS, f"{text}.{by_ed}")
    assert principal is None or principal == _lawful(header, payload, "EdDSA")
    assert accepted(BY_SECRET, f"{text}.{by_ed}") is None


def changed_claims(data: bytes) -> None:
    """Good claims in which some are others: the names and values of an object."""
    try:
        changes = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(changes, dict):
        signed_with_the_secret(b'{"alg":"HS256"}\n--\n' + json.dumps(GOOD | changes).encode())


def key_sets(data: bytes) -> None:
    """A published key set: each key that is taken from it is a public one that is strong enough, or it is none."""
    try:
        keys = jwk_keys(read_json(data))
    except (InvalidRequest, ValueError):
        return
    for key_id, found in keys.items():
        assert isinstance(key_id, str)
        assert found.algorithm in ASYMMETRIC
        assert not found.key.is_private
        assert not isinstance(found.key, RSAKey) or found.key.raw_value.key_size >= 2048


def _read(token: str) -> tuple[bytes, bytes, str]:
    header, payload, _ = token.split(".")
    return _decoded(header), _decoded(payload), "HS256"


def _decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _segment(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def _lawful(header_text: bytes, payload_text: bytes, algorithm: str) -> Principal | None:
    """Who a token with a good signature speaks for by the contract (§2), written down a second time; None: nobody."""
    header, claims = _object(header_text), _object(payload_text)
    audience, times = claims["aud"], {claims["exp"], claims["iat"], claims.get("nbf", 0)}
    rules = (
        len(header_text) + len(payload_text) <= MAX_TOKEN_BYTES,
        header["alg"] == algorithm,
        not header.keys() & {"crit", "b64", "jwk", "jku", "x5u", "x5c", "zip"},
        str(header.get("typ", "JWT")).lower().removeprefix("application/") in ("jwt", "at+jwt"),
        re.fullmatch(r"[\x21-\x7e]{1,128}", header.get("kid", "-")),
        claims["iss"] == "issuer",
        "billing" in (audience if isinstance(audience, list) else [audience]),
        {type(each) for each in times} == {int},
        claims["exp"] > NOW_S and claims["iat"] <= NOW_S + LEEWAY_S and claims.get("nbf", 0) <= NOW_S + LEEWAY_S,
        re.fullmatch(r"[A-Za-z0-9._:\-]{1,128}", claims["merchant_id"]),
        all(0 < len(claims[name]) <= 255 and claims[name].isprintable() for name in ("sub", "platform")),
    )
    if not all(rules):
        return None
    scopes = frozenset(each for each in claims["scope"].split(" ") if each)
    return Principal(
        subject=claims["sub"], merchant_id=claims["merchant_id"], platform=claims["platform"], scopes=scopes
    )


def _object(text: bytes) -> Mapping[str, Any]:
    """The object, if no reader could read it otherwise. Raises AssertionError."""

    def undoubled(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    document: Mapping[str, Any] = json.loads(text.decode("utf-8"), object_pairs_hook=undoubled)
    return document


TARGET = Target(
    name="tokens",
    about="the verifier of tokens, and published key sets",
    run=by_first_letter(
        {
            "w": whole,
            "s": signed_with_the_secret,
            "k": signed_with_a_key,
            "c": changed_claims,
            "j": key_sets,
        }
    ),
    words=(
        *(b'"alg"', b'"HS256"', b'"RS256"', b'"ES256"', b'"EdDSA"', b'"none"', b'"typ"', b'"JWT"', b'"kid"', b'"crit"'),
        *(b'"b64"', b'"jwk"', b'"jku"', b'"x5u"', b'"x5c"', b'"zip"', b'"iss"', b'"aud"', b'"billing"', b'"exp"'),
        *(b'"iat"', b'"nbf"', b'"sub"', b'"merchant_id"', b'"platform"', b'"scope"', b"null", b"true", b"[]", b"{}"),
        *(b"1e400", b"NaN", b"99999999999", b"-1", b"\\u0000", b"\\ud800", b".", b"\n--\n", b'"keys"', b'"kty"'),
        *(b'"RSA"', b'"crv"', b'"P-256"', b'"Ed25519"', b'"n"', b'"e"', b'"AQAB"', b'"x"', b'"y"', b'"key_ops"'),
        *(b'"verify"', b'"use"', b'"sig"', b'"d"'),
    ),
    secrets=(SECRET, TOKEN),
)
