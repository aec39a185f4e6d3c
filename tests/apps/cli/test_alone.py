"""Commands that need no server, and the others where no server is."""

from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from tests.apps.cli.conftest import Billing

from billing_adapters.settings import DEVELOPMENT_SECRET, Settings
from billing_cli.checkout_form import read_checkout
from billing_cli.configuration import mask_url
from billing_cli.errors import NoSigningSecret, ServiceFailed
from billing_cli.processes import Backoff
from billing_cli.purchase_screen import document
from billing_cli.terminal import interval
from billing_cli.tokens import Signer
from billing_core.domain.purchases import PurchaseStatus
from billing_core.testing import a_purchase


class TestToken:
    def test_it_carries_what_the_service_requires(self, lone_billing: Billing) -> None:
        """A token has every required claim, the scopes asked for, and the lifetime asked for."""
        answer = lone_billing.json(
            "token", "--merchant", "m-1", "--platform", "sandbox", "--scope", "billing:read", "--ttl", "2h"
        )

        claims = jwt.decode(answer["token"], OctKey.import_key(DEVELOPMENT_SECRET), algorithms=["HS256"]).claims
        assert claims["exp"] - claims["iat"] == 7200
        assert {name: claims[name] for name in ("iss", "aud", "sub", "merchant_id", "platform", "scope")} == {
            "iss": "billing-development",
            "aud": "billing",
            "sub": "billing-cli",
            "merchant_id": "m-1",
            "platform": "sandbox",
            "scope": "billing:read",
        }

    def test_scopes_may_be_one_text_and_a_bare_lifetime_is_seconds(self, lone_billing: Billing) -> None:
        """Scopes are also read as a token writes them, with spaces between, and `--ttl 60` is a minute."""
        answer = lone_billing.json(
            "token",
            "--merchant",
            "m-1",
            "--platform",
            "sandbox",
            "--scope",
            "billing:read billing:write",
            "--ttl",
            "60",
        )

        assert (answer["scope"], answer["expires_in_s"]) == ("billing:read billing:write", 60)

    def test_without_json_it_is_alone_on_stdout(self, lone_billing: Billing) -> None:
        """The bare command prints the token and nothing else, for `$(…)`."""
        result = lone_billing("token", "--merchant", "m-1", "--platform", "sandbox")

        assert result.exit_code == 0
        assert result.stdout.count(".") == 2
        assert len(result.stdout.split()) == 1

    def test_none_can_be_signed_where_a_public_key_verifies(self) -> None:
        """A deployment with a JWKS address has no secret to sign with."""
        settings = Settings(_env_file=None, jwt_jwks_url="https://issuer.example/keys")

        with pytest.raises(NoSigningSecret):
            Signer.of(settings)


class TestConfiguration:
    def test_it_shows_every_setting_and_no_secret(self, lone_billing: Billing) -> None:
        """Every variable is listed with its source; passwords are stars, also inside URLs."""
        lone_billing.environment |= {
            "BILLING_JWT_SECRET": "hidden://" + "x" * 40,
            "BILLING_STRIPE_SECRET_KEY": "sk_hidden",
        }

        shown = lone_billing.json("config", "show")

        assert set(shown) == {f"BILLING_{name.upper()}" for name in Settings.model_fields}
        assert shown["BILLING_DATABASE_URL"] == {
            "value": "postgresql://billing:********@127.0.0.1:1/billing",
            "source": "environment",
        }
        assert shown["BILLING_NATS_URL"]["value"] == "nats://********@127.0.0.1:1"
        assert shown["BILLING_JWT_SECRET"]["value"] == "********"
        assert shown["BILLING_PORT"] == {"value": 8016, "source": "default"}
        assert "hidden" not in str(shown)

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("redis://:s3@h:1/0", "redis://:********@h:1/0"),
            ("nats://tok@h:1,nats://u:p@i:2", "nats://********@h:1,nats://u:********@i:2"),
            ("postgresql://h/d?user=u&password=p@1&x=y", "postgresql://h/d?user=u&password=********&x=y"),
            ("postgresql://u:a@b@h/d", "postgresql://u:********@h/d"),
            ("https://h/keys", "https://h/keys"),
            ("postgresql://u:p@h:1,i:2/d", "postgresql://u:********@h:1,i:2/d"),
            # Written without escapes, so that a parser would take a part of the password for something else.
            ("postgresql://u:a/b@h/d", "********"),
            ("postgresql://u:a?b@h/d", "********"),
            ("postgresql://u:a#b@h/d", "********"),
            ("postgresql://u:a,b@h/d", "postgresql://u:********@h/d"),
            ("redis://:a/b", "********"),
            ("s3cret", "********"),
            ("nats://tok/en@h:1,nats://u:p@i:2", "********,nats://u:********@i:2"),
        ],
    )
    def test_secrets_in_urls_are_hidden(self, url: str, shown: str) -> None:
        """Whatever place of a URL holds a secret, it is not shown."""
        assert mask_url(url) == shown

    def test_words_are_read_in_any_case(self, lone_billing: Billing) -> None:
        """`DEBUG` is a log level and `Off` an answer, as people write them."""
        lone_billing.environment |= {"BILLING_LOG_LEVEL": "DEBUG", "BILLING_METRICS_AUTH": "Off"}

        shown = lone_billing.json("config", "show")

        assert [shown[name]["value"] for name in ("BILLING_LOG_LEVEL", "BILLING_METRICS_AUTH")] == ["debug", "off"]

    def test_a_wrong_setting_is_one_sentence(self, lone_billing: Billing) -> None:
        """A setting that cannot be used ends the command with 1 and names its variable."""
        lone_billing.environment["BILLING_PORT"] = "many"

        result = lone_billing("config", "show")

        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("INVALID_CONFIGURATION: BILLING_PORT")
        assert "Traceback" not in result.stderr


