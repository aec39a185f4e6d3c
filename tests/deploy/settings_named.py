"""Whether the variables that a deployment file sets are settings of Billing, and whether a secret stands among them."""

import re
from collections.abc import Iterable, Mapping

from billing_adapters.settings import PREFIX, Settings

# A login with a password, wherever it stands.
_LOGIN = re.compile(r"\w+://[^/\s:@]*:[^/\s@]+@")
SECRET = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}


def unknown_settings(variables: Iterable[str]) -> list[str]:
    """The variables that no process of ours reads."""
    return sorted(name for name in variables if _field(name) not in Settings.model_fields)


def loose_secrets(environment: Mapping[str, object]) -> list[str]:
    """The variables that hold a secret themselves, instead of the path of a file."""
    return sorted(name for name, value in environment.items() if _is_loose(name, str(value)))


def _is_loose(name: str, value: str) -> bool:
    if name.endswith("_FILE"):
        return not value.startswith("/")
    return _field(name) in SECRET or _LOGIN.search(value) is not None or name.endswith(("PASSWORD", "TOKEN", "SECRET"))


def _field(variable: str) -> str:
    """The field a variable fills: its own, or the one whose value is in the file it names."""
    name = variable.removeprefix(PREFIX).lower() if variable.startswith(PREFIX) else ""
    return name if name in Settings.model_fields else name.removesuffix("_file")
