"""Every fuzz target, by its name. Imported one at a time: a guided run watches what is imported after it began."""

from importlib import import_module
from typing import Final, cast

from tests.fuzz.target import Target

NAMES: Final = (
    "cursors",
    "events",
    "idempotency_keys",
    "json_texts",
    "return_urls",
    "shopify",
    "stripe",
    "tokens",
)


def load(name: str) -> Target:
    """The target of that name. Raises ModuleNotFoundError where there is none."""
    return cast("Target", import_module(f"tests.fuzz.targets.{name}").TARGET)
