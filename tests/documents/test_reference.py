"""The generated reference holds everything there is, and refuses what it has no words for."""

import json
import re
from pathlib import Path

import pytest
from documentation.docstrings import to_restructured_text
from documentation.reference import PAGES, SHOWN_AS, json_schema
from documentation.writing import fenced, sentence, table
from tests.apps.cli.test_help import COMMANDS

from billing_adapters.settings import Settings
from billing_client.errors import ERRORS
from billing_core.messages import schemas

ROOT = Path(__file__).parents[2]


def page(name: str) -> str:
    """A page of the reference, as it is written now."""
    return PAGES[f"docs/reference/{name}.md"](ROOT)


def headings(text: str) -> set[str]:
    """What stands behind the signs of a heading."""
    return set(re.findall(r"^#+ (.+)$", text, re.MULTILINE))


def first_cells(text: str) -> set[str]:
    """The first cells of all tables, without the signs of code."""
    return {cell.strip("`") for cell in re.findall(r"^\| (\S+) \|", text, re.MULTILINE)}


@pytest.mark.parametrize("path", PAGES)
def test_each_page_is_the_same_whenever_it_is_written(path: str) -> None:
    """And none is empty."""
    written = PAGES[path](ROOT)

    assert written.count("\n") > 5
    assert PAGES[path](ROOT) == written


def test_every_operation_stands_in_the_http_api() -> None:
    """With its method and path, and every document they speak of."""
    document = json.loads((ROOT / "schemas" / "openapi.json").read_text("utf-8"))
    wanted = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}

    assert wanted | document["components"]["schemas"].keys() <= headings(page("http-api"))


def test_every_event_stands_among_the_events() -> None:
    """Those that are published and those that are consumed, each with the fields of its data."""
    text = page("events")
    consumed = {path.stem for path in (ROOT / "schemas" / "consumed").glob("*.json")}

    assert set(schemas()) | consumed <= headings(text)
    assert {"purchase_id", "sequence", "amount_minor", "refunded_minor"} <= first_cells(text)


def test_every_command_stands_in_the_command_line() -> None:
    """With its options, and an example."""
    text = page("command-line")

    assert {f"billing {' '.join(path)}" for path in COMMANDS} <= headings(text)
    assert text.count("Example:") == len(COMMANDS)
    assert "| `--days` | number from 1 to 3650 |" in text


def test_every_setting_stands_among_the_settings() -> None:
    """Under the name of its variable, with type, default and meaning."""
    text = page("settings")

    assert {f"BILLING_{name.upper()}" for name in Settings.model_fields} <= first_cells(text)
    assert "| `BILLING_PORT` | whole number, from 0 to 65535 | `8016` | Port the HTTP app listens on |" in text


def test_every_code_stands_among_the_codes() -> None:
    """Those the client knows, those of the table in the OpenAPI document, and those that only the command line has."""
    text = page("error-codes")

    assert {*ERRORS, "UNKNOWN_JOB", "INVALID_CONFIGURATION", "ROLES_REFUSED", "INVALID_CATALOG"} <= headings(text)
    assert "**409** · in the client `TrialAlreadyUsed`" in text


def test_every_metric_of_an_alert_or_dashboard_stands_among_the_metrics() -> None:
    """Under the name by which it is selected."""
    files = [*(ROOT / "deploy" / "prometheus").glob("*.yml"), *(ROOT / "deploy" / "grafana").glob("*.json")]
    asked = {name for path in files for name in re.findall(r"\bbilling_[a-z_]+", path.read_text("utf-8"))}
    told = first_cells(page("metrics"))
    suffixes = ("", "_bucket", "_sum", "_count")
    selected = {name + suffix for name in told for suffix in suffixes}

    assert len(asked) > 20
    assert asked - selected == set()


def test_what_pages_are_made_from_is_there() -> None:
    """A link to it works in the repository, and in the site leads to a page that is made."""
    assert [path for path in SHOWN_AS if not (ROOT / path).exists()] == []
    assert {f"{docname}.md" for docname in SHOWN_AS.values()} <= PAGES.keys()


class TestWhatHasNoWords:
    def test_a_schema_of_no_known_kind_is_refused(self) -> None:
        """Instead of an empty cell."""
        with pytest.raises(ValueError, match="no words"):
            json_schema.describe({"not": {"type": "string"}}, lambda _: None)

    @pytest.mark.parametrize("docstring", [None, "", "  \n"])
    def test_something_without_a_docstring_is_refused(self, docstring: str | None) -> None:
        """Whatever stands in the reference says what it is."""
        with pytest.raises(ValueError, match="says what it is"):
            sentence(docstring)

    def test_a_block_that_would_end_early_is_refused(self) -> None:
        """Its rest would be read as Markdown."""
        with pytest.raises(ValueError, match="cannot hold"):
            fenced("text", "```")


def test_a_cell_keeps_its_table_whole() -> None:
    """Bars and line ends in it do not part it."""
    assert table(("a", "b"), [("1 | 2", "x\ny")]) == "| a | b |\n|---|---|\n| 1 \\| 2 | x y |"


@pytest.mark.parametrize(
    ("docstring", "text"),
    [
        ("The `code` it has.", r"The \ ``code``\  it has."),
        ("Several `Change`s.", r"Several \ ``Change``\ s."),
        ("Over `two\nlines` of it", "Over \\ ``two lines``\\  of it"),
        ("a * b | c_ d", r"a \* b \| c\_ d"),
        ("See:\n\n>>> f(*x_, `y`)\n\nor `z`", "See:\n\n>>> f(*x_, `y`)\n\nor \\ ``z``\\ "),
        ("a_name of `a_b*`", r"a_name of \ ``a_b*``\ "),
    ],
)
def test_a_docstring_has_code_and_no_other_markup(docstring: str, text: str) -> None:
    """What reStructuredText would take for its own is written so that it does not."""
    assert to_restructured_text(docstring) == text
