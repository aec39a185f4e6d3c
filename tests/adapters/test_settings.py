"""The configuration: read strictly, refused clearly."""

import re
from pathlib import Path

import pytest

from billing_adapters.settings import DEVELOPMENT_SECRET, InvalidConfiguration, Settings, load_settings
from billing_core.domain.packs import default_catalog
from billing_core.errors import InvalidCatalog

ROOT = Path(__file__).parents[2]
PEM = "-----BEGIN PUBLIC KEY-----\nAA\n-----END PUBLIC KEY-----"
GOOD = {
    "jwt_secret": "x" * 40,
    "jwt_secret_previous": "y" * 40,
    "jwt_public_key": PEM,
    "jwt_public_key_previous": PEM.replace("AA", "BB"),
    "jwt_jwks_url": "https://issuer.example/keys",
    "shopify_token_url": "HTTPS://tokens.example/",
    "stripe_webhook_secret": "whsec_a",
    "stripe_webhook_secret_previous": "whsec_b",
    "platforms": "shopify,stripe",
    "database_url": "postgresql://billing:other@db/billing",
}
# Words of the remedies, which say how a value is written.
_SHOWN = {"postgresql", "file", "such"}


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment and a folder without settings."""
    for field in Settings.model_fields:
        monkeypatch.delenv(f"BILLING_{field.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)


def test_every_setting_stands_in_the_example_with_its_meaning() -> None:
    """`.env.example` names every variable, in order, behind a line that explains it."""
    example = (ROOT / ".env.example").read_text("utf-8")

    found = re.findall(r"^# (.+)\n#(BILLING_\w+)=", example, re.MULTILINE)

    assert [(about, name) for about, name in found] == [
        (field.description, f"BILLING_{name.upper()}") for name, field in Settings.model_fields.items()
    ]


def test_a_value_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`…_FILE` names the file; the newline at its end is not part of the value."""
    secret = tmp_path / "secret"
    secret.write_text("x" * 40 + "\n")
    monkeypatch.setenv("BILLING_JWT_SECRET_FILE", str(secret))

    settings = load_settings()

    assert settings.signing_secret() == "x" * 40


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BILLING_PORT", "65536"),
        ("BILLING_RATE_LIMIT_PER_MINUTE", "-1"),
        ("BILLING_RATE_LIMIT_BURST", "0"),
        ("BILLING_ENV", "staging"),
        ("BILLING_PLATFORMS", "paypal"),
        ("BILLING_DATABASE_URL", "mysql://billing@localhost/billing"),
        ("BILLING_SHOPIFY_API_VERSION", "latest"),
        ("BILLING_JWT_PUBLIC_KEY", "/there/is/no/such.pem"),
        ("BILLING_JWT_SECRET_FILE", "/there/is/no/such/secret"),
        ("BILLING_JWT_SECRET_FILE", "/bin/sh"),
        ("BILLING_DATABASE_URL", "postgresql://billing:half/other@127.0.0.1/billing"),
    ],
)
def test_a_wrong_value_is_refused_by_its_variable(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """The refusal names the variable to mend, and where there may be a secret in it, nothing of the value."""
    monkeypatch.setenv(variable, value)

    with pytest.raises(InvalidConfiguration, match=variable) as refused:
        load_settings()

    if variable.endswith(("_URL", "_KEY", "_FILE")):
        assert not any(
            part in str(refused.value) for part in re.split("[:/@]+", value) if len(part) > 3 and part not in _SHOWN
        )


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///billing?host=/run/postgresql",
        "postgresql+asyncpg://billing:p%2Fq@one:5432,two/billing?sslmode=disable",
        "postgres://billing:p@q@[::1]:5432/billing",
    ],
)
def test_every_form_of_a_database_url_is_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Sockets, several hosts, addresses, and passwords with what no parser mistakes."""
    monkeypatch.setenv("BILLING_DATABASE_URL", url)

    assert load_settings().database_url.get_secret_value() == url


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "BILLING_JWT_SECRET"),
        ({"jwt_secret": DEVELOPMENT_SECRET}, "development sample"),
        ({"jwt_secret": "short"}, "at least 32 bytes"),
        ({"jwt_secret": "x" * 40}, "take sandbox out"),
        ({"jwt_secret": "x" * 40, "platforms": "stripe"}, "sample password"),
        ({"jwt_secret_previous": "short"}, "JWT_SECRET_PREVIOUS must have at least 32 bytes"),
        ({"jwt_secret_previous": DEVELOPMENT_SECRET}, "JWT_SECRET_PREVIOUS is the development sample"),
        ({"jwt_secret": "x" * 40, "jwt_secret_previous": "x" * 40}, "JWT_SECRET_PREVIOUS is the same"),
        ({"jwt_secret_previous": "x" * 40}, "JWT_SECRET_PREVIOUS is set without"),
        ({"jwt_public_key": PEM, "jwt_public_key_previous": f" {PEM}"}, "JWT_PUBLIC_KEY_PREVIOUS is the same"),
        ({"jwt_public_key_previous": PEM}, "JWT_PUBLIC_KEY_PREVIOUS is set without"),
        (
            {"stripe_webhook_secret": "a", "stripe_webhook_secret_previous": "a"},
            "STRIPE_WEBHOOK_SECRET_PREVIOUS is the",
        ),
        ({"shopify_client_secret_previous": "a"}, "SHOPIFY_CLIENT_SECRET_PREVIOUS is set without"),
        ({"jwt_jwks_url": "http://issuer.example"}, "BILLING_JWT_JWKS_URL must begin with https"),
        ({"shopify_base_url": "http://shop.example"}, "BILLING_SHOPIFY_BASE_URL must begin with https"),
        ({"shopify_token_url": "http://tokens.example"}, "BILLING_SHOPIFY_TOKEN_URL must begin with https"),
        ({"shopify_partner_base_url": "http://x.example"}, "BILLING_SHOPIFY_PARTNER_BASE_URL must begin with https"),
        ({"stripe_base_url": "http://stripe.example"}, "BILLING_STRIPE_BASE_URL must begin with https"),
    ],
)
def test_production_refuses_what_belongs_to_development(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], named: str
) -> None:
    """Sample secrets, the sandbox and sample passwords stop the start, with what to mend."""
    monkeypatch.setenv("BILLING_ENV", "production")
    for field, value in settings.items():
        monkeypatch.setenv(f"BILLING_{field.upper()}", value)

    with pytest.raises(InvalidConfiguration, match=named):
        load_settings()


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        ({}, None),
        ({"env": "production"}, (6000, 600)),
        ({"rate_limit_per_minute": 60}, (60, 6)),
        ({"rate_limit_per_minute": 1}, (1, 1)),
        ({"rate_limit_per_minute": 61, "rate_limit_burst": 100}, (61, 100)),
        ({"env": "production", "rate_limit_per_minute": 0}, None),
        ({"rate_limit_burst": 10}, None),
    ],
    ids=str,
)
def test_requests_are_limited_in_production_and_where_it_is_set(
    settings: dict[str, object], limit: tuple[int, int] | None
) -> None:
    """Development measures the service, not the limit; 0 is off everywhere; a tenth may come at once."""
    found = Settings(_env_file=None, **settings).rate_limit  # type: ignore[arg-type]

    assert (found and (found.per_minute, found.burst)) == limit


def test_production_starts_with_what_belongs_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the middle of a replacement of every secret."""
    monkeypatch.setenv("BILLING_ENV", "production")
    for field, value in GOOD.items():
        monkeypatch.setenv(f"BILLING_{field.upper()}", value)

    assert load_settings().signing_secret() == "x" * 40


def test_the_catalogue_of_the_docs_is_the_built_in_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The example in docs/catalogue.md can be used as it stands, and sells what is built in."""
    text = (ROOT / "docs" / "catalogue.md").read_text("utf-8")
    example = tmp_path / "catalogue.toml"
    example.write_text(re.findall(r"```toml\n(.+?)```", text, re.DOTALL)[0])
    monkeypatch.setenv("BILLING_CATALOG", str(example))

    (catalog,) = load_settings().load_price_book().versions

    built_in = default_catalog()
    assert (catalog.version, catalog.packs, catalog.trial) == (built_in.version, built_in.packs, built_in.trial)


def test_a_catalogue_that_is_wrong_names_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A mistake in the catalogue is told with the file's name."""
    example = tmp_path / "catalogue.toml"
    example.write_text('version = "1"\n[[packs]]\ncode = "small"\ncredits = 1.5\nprices = { USD = "9.99" }\n')
    monkeypatch.setenv("BILLING_CATALOG", str(example))

    with pytest.raises(InvalidCatalog, match=r"catalogue\.toml.*small"):
        load_settings().load_price_book()
