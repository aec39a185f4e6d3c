"""Dashboards: every panel asks for figures there are, and Grafana can draw it."""

import json
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from tests.deploy.conftest import ROOT, Scrapes
from tests.deploy.test_alerts import ENTRIES, selected

DASHBOARDS = sorted((ROOT / "deploy" / "grafana").glob("*.json"))
COLUMNS = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
UNITS = {"bytes", "mps", "ops", "percentunit", "reqps", "s", "short"}


@pytest.fixture(params=DASHBOARDS, ids=lambda path: path.stem)
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    """One dashboard."""
    document: dict[str, Any] = json.loads(request.param.read_text("utf-8"))
    assert document["uid"] == request.param.stem
    return document


def targets(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The queries of every panel, with its title."""
    return ((panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel["targets"])


def test_every_query_is_of_figures_there_are(dashboard: dict[str, Any], scrapes: Scrapes) -> None:
    """It can be parsed, and nothing it selects is a name that nothing tells."""
    told = scrapes.names()

    assert [(title, selected(query) - told) for title, query in targets(dashboard) if selected(query) - told] == []


def test_every_figure_of_ours_is_on_one(scrapes: Scrapes) -> None:
    """What is told and drawn nowhere is not looked at."""
    documents = [json.loads(path.read_text("utf-8")) for path in DASHBOARDS]
    drawn = {name for document in documents for _, query in targets(document) for name in selected(query)}
    kinds = [line.split()[2:4] for line in (scrapes.http + scrapes.worker).splitlines() if line.startswith("# TYPE")]
    ours = {name: {name, f"{name}_bucket", f"{name}_count"} for name, _ in kinds if name.startswith("billing_")}

    assert [name for name, told_as in ours.items() if not drawn & told_as and not name.endswith("_created")] == []


def test_every_panel_can_be_drawn(dashboard: dict[str, Any]) -> None:
    """Ids, places and queries are as Grafana wants them: none twice, none over another, none outside."""
    panels = dashboard["panels"]

    assert dashboard["schemaVersion"] >= 36
    assert [each["type"] for each in dashboard["templating"]["list"]] == ["datasource"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert panel["type"] in ("stat", "timeseries")
        assert panel["datasource"] == DATASOURCE
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert 0 <= place["x"] < place["x"] + place["w"] <= COLUMNS
        assert panel["description"]
        assert [each["refId"] for each in panel["targets"]] == list("ABC"[: len(panel["targets"])])
        assert all(each["legendFormat"] and each["datasource"] == DATASOURCE for each in panel["targets"])
    assert [(a["title"], b["title"]) for a, b in combinations(panels, 2) if _overlap(a["gridPos"], b["gridPos"])] == []


def test_what_it_says_of_the_runbook_is_there(dashboard: dict[str, Any]) -> None:
    """Panels name the entries that tell what to do."""
    named = {
        word.strip(".,") for panel in dashboard["panels"] for word in panel["description"].split()
        if word.startswith("Billing")
    }  # fmt: skip

    assert named
    assert named <= set(ENTRIES)


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    def apart(start: str, size: str) -> bool:
        return one[start] + one[size] <= other[start] or other[start] + other[size] <= one[start]

    return not (apart("x", "w") or apart("y", "h"))
