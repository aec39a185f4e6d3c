"""The bill of materials, as CycloneDX JSON: our packages, everything that is pinned, and who needs what.

It is made from committed files alone (the lock files, `docs/licences.md`, the `pyproject.toml`s), so every machine
writes the same bytes.
"""

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from supply_chain.licences import read_list
from supply_chain.lock import EVERYTHING, WORKSPACE, Pin, Project, read_image, read_lock, read_projects

SCHEMA = SchemaVersion.V1_6  # what scanners read today
OUR_LICENCE = "Apache-2.0"


def current_sbom(epoch_s: int) -> str:
    """This will write the bill of materials of what is locked now, as of `epoch_s`. Raises KeyError where
    `docs/licences.md` lacks a package."""
    return write_sbom(read_lock(EVERYTHING), read_image(), read_projects(), read_list(), epoch_s=epoch_s)


def write_sbom(
    pins: Sequence[Pin],
    in_image: Sequence[Pin],
    projects: Mapping[str, Project],
    licences: Mapping[tuple[str, str], str],
    *,
    epoch_s: int,
) -> str:
    """This will write the bill of materials. What is not in the image is `excluded`: it builds or tests Billing."""
    image = {(pin.name, pin.version) for pin in in_image}
    ours = {name: _our_component(project) for name, project in projects.items()}
    theirs = {
        pin: _component(pin, licences[pin.name, pin.version], shipped=(pin.name, pin.version) in image) for pin in pins
    }
    metadata = BomMetaData(component=ours[WORKSPACE], timestamp=datetime.fromtimestamp(epoch_s, UTC))
    parts = [component for name, component in ours.items() if name != WORKSPACE]
    bom = Bom(components=[*parts, *theirs.values()], metadata=metadata, serial_number=uuid.UUID(int=0))
    _add_edges(bom, ours, theirs, projects)
    # The serial number names this content: other content, another number; the same content made later, the same number.
    bom.metadata.timestamp = datetime.fromtimestamp(0, UTC)
    bom.serial_number = uuid.UUID(bytes=hashlib.sha256(_text(bom).encode()).digest()[:16], version=4)
    bom.metadata.timestamp = datetime.fromtimestamp(epoch_s, UTC)
    return _text(bom)


def _text(bom: Bom) -> str:
    return make_outputter(bom, OutputFormat.JSON, SCHEMA).output_as_string(indent=2) + "\n"


def _our_component(project: Project) -> Component:
    return Component(
        name=project.name,
        version=project.version,
        type=ComponentType.APPLICATION if project.name == WORKSPACE else ComponentType.LIBRARY,
        bom_ref=project.name,
        description=project.description or None,
        licenses=[LicenseExpression(OUR_LICENCE)],
        # Not pkg:pypi: nobody has put our names there, and whoever does is not us.
        purl=PackageURL(type="generic", name=project.name, version=project.version),
        scope=ComponentScope.REQUIRED,
    )


def _component(pin: Pin, licence: str, *, shipped: bool) -> Component:
    purl = PackageURL(type="pypi", name=pin.name, version=pin.version)
    # A package is one of several files, by system and Python: the hashes are those of its distributions.
    files = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(str(purl)),
        comment="any one of these files",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each.removeprefix("sha256:")) for each in pin.hashes],
    )
    marker = [] if pin.marker is None else [Property(name="billing:installed-where", value=pin.marker)]
    return Component(
        name=pin.name,
        version=pin.version,
        type=ComponentType.LIBRARY,
        bom_ref=str(purl),
        licenses=[LicenseExpression(licence)],
        purl=purl,
        scope=ComponentScope.REQUIRED if shipped else ComponentScope.EXCLUDED,
        external_references=[files],
        properties=marker,
    )


def _add_edges(
    bom: Bom, ours: Mapping[str, Component], theirs: Mapping[Pin, Component], projects: Mapping[str, Project]
) -> None:
    by_name: dict[str, list[Component]] = {name: [component] for name, component in ours.items()}
    for pin, component in theirs.items():
        by_name.setdefault(pin.name, []).append(component)
    needs: dict[str, set[str]] = {name: set() for name in by_name}
    for pin in theirs:
        for name in pin.wanted_by:
            needs[name].add(pin.name)
    for project in projects.values():
        needs[project.name] |= {each.name for each in project.wants} & ours.keys()
    for name, components in by_name.items():
        needed = _all_of(by_name, needs[name] - {name})
        for component in components:
            bom.register_dependency(component, needed)


def _all_of(by_name: Mapping[str, Sequence[Component]], names: Iterable[str]) -> Sequence[Component]:
    return [component for name in sorted(names) for component in by_name[name]]
