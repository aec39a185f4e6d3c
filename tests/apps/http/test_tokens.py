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
from billing_http.operations import OPERATIONS, Operation
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
    "alg in lower case": resigned({"alg": "hs256"}, good()),
    "alg is null": resigned({"alg": None}, good()),
    "alg with a space": resigned({"alg": "HS256 "}, good()),
    "alg none, signed": resigned({"alg": "none"}, good()),
    "RS256 signed with the secret": resigned({"alg": "RS256"}, good()),
    "EdDSA signed with the secret": resigned({"alg": "EdDSA"}, good()),
    "signed with nothing": resigned({"alg": "HS256"}, good(), secret=""),
    "signed with the public half of RS256": resigned({"alg": "HS256"}, good(), secret=pem(RSA)),
    "zip": resigned({"alg": "HS256", "zip": "DEF"}, good()),
    "crit names what nobody knows": resigned({"alg": "HS256", "crit": ["x-unknown"], "x-unknown": 1}, good()),
    "crit is text": resigned({"alg": "HS256", "crit": "exp"}, good()),
    "jwk is null": resigned({"alg": "HS256", "jwk": None}, good()),
    "x5u to a file": resigned({"alg": "HS256", "x5u": "file:///etc/passwd"}, good()),
    "kid is a list": resigned({"alg": "HS256", "kid": ["a"]}, good()),
    "kid is empty": resigned({"alg": "HS256", "kid": ""}, good()),
    "kid with NUL": resigned({"alg": "HS256", "kid": "a\0"}, good()),
    "kid with a space": resigned({"alg": "HS256", "kid": "a b"}, good()),
    "kid of other letters": resigned({"alg": "HS256", "kid": "kéy"}, good()),
    "kid too long": resigned({"alg": "HS256", "kid": "k" * 129}, good()),
    "typ is a number": resigned({"alg": "HS256", "typ": 1}, good()),
    "typ is null": resigned({"alg": "HS256", "typ": None}, good()),
    "typ of an encrypted token": resigned({"alg": "HS256", "typ": "JWE"}, good()),
    "header is text": resigned("HS256", good()),
    "header is null": resigned(None, good()),
    "header is no UTF-8": resigned(b'{"alg": "HS256", "x": "\xff"}', good()),
    "header with a byte order mark": resigned(b'\xef\xbb\xbf{"alg": "HS256"}', good()),
    "header with NaN": resigned(b'{"alg": "HS256", "x": NaN}', good()),
    "header too large": resigned({"alg": "HS256", "x": "x" * 8000}, good()),
    "empty header": signed(good()).partition(".")[2],
    "empty payload": "{0}..{2}".format(*signed(good()).split(".")),
    "payload is text": resigned({"alg": "HS256"}, "claims"),
    "payload is null": resigned({"alg": "HS256"}, None),
    "payload twice": resigned({"alg": "HS256"}, json.dumps(good()).encode() * 2),
    "a token in a token": resigned({"alg": "HS256", "cty": "JWT"}, signed(good()).encode()),
    "a claim's name spelled in escapes": resigned(
        {"alg": "HS256"}, json.dumps(good())[:-1].encode() + rb', "\u006derchant_id": "other"}'
    ),
    "a surrogate": resigned({"alg": "HS256"}, json.dumps(good())[:-1].encode() + rb', "x": "\ud800"}'),
    "exp twice": resigned({"alg": "HS256"}, json.dumps(good())[:-1].encode() + b', "exp": 99999999999}'),
    "padded": signed(good()) + "=",
    "padded with two": ".".join(each + "==" for each in signed(good()).split(".")),
    "signature in another spelling": signed(good())[:-1] + chr(ord(signed(good())[-1]) + 1),
    "header of one character too many": "A" + signed(good()),
    "signature of one character too many": signed(good()) + "A",
    "base64 of the other alphabet": signed(good(sub="?>" * 40)).replace("-", "+").replace("_", "/") + "+",
    "space inside": signed(good()).replace(".", ". ", 1),
    "line end inside": signed(good()).replace(".", ".\n", 1),
    "line end after": signed(good()) + "\n",
    "NUL after": signed(good()) + "\0",
    "full-width dot": signed(good()).replace(".", "．"),
    "other digits": signed(good()).replace(".", ".\u0661", 1),
    "exp with a fraction of nothing": resigned({"alg": "HS256"}, with_exp(f"{NOW + 600}.0")),
    "exp as a power": resigned({"alg": "HS256"}, with_exp("1e12")),
    "exp beyond 64 bits": resigned({"alg": "HS256"}, with_exp(str(2**63))),
    "exp is NaN": resigned({"alg": "HS256"}, with_exp("NaN")),
    "exp is Infinity": resigned({"alg": "HS256"}, with_exp("Infinity")),
    "exp is null": resigned({"alg": "HS256"}, with_exp("null")),
    "exp is a list": signed(good(exp=[NOW + 600])),
    "exp is false": signed(good(exp=False)),
    "exp is an object": signed(good(exp={"value": NOW + 600})),
    "iat is a float": signed(good(iat=NOW + 0.5)),
    "iat in milliseconds": signed(good(iat=NOW * 1000)),
    "nbf is a float": signed(good(nbf=0.0)),
    "nbf is true": signed(good(nbf=True)),
    "nbf in milliseconds": signed(good(nbf=NOW * 1000)),
    "issuer in another case": signed(good(iss="Issuer")),
    "issuer with a space": signed(good(iss="issuer ")),
    "issuer is null": resigned({"alg": "HS256"}, good() | {"iss": None}),
    "audience in another case": signed(good(aud="Billing")),
    "audience is a number": signed(good(aud=1)),
    "audience in part": signed(good(aud="billing-http")),
    "audience nested": signed(good(aud=[["billing"]])),
    "merchant is a list": signed(good(merchant_id=["merchant-1"])),
    "merchant with NUL": signed(good(merchant_id="merchant-1\0")),
    "merchant with a slash": signed(good(merchant_id="../merchant-1")),
    "merchant of other letters": signed(good(merchant_id="mеrchant-1")),  # a Cyrillic е
    "merchant with a quote": signed(good(merchant_id="' or 1=1 --")),
    "merchant is true": signed(good(merchant_id=True)),
    "subject is a number": signed(good(sub=1)),
    "subject with a line end": signed(good(sub="a\nb")),
    "subject that turns the line around": signed(good(sub="a\u202eb")),
    "platform is empty": signed(good(platform="")),
    "platform is a number": signed(good(platform=1)),
    "platform with NUL": signed(good(platform="sandbox\0")),
    "scope is a number": signed(good(scope=1)),
    "scope is an object": signed(good(scope={"billing:read": True})),
    "scope is null": resigned({"alg": "HS256"}, good() | {"scope": None}),
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


