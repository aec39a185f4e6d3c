"""The Compose files, read as Compose reads them: anchors, variables, and several files as one."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import yaml
from tests.deploy.workloads import Workload

ROOT = Path(__file__).parents[2]
BASE = ROOT / "compose.yaml"
OVERRIDE = ROOT / "compose.override.yaml"
STRIPE = ROOT / "deploy" / "compose" / "stripe.yaml"
# What Compose reads where no file is named, and what the production notes name.
STACKS = {"development": (BASE, OVERRIDE), "production": (BASE, STRIPE)}
SECRETS = "/run/secrets"
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")

Document = dict[str, Any]
Service = Mapping[str, Any]


def load(*paths: Path, variables: Mapping[str, str] | None = None) -> Document:
    """This will read the files as one, each after the one before, with these variables and no others."""
    documents = [yaml.safe_load(path.read_text("utf-8")) for path in paths]
    filled = [_filled(document, variables or {}) for document in documents]
    merged: Document = reduce(_merged, filled)
    return merged


def variables_of(path: Path) -> set[str]:
    """The names of the variables that the file asks Compose's own environment for."""
    return {name for name, _ in _VARIABLE.findall(path.read_text("utf-8"))}


def ours(document: Document) -> Mapping[str, Service]:
    """The services that run our image."""
    image = load(BASE)["x-billing"]["image"]
    return {name: each for name, each in document["services"].items() if each["image"] == image}


def once(document: Document) -> Sequence[str]:
    """Those of ours that run to their end whenever the stack starts, in an order that their dependencies allow."""
    waiting = {name: each for name, each in ours(document).items() if each["restart"] == "no" and not _optional(each)}
    order: list[str] = []
    while waiting:
        free = [name for name, each in waiting.items() if not set(each.get("depends_on", ())) & set(waiting)]
        assert free, f"they wait for each other: {sorted(waiting)}"
        order += sorted(free)
        waiting = {name: each for name, each in waiting.items() if name not in free}
    return order


def workload(document: Document, name: str) -> Workload:
    """One service of ours, as something that can be run."""
    service = document["services"][name]
    environment = {key: str(value) for key, value in service.get("environment", {}).items()}
    return Workload(name, service["command"], environment, files(service))


def files(service: Service) -> Mapping[str, str]:
    """The secrets that stand in its container, by their paths there."""
    granted = [{"source": each} if isinstance(each, str) else each for each in service.get("secrets", ())]
    return {os.path.join(SECRETS, each.get("target", each["source"])): each["source"] for each in granted}  # noqa: PTH118


def volumes(service: Service) -> Iterator[tuple[str, str, str]]:
    """What is mounted: source, target, and how."""
    for each in service.get("volumes", ()):
        source, target, *how = each.split(":")
        yield source, target, *(how or ["rw"])


def seconds(duration: str) -> float:
    """A duration as Compose writes it."""
    parts = re.findall(r"(\d+)([hms])", duration)
    return float(sum(int(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in parts))


def _optional(service: Service) -> bool:
    return bool(service.get("profiles"))


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, variables) for each in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: variables.get(found[1]) or found[2] or "", value)
    return value


def _merged(one: Any, other: Any) -> Any:
    """Mappings by their keys; lists one after the other, but for commands; anything else is replaced."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = [*one, *(name for name in other if name not in one)]
        return {name: _one_of(name, one, other) for name in names}
    if isinstance(one, list) and isinstance(other, list):
        return [*one, *(each for each in other if each not in one)]
    return other


def _one_of(name: str, one: Document, other: Document) -> Any:
    if name not in other:
        return one[name]
    if name not in one or name in ("command", "entrypoint", "test"):
        return other[name]
    return _merged(one[name], other[name])
