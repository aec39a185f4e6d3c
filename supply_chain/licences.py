"""The licence of everything that is pinned: told by the packages, listed for people, held to an allow-list."""

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from license_expression import ExpressionError, get_spdx_licensing

from supply_chain.lock import EVERYTHING, ROOT, Pin, read_image, read_lock

LIST = ROOT / "docs" / "licences.md"
RULES = Path(__file__).with_name("licences.toml")

# Classifiers that name one licence. "BSD License" is not among them: it may be any of three.
_CLASSIFIERS = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
}
_HEAD = """\
# Licences

What Billing is built from and tested with, and under which licence. Written by `script/licences` from what the packages
themselves say; a test holds it equal to `requirements.lock`. What may stand here is decided in
[`licences.toml`](../supply_chain/licences.toml); anything else fails `script/check`. Packages with `yes` are in the
image. Billing itself is Apache-2.0.

| package | version | licence | in the image |
|---|---|---|---|
"""
_SPDX = get_spdx_licensing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Which licences are allowed, and what was read by hand."""

    allowed: frozenset[str]
    stated: Mapping[str, str]


def read_rules(path: Path = RULES) -> Rules:
    """This will read the allow-list and the licences stated by hand."""
    document = tomllib.loads(path.read_text("utf-8"))
    return Rules(allowed=frozenset(document["allowed"]), stated=document["stated"])


def list_licences(pins: Sequence[Pin], in_image: Collection[Pin], rules: Rules) -> str:
    """This will write the list. Raises ValueError, naming every package whose licence is unknown or not allowed, and
    every statement about a package that is not pinned."""
    licences = {pin: _licence_of(pin, rules.stated) for pin in pins}
    faults = [fault for pin, licence in licences.items() if (fault := _fault(pin, licence, rules.allowed))]
    names = {pin.name for pin in pins}
    faults += [f"{name}: stated in {RULES.name}, but not pinned" for name in rules.stated if name not in names]
    if faults:
        raise ValueError("\n".join(faults))
    image = {(pin.name, pin.version) for pin in in_image}
    rows = (
        f"| {pin.name} | {pin.version} | {licences[pin]} | {'yes' if (pin.name, pin.version) in image else ''} |\n"
        for pin in pins
    )
    return _HEAD + "".join(rows)


def current_list() -> str:
    """This will write the list of what is locked now. Raises ValueError, see `list_licences`."""
    return list_licences(read_lock(EVERYTHING), read_image(), read_rules())


def read_list(path: Path = LIST) -> Mapping[tuple[str, str], str]:
    """This will read a written list: the licence by package and version."""
    rows = [line.split(" | ") for line in path.read_text("utf-8").splitlines() if line.startswith("| ")][1:]
    return {(name.removeprefix("| "), version): licence for name, version, licence, _ in rows}


def is_allowed(licence: str, allowed: Collection[str]) -> bool:
    """Whether the expression can be met with allowed licences: all sides of an AND, one of an OR."""
    return _met(_SPDX.parse(licence, validate=True, strict=True), allowed)


def _met(expression: object, allowed: Collection[str]) -> bool:
    if isinstance(expression, _SPDX.AND):
        return all(_met(each, allowed) for each in expression.args)
    if isinstance(expression, _SPDX.OR):
        return any(_met(each, allowed) for each in expression.args)
    return str(expression) in allowed


def _fault(pin: Pin, licence: str | None, allowed: Collection[str]) -> str | None:
    if licence is None:
        return f"{pin}: its metadata does not tell its licence; read it and state it in {RULES.name}"
    if not is_allowed(licence, allowed):
        return f"{pin}: {licence} is not allowed"
    return None


def _licence_of(pin: Pin, stated: Mapping[str, str]) -> str | None:
    """What the package says where it is installed in this version, else what was stated by hand."""
    try:
        found = metadata.metadata(pin.name)
    except metadata.PackageNotFoundError:
        return stated.get(pin.name)
    told = _told(found) if found["Version"] == pin.version else None
    return stated.get(pin.name) if told is None else told


def _told(found: metadata.PackageMetadata) -> str | None:
    for field in ("License-Expression", "License"):
        if field in found and (licence := _spdx(found[field])):
            return licence
    named = [each for each in found.get_all("Classifier") or [] if each.startswith("License ::")]
    return _CLASSIFIERS.get(named[0]) if len(named) == 1 else None


def _spdx(text: str) -> str | None:
    """The text as an SPDX expression; None where it is prose or a whole licence text."""
    try:
        return str(_SPDX.parse(text, validate=True, strict=True)) if len(text) <= 100 else None
    except ExpressionError:
        return None