SPELLED_BADLY = {
    "no scheme": "{token}",
    "another scheme": "Basic {token}",
    "no space": "Bearer{token}",
    "a tab for the space": "Bearer\t{token}",
    "a colon": "Bearer: {token}",
    "the scheme alone": "Bearer",
    "the scheme twice": "Bearer Bearer {token}",
    "two in one field": "Bearer {token}, Bearer {token}",
    "two with a space": "Bearer {token} {token}",
    "quoted": 'Bearer "{token}"',
    "as a parameter": "Bearer token={token}",
    "with one more": "Bearer {token}; a=b",
    "padded": "Bearer {token}=",
    "a character that is none": "Bearer {token}\xff",
    "the scheme's name in other letters": "B\xe9arer {token}",
}


@pytest.mark.parametrize("spelled", SPELLED_BADLY.values(), ids=SPELLED_BADLY.keys())
async def test_a_good_token_spelled_badly_is_refused(door: Door, spelled: str) -> None:
    """There is one way to send a token."""
    value = spelled.format(token=door.token).encode("latin-1")
    headers = [(b"Authorization", value), (b"X-Platform", b"sandbox")]

    assert_problem(await door.client.get("/api/billing", headers=headers), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("where", ["access_token", "token", "authorization", "bearer"])
async def test_a_token_counts_in_its_header_alone(door: Door, where: str) -> None:
    """Neither query nor cookie nor another header brings one."""
    others = door.headers(without=["Authorization"], more=[("Cookie", f"{where}={door.token}"), ("X-Auth", door.token)])

    answer = await door.client.get(f"/api/billing?{where}={door.token}", headers=others)

    assert_problem(answer, 401, "UNAUTHENTICATED")


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

    @pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
    async def test_a_token_of_another_platform_is_refused(self, door: Door, operation: Operation) -> None:
        """Though the header and the merchant's record agree: all three must be the same."""
        door.token = signed(some_claims(door.billing.clock, door.caller.merchant_id, platform="shopify"))
        path = operation.path.replace("{id}", "0199aaaa-0000-7000-8000-000000000000")

        answer = await door.client.request(operation.method, path, headers=door.headers(), content=b"{}")

        assert_problem(answer, 403, "PLATFORM_MISMATCH")

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
