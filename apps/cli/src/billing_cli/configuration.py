"""The effective configuration, fit to be shown to anyone."""

import os
import re
from dataclasses import dataclass

from pydantic import SecretStr

from billing_adapters.settings import PREFIX, Settings

MASK = "********"
_SECRET_PARAMETER = re.compile(r"(?i)([?&;])([^=&;]*(?:password|secret|token|key)[^=&;]*)=[^&;]*")
_PLACES = r"(?:[\w.-]*|\[[\da-fA-F:.]+\])(?::\d*)?"
_URL = re.compile(
    rf"([a-zA-Z][\w+.-]*://)(?:([^/?#]*)@)?({_PLACES}(?:,{_PLACES})*(?:/[^?#@]*)?)(\?.*|#[^@]*)?", re.DOTALL
)


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
            variable=f"{PREFIX}{name.upper()}",
            value=_shown(getattr(settings, name), is_url=name.endswith("_url")),
            source=_source(settings, name),
        )
        for name in Settings.model_fields
    )


def mask_url(url: str) -> str:
    """This will hide passwords and tokens inside a URL, or in several with commas between, and nothing else."""
    return ",".join(_mask_one(each) for each in re.split(r",(?=[A-Za-z][A-Za-z0-9+.-]*://)", url))


def _mask_one(url: str) -> str:
    # Read by hand: where a password was written without escapes, a parser takes a part of it for the host or the path.
    parts = _URL.fullmatch(url)
    if parts is None:
        return MASK  # it cannot be told where the secret ends
    scheme, login, place, query = parts.groups(default="")
    # In postgresql://user:password@ the user is no secret; in nats://token@ it is.
    user, colon, _ = login.partition(":")
    shown = f"{user}:{MASK}@" if colon else f"{MASK}@" if login else ""
    return scheme + shown + place + _SECRET_PARAMETER.sub(rf"\1\2={MASK}", query)


def _shown(value: object, *, is_url: bool) -> str | int | bool | None:
    if isinstance(value, SecretStr):
        return mask_url(value.get_secret_value()) if is_url else MASK
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
