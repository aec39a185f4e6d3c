"""Secrets that are known by sight: each has a text in it that stands nowhere else, so whoever tells it is found."""

import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from billing_adapters.settings import Settings


class Canaries:
    """The secrets of one run, each with what it is."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def new(self, name: str, shape: str = "{}") -> str:
        """A secret of that shape, never given before."""
        return shape.format(self.known(name, f"canary{secrets.token_hex(12)}"))

    def known(self, name: str, text: str) -> str:
        """A secret that somebody else made."""
        self._names[text] = name
        return text

    def seen_in(self, text: str) -> set[str]:
        """Which of them the text has."""
        return {name for secret, name in self._names.items() if secret in text}

    def told_by(self, told: Iterable[tuple[str, str]]) -> list[str]:
        """Who told which."""
        return sorted({f"{where} tells {name}" for where, text in told for name in self.seen_in(text)})


def secret_settings(canaries: Canaries, *, platforms: str, urls: Mapping[str, str]) -> dict[str, str]:
    """A value for every setting that is a secret, or has room for one. `platforms` is the address of every platform,
    `urls` those of the servers."""
    for name, url in urls.items():
        parts = urlsplit(url)
        canaries.known(f"password of {name}", str(parts.password or parts.username))
    return {
        **{f"BILLING_{name.upper()}_URL": url for name, url in urls.items()},
        "BILLING_JWT_SECRET": canaries.new("jwt_secret", "https://{}/with-more-than-32-bytes"),
        "BILLING_JWT_SECRET_PREVIOUS": canaries.new("jwt_secret_previous", "https://{}/with-more-than-32-bytes"),
        "BILLING_REDACTION_KEY": canaries.new("redaction_key", "{}-with-more-than-32-bytes"),
        "BILLING_JWT_JWKS_URL": canaries.new("jwt_jwks_url", f"{platforms}/keys?key={{}}"),
        "BILLING_NATS_MONITOR_URL": canaries.new("nats_monitor_url", "http://someone:{}@127.0.0.1:1"),
        "BILLING_OTEL_ENDPOINT": canaries.new("otel_endpoint", "http://someone:{}@127.0.0.1:1"),
        "BILLING_SHOPIFY_ACCESS_TOKEN": canaries.new("shopify_access_token", "shpat_{}"),
        "BILLING_SHOPIFY_TOKEN_URL": canaries.new("shopify_token_url", f"{platforms}/token?key={{}}"),
        "BILLING_SHOPIFY_CLIENT_SECRET": canaries.new("shopify_client_secret"),
        "BILLING_SHOPIFY_CLIENT_SECRET_PREVIOUS": canaries.new("shopify_client_secret_previous"),
        "BILLING_SHOPIFY_PARTNER_TOKEN": canaries.new("shopify_partner_token", "prtapi_{}"),
        "BILLING_STRIPE_SECRET_KEY": canaries.new("stripe_secret_key", "sk_test_{}"),
        "BILLING_STRIPE_WEBHOOK_SECRET": canaries.new("stripe_webhook_secret", "whsec_{}"),
        "BILLING_STRIPE_WEBHOOK_SECRET_PREVIOUS": canaries.new("stripe_webhook_secret_previous", "whsec_{}"),
    }


def in_files(settings: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The settings, every other one in a file that a variable names."""

    def place(number: int, name: str, value: str) -> tuple[str, str]:
        if number % 2:
            return name, value
        (folder / name).write_text(f"{value}\n", encoding="utf-8")
        return f"{name}_FILE", str(folder / name)

    return dict(place(number, name, value) for number, (name, value) in enumerate(sorted(settings.items())))


def settings_that_are_secrets() -> Iterator[str]:
    """The variable of each setting that the configuration takes for a secret."""
    for name, field in Settings.model_fields.items():
        if "SecretStr" in str(field.annotation) or field.annotation is SecretStr:
            yield f"BILLING_{name.upper()}"
