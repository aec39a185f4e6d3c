"""`SECURITY.md` and the ASVS list: whole, and about files that exist."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from supply_chain.lock import ROOT
from tests.supply_chain.asvs import LEVELS

from billing_adapters.postgres.tables import metadata

DOCUMENTS = ("SECURITY.md", "docs/asvs.md")
LOOKS_LIKE_A_PATH = re.compile(r"`([\w.-]+(?:/[\w.-]+)+|[A-Z]+\.md|pyproject\.toml)`")
LINK = re.compile(r"\]\(([^)#:]+)\)")
API_TOP_10 = [f"API{number}" for number in range(1, 11)]
NOT_STORED = re.compile(r"e?_?mail|password|token|secret|card|iban|phone|address")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_named_is_there(name: str) -> None:
    """A moved or deleted test is not left standing as a proof."""
    document = ROOT / name
    text = document.read_text("utf-8")
    named = {ROOT / path for path in LOOKS_LIKE_A_PATH.findall(text) if not path.startswith("script/")}
    linked = {document.parent / path for path in LINK.findall(text)}

    assert len(named) > 40
    assert [str(path) for path in named | linked if not path.exists()] == []


def test_every_threat_is_answered_and_judged() -> None:
    """Each row has a control and a proof, a number of its own, and every row that is referred to exists."""
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    rows = [line.strip("|").split("|") for line in text.splitlines() if re.match(r"\| [A-Z]\d+ \|", line)]
    threats = Counter(row[0].strip() for row in rows)
    top_10 = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| API")]

    assert len(threats) >= 30
    assert set(threats.values()) == {1}
    for row in rows:
        assert len(row) == 5, row
        assert row[2].strip(), row
        assert "tests/" in row[3], row
    assert [row[0].split()[0] for row in top_10] == API_TOP_10
    assert {each.strip() for row in top_10 for each in row[2].split(",")} <= set(threats)


def test_every_requirement_of_asvs_stands_in_the_list_once() -> None:
    """All of levels 1 and 2, none twice; none that the standard does not have."""
    wanted = {name for name, level in _standard().items() if level in "12"}
    counted = Counter(name for row in _asvs_rows() for name in _requirements(row[0]))

    assert len(wanted) == 253
    assert wanted - set(counted) == set()
    assert {name for name, times in counted.items() if times > 1 and name in wanted} == set()


def test_every_requirement_is_judged() -> None:
    """In one of four words; what is said to be met has a proof, and what is not says why."""
    for requirement, judged, why, proof in _asvs_rows():
        assert judged in {"met", "partly", "deployment", "none here"}, requirement
        assert why, requirement
        assert judged not in {"met", "partly"} or LOOKS_LIKE_A_PATH.search(proof), requirement


def test_the_database_has_no_place_for_what_is_said_not_to_be_there() -> None:
    """No column for tokens, cards, passwords or e-mail addresses."""
    columns = {f"{table}.{column.name}" for table in metadata.tables.values() for column in table.columns}

    assert len(columns) > 80
    assert {name for name in columns if NOT_STORED.search(name.split(".")[1])} == set()


def _standard() -> dict[str, str]:
    return {f"{section}.{n}": level for section, levels in LEVELS.items() for n, level in enumerate(levels, 1)}


def _asvs_rows() -> Iterator[tuple[str, str, str, str]]:
    for line in Path(ROOT, "docs/asvs.md").read_text("utf-8").splitlines():
        if re.match(r"\| \d", line):
            requirement, judged, why, proof = (each.strip() for each in line.strip("|").split(" | "))
            yield requirement, judged, why, proof.strip("| ")


def _requirements(cell: str) -> Iterator[str]:
    """The numbers that a cell means: `1.2.3`, `1.2.3–1.2.5`, a whole section `1.2` or a whole chapter `1`."""
    for part in cell.split(", "):
        first, _, last = part.partition("–")
        found = [name for name in _standard() if _is_meant(name, first, last or first)]
        assert found, part
        yield from found


def _is_meant(name: str, first: str, last: str) -> bool:
    length = first.count(".") + 1
    number = tuple(map(int, name.split(".")))[:length]
    return tuple(map(int, first.split("."))) <= number <= tuple(map(int, last.split(".")))
