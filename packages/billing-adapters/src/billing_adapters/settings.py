"""The configuration: environment variables with the prefix `BILLING_`, checked once at start.

In development `.env` is read too. Any value may come from a file instead: `BILLING_JWT_SECRET_FILE=/run/secrets/jwt`.
"""

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from billing_core.domain.packs import PriceBook, default_price_book
from billing_core.domain.pseudonyms import SHORTEST_KEY_BYTES, Pseudonyms
from billing_core.domain.rate_limits import MOST_PER_MINUTE, RateLimit
from billing_core.domain.return_urls import ReturnUrlPolicy
from billing_core.errors import BillingError, InvalidCatalog

PREFIX = "BILLING_"
DEVELOPMENT_SECRET = "development-secret-never-use-in-production"  # noqa: S105 - refused in production
SHORTEST_SECRET_BYTES = 32
KNOWN_PLATFORMS = ("shopify", "stripe", "sandbox")
# Each has a former one beside it while it is replaced.
REPLACED_SECRETS = ("jwt_secret", "jwt_public_key", "shopify_client_secret", "stripe_webhook_secret")
CALLED_URLS = ("jwt_jwks_url", "shopify_base_url", "shopify_token_url", "shopify_partner_base_url", "stripe_base_url")
REQUESTS_PER_MINUTE = {"production": 6000, "development": 0}

# Parsers tell what they cannot read in their errors, and that may be half of a password.
_PLACE = r"(?:[^/?#@:\[\],]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?"
_POSTGRES_URL = re.compile(
    rf"postgres(?:ql)?(?:\+asyncpg)?://(?:[^/?#]*@)?{_PLACE}(?:,{_PLACE})*(?:/[^?#]*)?(?:\?[^#]*)?"
)

_Csv = Annotated[tuple[str, ...], NoDecode]


class InvalidConfiguration(BillingError):
    """The configuration cannot be used; the message names each variable and the remedy."""

    code = "INVALID_CONFIGURATION"


