"""Tokens: what is accepted is exactly what the contract says, and nothing a forger could send."""

import base64
import hmac
import json
import warnings
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from tests.apps.http.door import SECRET, Door, assert_problem, open_door, signed, some_claims, some_settings

from billing_adapters.settings import InvalidConfiguration
from billing_core.testing import MOMENT, FixedClock, InMemoryBilling
from billing_http.refusals import Unauthenticated
from billing_http.tokens import TokenVerifier, token_verifier

RSA = RSAKey.generate_key(2048)
P256, P384, ED = ECKey.generate_key("P-256"), ECKey.generate_key("P-384"), OKPKey.generate_key("Ed25519")


def pem(key: RSAKey | ECKey | OKPKey, *, private: bool = False) -> str:
    """The key as PEM."""
    return key.as_pem(private=private).decode()


def small_rsa_pem() -> str:
    """An RSA key of too few bits."""
    return (
        rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - that it is refused is the fact
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def signed_by(key: Key, algorithm: str, claims: Mapping[str, Any], **header: Any) -> str:
    """A token of that algorithm."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # of the name EdDSA
        return jwt.encode({"alg": algorithm, **header}, dict(claims), key, algorithms=[algorithm])


def part(document: object) -> str:
    """A part of a token, from JSON or from the text of something like it."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def resigned(header: object, payload: object, secret: str = SECRET) -> str:
    """A token with any header and payload whatever, and a good HS256 signature."""
    signing_input = f"{part(header)}.{part(payload)}"
    signature = hmac.digest(secret.encode(), signing_input.encode(), "sha256")
    return f"{signing_input}.{part(signature)}"


def good(**changes: Any) -> dict[str, Any]:
    """Good claims, and changes."""
    return some_claims(InMemoryBilling().clock, **{"merchant_id": "merchant-1", **changes})


def with_exp(number: str) -> bytes:
    """Good claims as JSON, with this for `exp`."""
    return json.dumps(good(exp=0)).replace('"exp": 0', f'"exp": {number}').encode()


NOW = int(FixedClock().now().timestamp())
HOSTILE: dict[str, str] = {
    "nothing": "",
    "garbage": "a.b.c",
    "two parts": "a.b",
    "four parts": signed(good()) + ".x",
    "another secret": signed(good(), secret="another-secret-of-forty-bytes-at-the-least"),
    "cut signature": signed(good())[:-2],
    "no signature": signed(good()).rpartition(".")[0] + ".",
    "payload of another": ".".join((signed(good()).split(".")[0], part(good(sub="x")), signed(good()).split(".")[2])),
    "alg none": f"{part({'alg': 'none'})}.{part(good())}.",
    "alg None": f"{part({'alg': 'None'})}.{part(good())}.AA",
    "HS512": jwt.encode({"alg": "HS512"}, good(), OctKey.import_key(SECRET * 2), algorithms=["HS512"]),
    "RS256 with its own key": signed_by(RSA, "RS256", good(), jwk=RSA.as_dict(private=False)),
    "ES256": signed_by(P256, "ES256", good()),
    "no alg": resigned({"typ": "JWT"}, good()),
    "alg is a list": resigned({"alg": ["HS256"]}, good()),
    "crit": resigned({"alg": "HS256", "crit": ["exp"], "exp": 1}, good()),
    "crit empty": resigned({"alg": "HS256", "crit": []}, good()),
    "b64": resigned({"alg": "HS256", "b64": True}, good()),
    "jwk": resigned({"alg": "HS256", "jwk": {"kty": "oct", "k": "AA"}}, good()),
    "jku": resigned({"alg": "HS256", "jku": "https://evil.example/keys"}, good()),
    "x5u": resigned({"alg": "HS256", "x5u": "https://evil.example/cert"}, good()),
    "x5c": resigned({"alg": "HS256", "x5c": ["AA"]}, good()),
    "kid is a number": resigned({"alg": "HS256", "kid": 1}, good()),
    "kid with a line end": resigned({"alg": "HS256", "kid": "a\nb"}, good()),
    "another type": resigned({"alg": "HS256", "typ": "dpop+jwt"}, good()),
    "alg twice": resigned(b'{"alg": "none", "alg": "HS256"}', good()),
    "header is a list": resigned([], good()),
    "nested header": resigned(b"[" * 300, good()),
    "payload is a list": resigned({"alg": "HS256"}, []),
    "payload is no JSON": resigned({"alg": "HS256"}, b"{"),
    "nested payload": resigned({"alg": "HS256"}, b"[" * 5000),
    "claim twice": resigned({"alg": "HS256"}, json.dumps(good())[:-1].encode() + b', "merchant_id": "other"}'),
    "NaN": resigned({"alg": "HS256"}, json.dumps(good())[:-1].encode() + b', "x": NaN}'),
    "too large": signed(good(x="x" * 8000)),
    **{f"no {name}": signed(good(**{name: None})) for name in good()},
    "expired now": signed(good(exp=NOW)),
    "expired long ago": signed(good(exp=0)),
    "exp below zero": signed(good(exp=-1)),
    "exp is text": signed(good(exp=str(NOW + 600))),
    "exp is a float": signed(good(exp=NOW + 600.5)),
    "exp is true": signed(good(exp=True)),
    "exp is endless": resigned(
        {"alg": "HS256"}, json.dumps(good() | {"exp": 0}).replace('"exp": 0', '"exp": 1e400').encode()
    ),
    "exp of 5000 digits": resigned(
        {"alg": "HS256"}, json.dumps(good() | {"exp": 0}).replace('"exp": 0', '"exp": ' + "9" * 5000).encode()
    ),
    "iat is text": signed(good(iat="now")),
    "iat is true": signed(good(iat=True)),
    "iat to come": signed(good(iat=NOW + 31)),
    "nbf to come": signed(good(nbf=NOW + 31)),
    "nbf is text": signed(good(nbf="0")),
    "nbf is null": resigned({"alg": "HS256"}, good() | {"nbf": None}),
    "another issuer": signed(good(iss="other")),
    "issuer is a list": signed(good(iss=["issuer"])),
    "another audience": signed(good(aud="other")),
    "no audience": signed(good(aud=[])),
    "other audiences": signed(good(aud=["a", "b"])),
    "audiences of other types": signed(good(aud=["billing", 1])),
    "audience is an object": signed(good(aud={"billing": 1})),
    "merchant is a number": signed(good(merchant_id=7)),
    "merchant is empty": signed(good(merchant_id="")),
    "merchant of bad characters": signed(good(merchant_id="a b")),
    "merchant with a line end": signed(good(merchant_id="merchant-1\n")),
    "merchant too long": signed(good(merchant_id="m" * 129)),
    "subject is empty": signed(good(sub="")),
    "subject with NUL": signed(good(sub="a\0b")),
    "subject too long": signed(good(sub="s" * 256)),
    "platform is a list": signed(good(platform=["sandbox"])),
    "scope is a list": signed(good(scope=["billing:read"])),
}


def a_verifier(**settings: Any) -> TokenVerifier:
    """A verifier at the moment of the tests, on the second: tokens count seconds."""
    return token_verifier(some_settings(**settings), FixedClock(MOMENT.replace(microsecond=0)))


@pytest.mark.parametrize("token", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_token_is_refused(token: str) -> None:
    """No forged, malformed, expired or incomplete token is accepted where a secret is configured."""
    with pytest.raises(Unauthenticated):
        await a_verifier().verify(token)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aud": ["other", "billing"]},
        {"nbf": NOW + 30},
        {"iat": NOW + 30},
        {"exp": NOW + 1},
        {"exp": 2**53},
        {"merchant_id": "A.b_c:d-" + "9" * 120},
        {"sub": "auth0|Jörg Müller"},
        {"unknown": {"deep": [1.5]}},
    ],
)
async def test_a_good_token_is_accepted(changes: dict[str, Any]) -> None:
    """Every form the contract allows is accepted."""
    claims = good(**changes)

    principal = await a_verifier().verify(resigned({"alg": "HS256", "kid": "any", "x-unknown": 1}, claims))

    assert (principal.merchant_id, principal.subject) == (claims["merchant_id"], claims["sub"])
    assert principal.scopes == {"billing:read", "billing:write"}