class TestPurchaseScreen:
    def test_a_closed_purchase_shows_no_checkout(self) -> None:
        """Nobody is handed the address of a checkout that is over, operators included."""
        over = a_purchase(status=PurchaseStatus.COMPLETED)

        assert over.checkout_url is not None
        assert document(over)["checkout_url"] is None


class TestNobodyThere:
    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (["db", "current"], "SERVICE_UNAVAILABLE"),
            (["db", "upgrade"], "SERVICE_UNAVAILABLE"),
            (["jobs", "list"], "SERVICE_UNAVAILABLE"),
            (["purchases", "list"], "SERVICE_UNAVAILABLE"),
            (["merchants", "show", "m-1"], "SERVICE_UNAVAILABLE"),
            (["events", "tail", "--no-follow"], "PUBLISHING_UNAVAILABLE"),
        ],
        ids=" ".join,
    )
    def test_a_server_that_is_away_is_one_sentence(
        self, lone_billing: Billing, arguments: list[str], code: str
    ) -> None:
        """Without its server a command exits with 1 and a sentence with a code, never a traceback."""
        result = lone_billing(*arguments)

        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith(f"{code}: ")
        assert "Traceback" not in result.stderr

    def test_the_doctor_says_what_to_start_and_exits_1(self, lone_billing: Billing) -> None:
        """Servers that are away are findings with a remedy; Redis is only a warning; no secret is shown."""
        result = lone_billing("doctor")

        assert result.exit_code == 1
        for expected in ("fail  postgres", "warn  redis", "fail  nats", "set BILLING_DATABASE_URL"):
            assert expected in result.stdout
        assert "hidden" not in result.stdout

    def test_the_doctor_names_platforms_without_credentials(self, lone_billing: Billing) -> None:
        """One that cannot be called fails; one whose webhook door stays closed is a warning."""
        lone_billing.environment |= {
            "BILLING_PLATFORMS": "shopify,stripe",
            "BILLING_STRIPE_SECRET_KEY": "sk_test_sample",
            "BILLING_WEBHOOK_DOOR": "on",
        }

        result = lone_billing("doctor")

        assert "fail  shopify" in result.stdout
        assert "BILLING_SHOPIFY_TOKEN_URL" in result.stdout
        assert "warn  stripe" in result.stdout
        assert "BILLING_STRIPE_WEBHOOK_SECRET" in result.stdout

    def test_up_is_for_development(self, lone_billing: Billing) -> None:
        """In production `billing up` refuses, whatever else is configured."""
        lone_billing.environment |= {
            "BILLING_ENV": "production",
            "BILLING_JWT_SECRET": "s" * 40,
            "BILLING_PLATFORMS": "stripe",
        }

        result = lone_billing("up", "--port", "0")

        assert result.exit_code == 1
        assert result.stderr.startswith("NOT_FOR_PRODUCTION: ")


class TestBackoff:
    def test_it_doubles_to_ten_seconds_and_starts_anew_after_a_calm_minute(self) -> None:
        """A process that dies again and again is started ever later, at most 10 seconds; a calm minute forgives."""
        backoff = Backoff()

        delays = [backoff.died(at_s) - at_s for at_s in range(9)]
        after_calm = backoff.died(100.0) - 100.0

        assert delays == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0])
        assert after_calm == pytest.approx(0.1)


class TestCheckoutForm:
    PAGE = (
        "<title>Pay\n USD 1</title><form action='/a?x=1&amp;y=2' method='post'><input type=hidden name=csrf value=t>"
        "<button name=action value=pay>Pay</button></form>"
        "<form><button name='action' value='decline'>No</button></form>"
    )

    def test_a_pressed_button_sends_its_form(self) -> None:
        """Pressing Pay sends the hidden fields of its own form and the button's value to the form's address."""
        form = read_checkout(self.PAGE, press="pay")

        assert (form.title, form.buttons, form.action) == ("Pay USD 1", ["pay", "decline"], "/a?x=1&y=2")
        assert form.fields == [("csrf", "t"), ("action", "pay")]

    def test_a_page_without_the_button_is_refused(self) -> None:
        """A page that offers no such button is an error that says so."""
        with pytest.raises(ServiceFailed, match="no button 'refund'"):
            read_checkout(self.PAGE, press="refund")


class TestInterval:
    @pytest.mark.parametrize(
        ("length", "text"),
        [
            (timedelta(minutes=1), "1 minute"),
            (timedelta(hours=1), "1 hour"),
            (timedelta(days=2), "2 days"),
            (timedelta(seconds=90), "90 seconds"),
        ],
    )
    def test_it_is_said_in_the_largest_whole_unit(self, length: timedelta, text: str) -> None:
        """Intervals are read, not calculated."""
        assert interval(length) == text
