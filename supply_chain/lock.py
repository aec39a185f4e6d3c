"""The lock files: which versions are pinned, by which hashes, and who asked for them."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
EVERYTHING = ROOT / "requirements.lock"
IMAGE = ROOT / "requirements-image.lock"
UV = ROOT / "requirements-uv.lock"
WORKSPACE = "billing"  # the project that has no code of its own: it brings the others together

# What the Dockerfile's base image is.
IMAGE_ENVIRONMENT = {
    "sys_platform": "linux",
    "platform_system": "Linux",
    "os_name": "posix",
    "python_version": "3.13",
    "python_full_version": "3.13.15",
}
_HASH, _VIA = "--hash=", "# via "


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Pin:
    """One version of one package, and every file of it that may be installed."""

    name: str
    version: str
    marker: str | None  # where it is installed; None is everywhere
    hashes: tuple[str, ...]  # `sha256:…`
    wanted_by: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One of our own packages, or the workspace: what its `pyproject.toml` says."""

    name: str
    version: str
    description: str
    wants: tuple[Requirement, ...]  # extras and dependency groups too


def read_lock(path: Path) -> Sequence[Pin]:
    """This will read every pin of a lock file, in order. Raises ValueError at whatever is no pin."""
    whole = path.read_text("utf-8").replace("\\\n", " ").splitlines()
    pins: list[Pin] = []
    for line in (each.strip() for each in whole):
        if line.startswith(_VIA) and pins:
            pins[-1] = _wanted(pins[-1], line.removeprefix(_VIA))
        elif line and not line.startswith("#"):
            pins.append(_pin(line))
    return pins


def read_image() -> Sequence[Pin]:
    """This will read what is in the image: the pins of its lock file that are installed on its system."""
    return [pin for pin in read_lock(IMAGE) if pin.marker is None or Marker(pin.marker).evaluate(IMAGE_ENVIRONMENT)]


def read_projects() -> Mapping[str, Project]:
    """This will read the workspace and our packages, by name."""
    found = [
        _project(path)
        for path in [
            ROOT / "pyproject.toml",
            *sorted(ROOT.glob("packages/*/pyproject.toml")),
            *sorted(ROOT.glob("apps/*/pyproject.toml")),
        ]
    ]
    return {each.name: each for each in found}


def _pin(line: str) -> Pin:
    text, *hashes = line.split(_HASH)
    requirement = Requirement(text.strip())
    (only,) = requirement.specifier  # ValueError where it is not one version
    if only.operator != "==" or "*" in only.version:
        raise ValueError(f"not pinned: {requirement}")
    return Pin(
        name=canonicalize_name(requirement.name),
        version=only.version,
        marker=None if requirement.marker is None else str(requirement.marker),
        hashes=tuple(sorted(each.strip() for each in hashes)),
        wanted_by=(),
    )


def _wanted(pin: Pin, via: str) -> Pin:
    # `billing-http`, `billing (pyproject.toml:dev)`: what stands in brackets is the file that says so.
    names = {each.split(" (")[0].strip() for each in via.split(",")}
    return Pin(name=pin.name, version=pin.version, marker=pin.marker, hashes=pin.hashes, wanted_by=tuple(sorted(names)))


def _project(path: Path) -> Project:
    document = tomllib.loads(path.read_text("utf-8"))
    project: Mapping[str, Any] = document["project"]
    groups = document.get("dependency-groups", {})
    extras = project.get("optional-dependencies", {})
    wants = _flat([project.get("dependencies", []), *extras.values(), *groups.values()])
    return Project(
        name=project["name"],
        version=project["version"],
        description=project.get("description", ""),
        wants=tuple(map(Requirement, wants)),
    )


def _flat(lists: Iterable[Iterable[str]]) -> Sequence[str]:
    return [each for some in lists for each in some]