async def test_a_remembered_token_expires_too() -> None:
    """A token accepted a second before its expiry is refused at it."""
    clock = FixedClock()
    verifier = token_verifier(some_settings(), clock)
    token = signed(good(exp=NOW + 2))
    await verifier.verify(token)

    clock.advance(timedelta(seconds=2))

    with pytest.raises(Unauthenticated, match="expired"):
        await verifier.verify(token)


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (P256, "ES256"), (ED, "EdDSA")])
async def test_a_public_key_accepts_its_own_algorithm_alone(key: RSAKey | ECKey | OKPKey, algorithm: str) -> None:
    """With a PEM key its algorithm is accepted, and neither another one nor its bytes used as a secret."""
    verifier = a_verifier(jwt_secret=None, jwt_public_key=pem(key))
    others: list[tuple[RSAKey | ECKey | OKPKey, str]] = [
        (RSA, "RS256"), (RSA, "RS512"), (RSA, "PS256"), (P256, "ES256"), (ED, "EdDSA")
    ]  # fmt: skip

    principal = await verifier.verify(signed_by(key, algorithm, good()))

    assert principal.merchant_id == "merchant-1"
    for other, its_algorithm in others:
        if its_algorithm != algorithm:
            with pytest.raises(Unauthenticated):
                await verifier.verify(signed_by(other, its_algorithm, good()))
    for secret in (pem(key), pem(key).strip(), SECRET):
        with pytest.raises(Unauthenticated):
            await verifier.verify(resigned({"alg": "HS256"}, good(), secret))