class Settings(BaseSettings):
    """Every setting of the three apps. Field `x` is the variable `BILLING_X`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    env: Literal["development", "production"] = Field("development", description="development or production")
    host: str = Field("127.0.0.1", description="Address the HTTP app and the worker's metrics listen on")
    port: int = Field(8016, ge=0, le=65535, description="Port the HTTP app listens on")
    public_url: str | None = Field(None, description="How browsers reach the HTTP app; default http://HOST:PORT")
    docs: bool = Field(False, description="Serve /openapi.json and /docs")
    development_page: bool = Field(False, description="Serve the development page at /")
    metrics_auth: Literal["token", "off"] = Field("token", description="Whether /metrics needs a token")
    worker_metrics_port: int = Field(0, ge=0, le=65535, description="Port of the worker's metrics and health; 0 is off")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level that is logged")

    database_url: SecretStr = Field(
        SecretStr("postgresql://billing:billing@127.0.0.1:5432/billing"), description="PostgreSQL 18 or later"
    )
    database_pool_size: int = Field(10, ge=1, le=200, description="Connections each process keeps at most")
    redis_url: SecretStr = Field(SecretStr("redis://127.0.0.1:6379/0"), description="Redis or Valkey; TLS: rediss://")
    redis_ca_file: Path | None = Field(None, description="PEM of the authority that signed Redis' certificate")
    redis_cert_file: Path | None = Field(None, description="PEM of our certificate, where Redis asks for one (mTLS)")
    redis_key_file: Path | None = Field(None, description="PEM of its key, not encrypted")
    nats_url: SecretStr = Field(SecretStr("nats://127.0.0.1:4222"), description="NATS with JetStream; TLS: tls://")
    nats_ca_file: Path | None = Field(None, description="PEM of the authority that signed NATS' certificate")
    nats_cert_file: Path | None = Field(None, description="PEM of our certificate, where NATS asks for one (mTLS)")
    nats_key_file: Path | None = Field(None, description="PEM of its key, not encrypted")
    nats_nkey_seed: SecretStr | None = Field(None, description="Seed of our NATS user (SU…); billing nats new-key")
    nats_creds_file: Path | None = Field(None, description="The .creds file of our NATS user, instead of a seed")
    nats_inbox_prefix: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$",
        description="Where NATS answers us; default _INBOX_billing_http, …_worker, …_cli",
    )
    nats_monitor_url: str | None = Field(None, description="NATS' monitoring, for `billing doctor`: http://HOST:8222")
    nats_manage_streams: bool = Field(False, description="Also create the MERCHANT and WEBHOOK streams")
    relay_lanes: int = Field(1, ge=1, le=64, description="How many workers may relay events side by side")

    rate_limit_per_minute: int | None = Field(
        None, ge=0, le=MOST_PER_MINUTE, description="Requests of one merchant; 0 is off. Default: 6000 in production"
    )
    rate_limit_burst: int | None = Field(
        None, ge=1, le=MOST_PER_MINUTE, description="How many of them at once; default: a tenth"
    )

    platforms: _Csv = Field(("sandbox",), description="Comma list of shopify, stripe, sandbox")
    catalog: Path | None = Field(None, description="TOML file with packs and trial terms; default: built in")
    return_url_hosts: _Csv = Field((), description="Comma list of hosts merchants may return to; empty: any https host")

    jwt_secret: SecretStr | None = Field(None, description="Secret of HS256 tokens, at least 32 bytes")
    jwt_public_key: SecretStr | None = Field(
        None, description="PEM public key (text, or a file's path) of RS256, ES256 or EdDSA tokens"
    )
    jwt_secret_previous: SecretStr | None = Field(None, description="The former one, while it is replaced")
    jwt_public_key_previous: SecretStr | None = Field(None, description="The former one, while it is replaced")
    jwt_jwks_url: str | None = Field(None, description="Where the issuer publishes its keys (https)")
    jwt_issuer: str = Field("billing-development", description="Required iss of tokens")
    jwt_audience: str = Field("billing", description="Required aud of tokens")

    redaction_key: SecretStr | None = Field(
        None, description="Secret by which redacted shops are known again, at least 32 bytes; never change it"
    )

    platform_timeout_s: float = Field(10.0, gt=0, le=60, description="Seconds a payment platform may take to answer")
    shopify_api_version: str = Field("2026-10", pattern=r"^\d{4}-\d{2}$", description="Admin API version")
    shopify_base_url: str | None = Field(None, description="Replaces https://{shop domain}; for tests and proxies")
    shopify_access_token: SecretStr | None = Field(None, description="One shop's static token")
    shopify_token_url: str | None = Field(None, description="Where to ask for a shop's short-lived token")
    shopify_client_secret: SecretStr | None = Field(None, description="Verifies Shopify's webhooks")
    shopify_client_secret_previous: SecretStr | None = Field(None, description="The former one, while it is replaced")
    shopify_test_charges: bool = Field(False, description="Make charges that Shopify never bills")
    shopify_partner_organization_id: str | None = Field(None, pattern=r"^\d+$", description="Turns on reading refunds")
    shopify_partner_token: SecretStr | None = Field(None, description="Partner API token, may view financials")
    shopify_partner_app_id: str | None = Field(None, description="The app's gid (gid://partners/App/…) in Partner API")
    shopify_partner_api_version: str = Field("2026-07", pattern=r"^\d{4}-\d{2}$", description="Partner API version")
    shopify_partner_base_url: str | None = Field(None, description="Replaces https://partners.shopify.com; for tests")
    stripe_secret_key: SecretStr | None = Field(None, description="Stripe's secret API key")
    stripe_base_url: str | None = Field(None, description="Replaces https://api.stripe.com; for tests")
    stripe_webhook_secret: SecretStr | None = Field(None, description="Verifies Stripe's webhooks")
    stripe_webhook_secret_previous: SecretStr | None = Field(None, description="The former one, while it is replaced")
    stripe_checkout_hosts: _Csv = Field((), description="Your own checkout domains, besides checkout.stripe.com")
    stripe_requests_per_second: float = Field(20.0, gt=0, le=100, description="Calls each process makes at most")
    webhook_door: bool = Field(False, description="Serve /webhooks/shopify, /webhooks/stripe; needs the WEBHOOK stream")
    otel_endpoint: str | None = Field(
        None, pattern=r"^https?://\S+$", description="OpenTelemetry collector, http://HOST:4318; unset is off"
    )
    otel_sample_ratio: float = Field(
        0.1, ge=0, le=1, description="Share of the traces begun here that are exported; callers decide about theirs"
    )

    @field_validator("env", "log_level", "metrics_auth", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("platforms", "return_url_hosts", "stripe_checkout_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("platforms")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or (unknown := set(value) - set(KNOWN_PLATFORMS)):
            raise ValueError(f"is a comma list of {', '.join(KNOWN_PLATFORMS)}; not {', '.join(sorted(unknown))}")
        return value

    @field_validator("database_url")
    @classmethod
    def _postgres(cls, value: SecretStr) -> SecretStr:
        if not _POSTGRES_URL.fullmatch(value.get_secret_value()):
            raise ValueError(
                "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with / ? # % in the password as %2F %3F %23 %25"
            )
        return value

    @field_validator("jwt_public_key", "jwt_public_key_previous")
    @classmethod
    def _read_pem(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or "-----BEGIN" in value.get_secret_value():
            return value
        try:
            return SecretStr(Path(value.get_secret_value()).read_text("ascii"))
        except (OSError, UnicodeDecodeError) as wrong:
            raise ValueError("is neither PEM text nor the path of a readable PEM file") from wrong

    @field_validator("redaction_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value().encode()) < SHORTEST_KEY_BYTES:
            raise ValueError(f"must have at least {SHORTEST_KEY_BYTES} bytes; make one with `openssl rand -base64 48`")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then files named by `…_FILE`, then the environment, then `.env`."""
        return init_settings, _FileSource(settings_cls), env_settings, dotenv_settings

    @property
    def base_url(self) -> str:
        """How browsers reach the HTTP app, without a slash at the end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def return_url_policy(self) -> ReturnUrlPolicy:
        """Where merchants may be sent back to."""
        return ReturnUrlPolicy(hosts=frozenset(self.return_url_hosts), allow_loopback_http=self.env == "development")

    @property
    def rate_limit(self) -> RateLimit | None:
        """How often a merchant may ask; None where that is not limited, as in development unless it is set."""
        per_minute = self.rate_limit_per_minute
        if per_minute is None:
            per_minute = REQUESTS_PER_MINUTE[self.env]
        if per_minute == 0:
            return None
        return RateLimit(per_minute=per_minute, burst=self.rate_limit_burst or -(-per_minute // 10))

    @property
    def pseudonyms(self) -> Pseudonyms | None:
        """What redacted shops are known again by; None where nothing can be redacted."""
        return None if self.redaction_key is None else Pseudonyms(self.redaction_key.get_secret_value().encode())

    def signing_secret(self) -> str | None:
        """The secret HS256 tokens are signed with: the one configured, else in development, without other keys, the
        sample."""
        if self.jwt_secret is not None:
            return self.jwt_secret.get_secret_value()
        asymmetric = self.jwt_public_key or self.jwt_jwks_url
        return DEVELOPMENT_SECRET if self.env == "development" and not asymmetric else None

    def load_price_book(self) -> PriceBook:
        """Every version of the catalogue. Raises InvalidCatalog, naming the file."""
        if self.catalog is None:
            return default_price_book()
        try:
            return PriceBook.from_document(tomllib.loads(self.catalog.read_text("utf-8")))
        except (OSError, tomllib.TOMLDecodeError, InvalidCatalog) as wrong:
            raise InvalidCatalog(f"BILLING_CATALOG={self.catalog}: {wrong}") from wrong

    def production_faults(self) -> tuple[str, ...]:
        """What forbids running this configuration in production; empty in development."""
        if self.env != "production":
            return ()
        faults = []
        keys = [self.jwt_secret, self.jwt_public_key, self.jwt_jwks_url]
        if not any(keys):
            faults.append("set BILLING_JWT_SECRET, BILLING_JWT_PUBLIC_KEY or BILLING_JWT_JWKS_URL")
        for name in ("jwt_secret", "jwt_secret_previous"):
            faults += _secret_faults(_variable(name), getattr(self, name))
        for name in REPLACED_SECRETS:
            faults += _replacement_faults(_variable(name), getattr(self, name), getattr(self, f"{name}_previous"))
        urls = {name: getattr(self, name) for name in CALLED_URLS}
        faults += [f"{_variable(name)} must begin with https://" for name, url in urls.items() if _is_plain(url)]
        if "sandbox" in self.platforms:
            faults.append("take sandbox out of BILLING_PLATFORMS: it gives credits for no money")
        if "billing:billing@" in self.database_url.get_secret_value():
            faults.append("BILLING_DATABASE_URL has the sample password")
        return tuple(faults)


def load_settings(**overrides: Any) -> Settings:
    """This will read the configuration. Raises InvalidConfiguration, naming every variable to mend."""
    production = os.environ.get(f"{PREFIX}ENV", "").lower() == "production"
    try:
        settings = Settings(_env_file=None if production else ".env", **overrides)
    except ValidationError as wrong:
        lines = [f"{PREFIX}{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in wrong.errors()]
        raise InvalidConfiguration("\n".join(lines)) from None
    if faults := settings.production_faults():
        raise InvalidConfiguration("refusing to start in production:\n" + "\n".join(f"- {each}" for each in faults))
    return settings


def _variable(name: str) -> str:
    return f"{PREFIX}{name.upper()}"


def _secret_faults(variable: str, given: SecretStr | None) -> Iterator[str]:
    if given is None:
        return
    secret = given.get_secret_value()
    if len(secret.encode()) < SHORTEST_SECRET_BYTES:
        yield f"{variable} must have at least {SHORTEST_SECRET_BYTES} bytes (RFC 7518 §3.2)"
    if secret == DEVELOPMENT_SECRET:
        yield f"{variable} is the development sample; make one with `openssl rand -base64 48`"


def _replacement_faults(variable: str, given: SecretStr | None, previous: SecretStr | None) -> Iterator[str]:
    if previous is not None and given is None:
        yield f"{variable}_PREVIOUS is set without {variable}: the new one belongs there"
    elif previous is not None and _stripped(previous) == _stripped(given):
        yield f"{variable}_PREVIOUS is the same as {variable}: unset it"


def _stripped(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value().strip()


def _is_plain(url: str | None) -> bool:
    return url is not None and not url.lower().startswith("https://")


class _FileSource(PydanticBaseSettingsSource):
    """Values from files named by `BILLING_…_FILE`, without the newline editors leave at the end."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        variable = f"{PREFIX}{field_name.upper()}_FILE"
        path = os.environ.get(variable)
        if path is None:
            return None, field_name, False
        try:
            return Path(path).read_text("utf-8").rstrip("\r\n"), field_name, False
        except (OSError, ValueError) as wrong:
            # Without the path: who mistook the variable for the one without _FILE has put the secret itself there.
            why = (isinstance(wrong, OSError) and wrong.strerror) or "it is no UTF-8 text"
            raise InvalidConfiguration(f"{variable}: does not name a file that can be read: {why}") from None

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}
