"""The table in README.md tells the truth: every case has a test, and each runs where the table says."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
CASES = range(1, 41)
# Those about order, duplicates and races.
MUST_RACE = {*range(1, 11), 12, 14, 26, 27, 29, 30, 33, 34, 35, 40}
TWO_CONNECTIONS, POSTGRES = "Postgres, two connections", "Postgres"
_ON_POSTGRES = {"workers", "database", "database_url"}
_AT_ONCE = {"in_order", "until_waiting", "gather", "create_task", "units", "lead"}
_ON_VENDORS = {"on_shopify", "on_stripe", "open_account", "open_written", "scripted_platform"}


class Row(NamedTuple):
    """One test: its case, its name, its file and where it runs."""

    case: int
    test: str
    file: str
    runs: str


def rows_of_the_table() -> list[Row]:
    """What README.md says."""
    written = (HERE / "README.md").read_text()
    lines = re.findall(r"^\| (\d+) \| `(\w+)` \| `(\w+\.py)` \| ([^|]+) \|$", written, re.MULTILINE)
    return [Row(int(case), test, file, runs) for case, test, file, runs in lines]


def rows_of_the_tests() -> Iterator[Row]:
    """What the test files say, read without running them."""
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.AsyncFunctionDef) and (named := re.match(r"test_case_(\d\d)_", node.name)):
                yield Row(int(named[1]), node.name, path.name, _where(node))


def _where(test: ast.AsyncFunctionDef) -> str:
    asked = {argument.arg for argument in test.args.args}
    used = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
    used |= {node.attr for node in ast.walk(test) if isinstance(node, ast.Attribute)}
    if asked & _ON_POSTGRES:
        return TWO_CONNECTIONS if used & _AT_ONCE else POSTGRES
    if "nats_url" in asked:
        return "memory, NATS"
    return "memory, vendor's adapter" if used & _ON_VENDORS else "memory"


def test_the_table_and_the_tests_agree() -> None:
    """Each test stands in the table once, by case, with its file and where it runs."""
    assert rows_of_the_table() == sorted(rows_of_the_tests())


def test_every_case_has_a_test_and_those_about_races_race() -> None:
    """Forty cases; order, duplicates and races on real Postgres with two connections."""
    rows = rows_of_the_table()

    assert {row.case for row in rows} == set(CASES)
    assert {row.case for row in rows if row.runs == TWO_CONNECTIONS} >= MUST_RACE
