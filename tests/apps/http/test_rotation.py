"""Secrets and keys are replaced in three steps, and nobody who is entitled is refused on the way (docs/security.md)."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey
from tests.apps.http.door import open_door, signed, some_claims, some_settings
from tests.apps.http.test_tokens import HOSTILE, pem, resigned, signed_by
from tests.apps.http.vendors import (
    SHOPIFY,
    STRIPE,
    a_body,
    knock,
    open_settings,
    shopify_headers,
    some_billing,
    stripe_headers,
)

from billing_adapters.settings import InvalidConfiguration
from billing_cli.tokens import Signer
from billing_core.testing import FixedClock, InMemoryBilling
from billing_http.refusals import Unauthenticated
from billing_http.tokens import token_verifier

OLD, NEW = "an-old-sample-secret-of-enough-bytes-for-hs256", "a-new-sample-secret-of-enough-bytes-for-hs256"
P256, OTHER_P256, ED = ECKey.generate_key("P-256"), ECKey.generate_key("P-256"), OKPKey.generate_key("Ed25519")

BODY = a_body()

Sign = Callable[[Mapping[str, Any]], str]


class Roll:
    """What is replaced: the variable, the old value and the new one, and how the issuer signs with each."""

    def __init__(self, field: str, old: str, new: str, signs_old: Sign, signs_new: Sign) -> None:
        self.field, self.old, self.new = field, old, new
        self.signs_old, self.signs_new = signs_old, signs_new

    def settings(self, value: str, previous: str | None = None) -> dict[str, Any]:
        """The configuration of a process."""
        return {"jwt_secret": None, "platforms": ("sandbox",), self.field: value, f"{self.field}_previous": previous}


ROLLS = {
    "secrets": Roll("jwt_secret", OLD, NEW, lambda c: signed(c, secret=OLD), lambda c: signed(c, secret=NEW)),
    "keys": Roll(
        "jwt_public_key",
        pem(P256),
        pem(OTHER_P256),
        lambda c: signed_by(P256, "ES256", c),
        lambda c: signed_by(OTHER_P256, "ES256", c),
    ),
    "keys of two kinds": Roll(
        "jwt_public_key",
        pem(P256),
        pem(ED),
        lambda c: signed_by(P256, "ES256", c),
        lambda c: signed_by(ED, "EdDSA", c),
    ),
}


@pytest.mark.parametrize("roll", ROLLS.values(), ids=ROLLS.keys())
async def test_three_steps_refuse_nobody(roll: Roll, billing: InMemoryBilling) -> None:
    """Two processes, replaced one after the other; the issuer signs with one key at a time, and its tokens live on for
    a while. Every token that lives is good at every process at every moment, and in the end the old key is worth
    nothing."""
    caller = await billing.register()
    before, both, after = roll.settings(roll.old), roll.settings(roll.new, roll.old), roll.settings(roll.new)
    old, new = (sign(some_claims(billing.clock, caller.merchant_id)) for sign in (roll.signs_old, roll.signs_new))

    moments: list[tuple[list[dict[str, Any]], list[str]]] = [
        ([before, before], [old]),
        ([both, before], [old]),  # 1. every process gets the new one, and the old one as the former
        ([both, both], [old]),
        ([both, both], [old, new]),  # 2. the issuer signs with the new one
        ([both, both], [new]),  # the last token of the old one has expired
        ([after, both], [new]),  # 3. every process forgets the old one
        ([after, after], [new]),
    ]
    answers = [
        await status_of(billing, process, token)
        for processes, tokens in moments
        for process in processes
        for token in tokens
    ]

    assert answers == [200] * len(answers)
    assert [await status_of(billing, after, old), await status_of(billing, before, new)] == [401, 401]


async def status_of(billing: InMemoryBilling, settings: dict[str, Any], token: str) -> int:
    """What a process of that configuration answers to the token."""
    async with open_door(billing, some_settings(**settings)) as door:
        door.token = token
        return (await door.get("/api/billing")).status_code


@pytest.mark.parametrize("token", HOSTILE.values(), ids=HOSTILE.keys())
async def test_while_a_secret_is_replaced_no_hostile_token_is_accepted(token: str) -> None:
    """The former secret opens nothing that the present one does not."""
    settings = some_settings(jwt_secret=NEW, jwt_secret_previous="a-secret-of-the-tests-with-enough-bytes-in-it")

    with pytest.raises(Unauthenticated):
        await token_verifier(settings, FixedClock()).verify(token)


async def test_new_tokens_are_signed_with_the_first_alone() -> None:
    """What `billing token` signs is good where the former secret is forgotten already."""
    signer = Signer.of(some_settings(jwt_secret=NEW, jwt_secret_previous=OLD))

    assert signer.secret == NEW


@pytest.mark.parametrize("previous", ["", None])
async def test_a_former_secret_of_nothing_is_none(previous: str | None) -> None:
    """An empty file must not make a key that everybody knows."""
    verifier = token_verifier(some_settings(jwt_secret=NEW, jwt_secret_previous=previous), clock := FixedClock())

    with pytest.raises(Unauthenticated):
        await verifier.verify(resigned({"alg": "HS256"}, some_claims(clock, "merchant-1"), secret=""))


@pytest.mark.parametrize(
    ("wrong", "variable"),
    [
        ({"jwt_secret_previous": pem(P256)}, "BILLING_JWT_SECRET_PREVIOUS"),
        (
            {"jwt_public_key_previous": "-----BEGIN PUBLIC KEY-----\nAA\n-----END PUBLIC KEY-----"},
            "BILLING_JWT_PUBLIC_KEY_PREVIOUS",
        ),
        ({"jwt_public_key_previous": pem(P256, private=True)}, "BILLING_JWT_PUBLIC_KEY_PREVIOUS"),
    ],
    ids=["a public key for a secret", "no key", "a private key"],
)
def test_a_former_key_that_cannot_be_used_is_told_at_the_start(wrong: dict[str, str], variable: str) -> None:
    """By its variable, like the present one."""
    with pytest.raises(InvalidConfiguration, match=variable):
        token_verifier(some_settings(**wrong), FixedClock())


@pytest.mark.parametrize("path", [SHOPIFY, STRIPE])
async def test_a_webhook_secret_is_replaced_without_a_refused_delivery(path: str) -> None:
    """Shopify signs with the old one for a while after it was replaced, Stripe with both: every delivery is taken, at
    processes that were replaced already and at those that were not."""
    field = {SHOPIFY: "shopify_client_secret", STRIPE: "stripe_webhook_secret"}[path]
    before, both, after = [
        {field: value, f"{field}_previous": previous} for value, previous in ((OLD, None), (NEW, OLD), (NEW, None))
    ]
    sign = shopify_headers if path == SHOPIFY else stripe_headers
    old, new = sign(BODY, secret=OLD), sign(BODY, secret=NEW)
    stripes = "Stripe-Signature"
    twice = old | {stripes: f"{old[stripes]},{new[stripes].partition(',')[2]}"} if path == STRIPE else old

    moments = [(before, [old]), (both, [old]), (both, [twice, new]), (after, [new])]
    if path == STRIPE:
        moments += [(before, [twice]), (after, [twice])]  # both sign, so either will do
    answers = [await taken(path, process, headers) for process, deliveries in moments for headers in deliveries]

    assert answers == [200] * len(answers)
    assert await taken(path, after, old) == 401


async def taken(path: str, settings: dict[str, Any], headers: Mapping[str, str]) -> int:
    """What a process of that configuration answers to the delivery."""
    async with open_door(some_billing(), open_settings(**settings)) as door:
        return (await knock(door, path, BODY, headers)).status_code