def test_a_public_key_is_no_secret() -> None:
    """Who puts a public key where the secret belongs is told so: everybody could sign with it."""
    with pytest.raises(InvalidConfiguration, match="BILLING_JWT_SECRET"):
        a_verifier(jwt_secret=pem(RSA))


@pytest.mark.parametrize(
    "text",
    ["-----BEGIN PUBLIC KEY-----\nAA\n-----END PUBLIC KEY-----", small_rsa_pem(), pem(P384), pem(RSA, private=True)],
)
def test_a_key_that_cannot_be_used_is_told_at_the_start(text: str) -> None:
    """Short keys, other curves, private keys and garbage are refused with the variable's name."""
    with pytest.raises(InvalidConfiguration, match="BILLING_JWT_PUBLIC_KEY"):
        a_verifier(jwt_secret=None, jwt_public_key=text)


async def test_a_key_on_one_line_is_read() -> None:
    """A PEM with escaped line ends, as variables carry it, is the same key."""
    verifier = a_verifier(jwt_secret=None, jwt_public_key=pem(P256).replace("\n", "\\n"))

    assert (await verifier.verify(signed_by(P256, "ES256", good()))).merchant_id == "merchant-1"


class TestAnswers:
    async def test_a_bad_token_is_told_with_a_challenge(self, door: Door) -> None:
        """401 says why in words and in WWW-Authenticate, and shows nothing of the token."""
        door.token = signed(some_claims(door.billing.clock, door.caller.merchant_id, exp=1))

        answer = await door.get("/api/billing")

        assert_problem(answer, 401, "UNAUTHENTICATED")
        assert answer.headers["www-authenticate"] == (
            'Bearer realm="billing", error="invalid_token", error_description="The token has expired."'
        )
        assert door.token not in answer.text

    @pytest.mark.parametrize(
        ("scope", "method", "path"),
        [
            ("", "GET", "/api/billing"),
            ("billing:write", "GET", "/api/billing/trials"),
            ("billing:read", "POST", "/api/billing/trials"),
            ("billing:reader billing:READ", "GET", "/api/billing/packs"),
            ("billing:read billing:write", "GET", "/metrics"),
        ],
    )
    async def test_a_token_without_the_scope_is_forbidden(self, door: Door, scope: str, method: str, path: str) -> None:
        """403 names the scope that is missing."""
        door.token = signed(some_claims(door.billing.clock, door.caller.merchant_id, scope=scope))

        answer = await door.client.request(method, path, headers=door.headers())

        assert_problem(answer, 403, "FORBIDDEN")
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]

    async def test_bearer_is_spelled_as_one_likes(self, door: Door) -> None:
        """The scheme's case does not matter (RFC 9110 §11.1)."""
        headers = door.headers(without=["Authorization"], more=[("Authorization", f"bearer  {door.token}")])

        assert (await door.get("/api/billing", headers=headers)).status_code == 200

    async def test_an_asymmetric_key_opens_the_door(self, billing: InMemoryBilling) -> None:
        """A whole request works with a public key alone."""
        settings = some_settings(jwt_secret=None, jwt_public_key=pem(ED))
        async with open_door(billing, settings) as door:
            door.token = signed_by(ED, "EdDSA", some_claims(billing.clock, door.caller.merchant_id))

            assert (await door.get("/api/billing")).status_code == 200
