"""The bill of materials: whole, valid, and the same bytes wherever it is written."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.validation.json import JsonStrictValidator
from supply_chain.licences import read_list
from supply_chain.lock import EVERYTHING, ROOT, read_image, read_lock, read_projects
from supply_chain.sbom import SCHEMA, current_sbom, write_sbom

EPOCH_S = 1_780_000_000


@pytest.fixture(scope="module")
def text() -> str:
    """What is written now."""
    return current_sbom(EPOCH_S)


@pytest.fixture(scope="module")
def document(text: str) -> Any:
    """The same, read."""
    return json.loads(text)


def test_it_is_valid_cyclonedx(text: str) -> None:
    """The strict schema of the standard's own library finds nothing, and does find what is wrong."""
    validator = JsonStrictValidator(SCHEMA)
    broken = text.replace('"type": "library"', '"type": "libary"', 1)

    assert validator.validate_str(text) is None
    assert validator.validate_str(broken) is not None


def test_it_has_our_packages_and_every_pin(document: Any) -> None:
    """Ours and theirs, each with its version, purl and licence; theirs with every hash of the lock."""
    pins, ours = read_lock(EVERYTHING), read_projects()
    found = {component["bom-ref"]: component for component in document["components"]}

    assert document["metadata"]["component"]["name"] == "billing"
    assert {name for name in ours if name != "billing"} == {name for name in found if name.startswith("billing-")}
    assert len(found) == len(pins) + 6
    for pin in pins:
        component = found[f"pkg:pypi/{pin.name}@{pin.version}"]
        (files,) = component["externalReferences"]
        assert component["licenses"] == [{"expression": read_list()[pin.name, pin.version]}]
        assert sorted(each["content"] for each in files["hashes"]) == [each[7:] for each in pin.hashes]
        assert {each["alg"] for each in files["hashes"]} == {"SHA-256"}
        assert component["purl"] == component["bom-ref"]


def test_it_tells_what_runs_from_what_builds(document: Any) -> None:
    """What is in the image is required, the rest is excluded."""
    required = {each["bom-ref"] for each in document["components"] if each["scope"] == "required"}
    excluded = {each["bom-ref"] for each in document["components"] if each["scope"] == "excluded"}

    image = {f"pkg:pypi/{pin.name}@{pin.version}" for pin in read_image()}
    assert required == image | set(read_projects()) - {"billing"}
    assert any(each.startswith("pkg:pypi/pytest@") for each in excluded)


def test_whoever_is_needed_is_there(document: Any) -> None:
    """Edges lead from the workspace to everything, through our packages and theirs."""
    edges = {each["ref"]: set(each.get("dependsOn", ())) for each in document["dependencies"]}
    reached, todo = set(), ["billing"]
    while todo:
        if (ref := todo.pop()) not in reached:
            reached.add(ref)
            todo += edges[ref]

    assert reached == {each["bom-ref"] for each in document["components"]} | {"billing"}
    assert "billing-core" in edges["billing-http"]
    assert any(each.startswith("pkg:pypi/pydantic@") for each in edges["billing-core"])
    assert any(each.startswith("pkg:pypi/pydantic-core@") for each in edges[_ref(edges, "pydantic")])


def _ref(edges: dict[str, set[str]], name: str) -> str:
    return next(ref for ref in edges if ref.startswith(f"pkg:pypi/{name}@"))


def test_the_command_writes_the_same_bytes_again(tmp_path: Path, text: str) -> None:
    """Two processes, one to a file and one to standard output, at the moment that SOURCE_DATE_EPOCH says."""
    command = [sys.executable, "-m", "supply_chain", "sbom"]
    environment = {"SOURCE_DATE_EPOCH": str(EPOCH_S), "PYTHONHASHSEED": "1"}

    printed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True).stdout
    subprocess.run([*command, "--output", tmp_path / "bom.json"], cwd=ROOT, env=environment, check=True)

    assert printed == (tmp_path / "bom.json").read_bytes() == text.encode()


def test_only_the_moment_differs_later(text: str, document: Any) -> None:
    """Made an hour later, the same content has the same serial number."""
    later = current_sbom(EPOCH_S + 3600)

    assert later.replace(json.loads(later)["metadata"]["timestamp"], document["metadata"]["timestamp"]) == text


def test_another_content_has_another_serial_number(document: Any) -> None:
    """The number names what is in it."""
    everything = read_lock(EVERYTHING)
    asking = {name for each in everything for name in each.wanted_by}
    wanting_nothing = next(each for each in everything if each.name not in asking)
    pins = [each for each in everything if each is not wanting_nothing]

    less = write_sbom(pins, read_image(), read_projects(), read_list(), epoch_s=EPOCH_S)

    assert json.loads(less)["serialNumber"] != document["serialNumber"]
