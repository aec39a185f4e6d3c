"""Alerts: each is well formed, fires and keeps quiet, is of figures there are, and leads to what to do."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from tests.deploy.alert_cases import CASES, Case
from tests.deploy.conftest import ALERTS, NOT_OURS, ROOT, Scrapes, judge

from billing_adapters.nats.streams import CONSUMERS
from billing_core.errors import PlatformError, PlatformFault

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text("utf-8")
ENTRIES = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))
Rule = dict[str, Any]
JOBS = (
    "archive-purchases",
    "expire-purchases",
    "expire-trials",
    "reconcile-purchases",
    "remind-trials",
    "purge-idempotency",
    "relay-events",
)
_DURABLES = [each.durable for each in CONSUMERS]
_PLATFORM_ERRORS: list[type[PlatformError]] = [PlatformError, *PlatformError.__subclasses__(), PlatformFault]
# Of the counters whose increase wakes somebody: the process that tells them, and what it tells from its start on.
NOUGHT = {
    "billing_messages_total": ("fresh_worker", {f'consumer="{each}",outcome="parked"' for each in _DURABLES}),
    "billing_messages_redelivered_total": ("fresh_worker", {f'consumer="{each}"' for each in _DURABLES}),
    "billing_job_runs_total": ("fresh_worker", {f'name="{each}",result="failed"' for each in JOBS}),
    "billing_platform_errors_total": (
        "fresh_http",
        {f'error="{each.__name__}",platform="sandbox"' for each in _PLATFORM_ERRORS},
    ),
}


def selected(expression: str) -> set[str]:
    """The names of the series a query selects."""
    names: set[str] = set()

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            names.add(str(node.name))
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return names


class TestRules:
    def test_each_is_of_figures_there_are(self, rules: Sequence[Rule], scrapes: Scrapes) -> None:
        """A name that nothing tells would keep an alert quiet for ever."""
        told = scrapes.names() | NOT_OURS

        assert [rule["alert"] for rule in rules if not selected(rule["expr"]) <= told] == []

    def test_each_says_whom_it_wakes(self, rules: Sequence[Rule]) -> None:
        """And what it is about, in words of its own."""
        assert {rule["labels"]["severity"] for rule in rules} == {"page", "ticket"}
        for rule in rules:
            assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert len({rule["annotations"]["summary"] for rule in rules}) == len(rules)

    def test_promtool_is_content(self, promtool: str) -> None:
        """With the rules, and with how Prometheus finds the processes."""
        judge(promtool, "check", "rules", str(ALERTS))
        judge(promtool, "check", "config", "--syntax-only", str(ALERTS.with_name("prometheus.yml")))

    def test_each_has_its_case(self, rules: Sequence[Rule]) -> None:
        """When it fires, and when it does not."""
        assert sorted(CASES) == sorted(rule["alert"] for rule in rules)

    @pytest.mark.parametrize("alert", CASES)
    def test_it_fires_and_keeps_quiet(self, promtool: str, rules: Sequence[Rule], tmp_path: Path, alert: str) -> None:
        """Judged by Prometheus' own engine."""
        (rule,) = [each for each in rules if each["alert"] == alert]
        judged = tmp_path / "cases.yml"

        judged.write_text(json.dumps(_tests(rule, CASES[alert])))  # JSON is YAML

        judge(promtool, "test", "rules", str(judged))


class TestScrapes:
    def test_counters_begin_at_nought(self, rules: Sequence[Rule], scrapes: Scrapes) -> None:
        """increase() does not see the value a series begins with: what has not happened yet is told before it does."""
        counted = {
            name: rule["expr"]
            for rule in rules
            for name in re.findall(r"increase\((\w+)", rule["expr"])
            if f"unless {name} offset" not in rule["expr"]  # that one looks for series that have begun
        }

        assert counted.keys() == NOUGHT.keys()
        for name, (process, labels) in NOUGHT.items():
            told = re.findall(rf"^{name}{{(.*)}} 0\.0$", getattr(scrapes, process), re.MULTILINE)
            assert labels <= set(told), name

    @pytest.mark.parametrize("process", ["http", "worker"])
    def test_promtool_is_content(self, promtool: str, scrapes: Scrapes, process: str) -> None:
        """With the names and types of what each process tells."""
        judge(promtool, "check", "metrics", given=getattr(scrapes, process))

    def test_no_label_is_one_that_prometheus_gives(self, scrapes: Scrapes) -> None:
        """`job` and `instance` say where a figure was scraped; of ours it would make `exported_job`."""
        ours = [line for line in (scrapes.http + scrapes.worker).splitlines() if line.startswith("billing_")]

        assert [line for line in ours if re.search(r'[{,](job|instance)="', line)] == []

    def test_every_figure_an_alert_needs_is_there(self, scrapes: Scrapes) -> None:
        """Those of the database by the one worker that measures; those of the process by each."""
        for name in ("server_up", "clock_ahead_seconds", "pool_waits_total", "event_loop_lag_seconds_count"):
            assert re.search(rf"^billing_{name}\b.* \d", scrapes.http, re.MULTILINE), name
            assert re.search(rf"^billing_{name}\b.* \d", scrapes.worker, re.MULTILINE), name
        assert 'billing_http_problems_total{code="UNAUTHENTICATED"} 1.0' in scrapes.http
        assert 'billing_platform_call_seconds_count{platform="sandbox"} 1.0' in scrapes.http
        assert "billing_outbox_oldest_seconds" not in scrapes.http


class TestRunbook:
    def test_each_alert_has_its_entry_and_each_entry_its_alert(self, rules: Sequence[Rule]) -> None:
        """Under the anchor that the alert names."""
        assert list(ENTRIES) == [rule["alert"] for rule in rules]
        for rule in rules:
            assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"

    @pytest.mark.parametrize("alert", ENTRIES)
    def test_it_says_what_to_do(self, alert: str) -> None:
        """What merchants notice, where to look, what mends it, whom to wake."""
        told = re.findall(r"^- \*\*(\w+)\*\*: \S", ENTRIES[alert], re.MULTILINE)

        assert told == ["Merchants", "Look", "Mend", "Wake"]

    def test_what_it_names_is_there(self, rules: Sequence[Rule], scrapes: Scrapes) -> None:
        """Other alerts and figures by their names."""
        alerts = {rule["alert"] for rule in rules}
        families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in scrapes.names()}

        assert set(re.findall(r"Billing[A-Z]\w+", RUNBOOK)) <= alerts
        assert set(re.findall(r"\bbilling_\w+", RUNBOOK)) <= families


def _tests(rule: Rule, case: Case) -> dict[str, Any]:
    annotations = {
        name: re.sub(r"{{ \$labels\.(\w+) }}", lambda found: case.labels[found[1]], text)
        for name, text in rule["annotations"].items()
    }
    fired = [{"exp_labels": {**rule["labels"], **case.labels}, "exp_annotations": annotations}]
    return {
        "rule_files": [str(ALERTS)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "alert_rule_test": [{"alertname": rule["alert"], "eval_time": case.at, "exp_alerts": expected}],
            }
            for series, expected in ((case.fires, fired), (case.fires_too, fired), (case.quiet, []))
            if series
        ],
    }
