"""The effective configuration, fit to be shown to anyone."""

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from billing_adapters.settings import PREFIX, Settings

MASK = "********"
_SECRET_PARAMETER = re.compile(r"(?i)(^|[&;])([^=&;]*(?:password|secret|token|key)[^=&;]*)=[^&;]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSetting:
    """One setting: its variable, its value without secrets, and where the value comes from."""

    variable: str
    value: str | int | bool | None
    source: str


def describe(settings: Settings) -> tuple[ShownSetting, ...]:
    """This will show every setting in the order of the documentation."""
    return tuple(
        ShownSetting(
            variable=f"{PREFIX}{name.upper()}", value=_shown(getattr(settings, name)), source=_source(settings, name)
        )
        for name in Settings.model_fields
    )


def mask_url(url: str) -> str:
    """This will hide passwords and tokens inside a URL, or in several with commas between, and nothing else."""
    return ",".join(_mask_one(each) for each in url.split(","))


def _mask_one(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK  # it cannot be told where the secret ends
    place = parts.netloc
    if "@" in place:
        login, _, host = place.rpartition("@")
        # In postgresql://user:password@ the user is no secret; in nats://token@ it is.
        user, colon, _ = login.partition(":")
        place = f"{user}:{MASK}@{host}" if colon else f"{MASK}@{host}"
    query = _SECRET_PARAMETER.sub(rf"\1\2={MASK}", parts.query)
    return urlunsplit((parts.scheme, place, parts.path, query, parts.fragment))


def _shown(value: object) -> str | int | bool | None:
    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        return mask_url(secret) if "://" in secret else MASK
    if value is None or isinstance(value, bool | int):
        return value
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return mask_url(text) if "://" in text else text


def _source(settings: Settings, name: str) -> str:
    variable = f"{PREFIX}{name.upper()}"
    if file := os.environ.get(f"{variable}_FILE"):
        return f"file {file}"
    if variable in os.environ:
        return "environment"
    return ".env" if name in settings.model_fields_set else "default"
