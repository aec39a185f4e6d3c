"""Only what Stripe has signed, lately and with a secret of ours, is Stripe's."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe import WebhookSignature

from billing_adapters.platforms.stripe_checkout.signature import verify_stripe_signature
from billing_core.testing import MOMENT

SECRET, FORMER = "whsec_sample", "whsec_former_sample"
BODY = '{"id": "evt_1", "note": "déjà vu"}'
SIGNED_AT_S = int(MOMENT.timestamp())


def a_header(secret: str = SECRET, *, at_s: int = SIGNED_AT_S, body: str = BODY) -> str:
    """The header the vendor's own library makes."""
    header: str = WebhookSignature.generate_signature_header(body, secret, at_s)
    return header


def is_ours(header: str, *, body: bytes = BODY.encode(), secrets: tuple[str, ...] = (SECRET,), late_s: int = 0) -> bool:
    """Whether the body is believed, `late_s` seconds after it was signed."""
    return verify_stripe_signature(body, header, secrets, MOMENT + timedelta(seconds=late_s))


class TestSignatures:
    """`Stripe-Signature`."""

    def test_what_stripe_signed_is_believed(self) -> None:
        """By the vendor's own code for signing."""
        assert is_ours(a_header())

    def test_the_former_secret_counts_while_it_is_replaced(self) -> None:
        """In either order, and beside a signature by the new one."""
        assert is_ours(a_header(FORMER), secrets=(SECRET, FORMER))
        assert is_ours(a_header(FORMER), secrets=(FORMER, SECRET))
        both = f"{a_header(FORMER)},{a_header(SECRET).partition(',')[2]}"
        assert is_ours(both, secrets=(SECRET,))

    def test_another_secret_does_not_count(self) -> None:
        """Nor does none, nor a blank one."""
        assert not is_ours(a_header("whsec_other"), secrets=(SECRET, FORMER))
        assert not is_ours(a_header(), secrets=())
        assert not is_ours(a_header(""), secrets=("",))
        assert not is_ours(a_header("  "), secrets=("  ",))

    def test_a_changed_body_is_noticed(self) -> None:
        """By a single byte."""
        assert not is_ours(a_header(), body=BODY.encode() + b" ")

    @pytest.mark.parametrize(
        ("late_s", "believed"), [(0, True), (299, True), (301, False), (-299, True), (-301, False)]
    )
    def test_it_counts_for_five_minutes(self, late_s: int, believed: bool) -> None:
        """So that what was overheard cannot be sent again later; by the clock that is handed in, either way."""
        assert is_ours(a_header(), late_s=late_s) == believed

    def test_a_second_timestamp_cannot_make_an_old_one_young(self) -> None:
        """The one that is checked is the one that was signed."""
        old = a_header(at_s=SIGNED_AT_S - 9000)

        for young in (f"{old},t={SIGNED_AT_S}", f"t={SIGNED_AT_S},{old}", old.replace("t=", f"t={SIGNED_AT_S},t=")):
            assert not is_ours(young)

    @pytest.mark.parametrize("spelling", ["t= {}", "t={} ", "t=+{}", "T={}", " t={}", "t={}=1", "t=1_{}"])
    def test_a_timestamp_is_digits(self, spelling: str) -> None:
        """Whatever Python would take for a number."""
        signature = a_header().partition(",")[2]

        assert not is_ours(f"{spelling.format(SIGNED_AT_S)},{signature}")

    def test_another_scheme_does_not_count(self) -> None:
        """`v0` is for Stripe's own tests."""
        assert not is_ours(a_header().replace("v1=", "v0="))

    @given(header=st.text() | st.text("tv10=,é ").map(lambda text: f"t={SIGNED_AT_S},{text}"), body=st.binary())
    def test_nothing_that_is_sent_breaks_it(self, header: str, body: bytes) -> None:
        """It is simply not believed."""
        assert not is_ours(header, body=body)
