"""Exporting: off it is not there, on it is never in the way."""

import ast
import asyncio
import importlib
import logging
import pkgutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import opentelemetry.semconv._incubating.attributes as incubating
import opentelemetry.semconv.attributes as stable
import pytest
from tests.apps.http.door import some_settings
from tests.otlp import collecting

from billing_adapters.opentelemetry.exporting import QUEUE_SPANS
from billing_adapters.tracing import open_tracing

ROOT = Path(__file__).parents[3]
NOWHERE = "http://127.0.0.1:1"
UNWANTED = ("opentelemetry.sdk", "opentelemetry.exporter")
APPS = ("billing_http.main", "billing_worker.main", "billing_cli.main")


@pytest.mark.parametrize("app", APPS)
def test_off_nothing_of_it_is_loaded(app: str) -> None:
    """Neither on starting nor to print help is the SDK or an exporter imported, by us or by what we import.

    (Of the API fastapi, which the benchmarks need, imports some wherever it is installed.)
    """
    look = f"import sys, {app}; print(*(name for name in sys.modules if name.startswith({UNWANTED})))"

    loaded = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout

    assert loaded.split() == []


async def test_off_there_is_no_tracing() -> None:
    """Nothing is opened."""
    async with open_tracing(some_settings(otel_endpoint=None), app="test") as tracing:
        assert tracing is None


async def test_what_is_left_is_exported_at_the_end() -> None:
    """A process that stops loses none of what it traced."""
    with collecting() as collector:
        async with open_tracing(some_settings(otel_endpoint=collector.url), app="test") as tracing:
            assert tracing is not None
            for number in range(700):
                tracing.begin(f"job {number}").end()
            before = len(collector.spans())

        exported = collector.spans()
        assert {each.name for each in exported} == {f"job {number}" for number in range(700)}
        assert before < 700  # or it would prove nothing
        assert {each.service for each in exported} == {"billing-test"}


@pytest.mark.parametrize("given", ["", "/", "/v1/traces"])
async def test_the_address_may_be_the_collector_s_or_that_of_traces(given: str) -> None:
    """As OpenTelemetry's own variable has it, or whole."""
    with collecting() as collector:
        async with open_tracing(some_settings(otel_endpoint=collector.url + given), app="test") as tracing:
            assert tracing is not None
            tracing.begin("job x").end()

        assert {path for path, _ in collector.requests} == {"/v1/traces"}


async def test_a_collector_that_refuses_is_told_of_and_waited_for_by_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """The work goes on, the loss is in the log, and the end comes."""
    with collecting() as collector:
        collector.status = 400
        with caplog.at_level(logging.ERROR):
            async with open_tracing(some_settings(otel_endpoint=collector.url), app="test") as tracing:
                assert tracing is not None
                tracing.begin("job x").end()

    # By its status: an exporter of another test, whose collector is away, may give up meanwhile and say so here.
    assert [each.levelname for each in caplog.records if "code: 400" in each.getMessage()] == ["ERROR"]


async def test_a_collector_that_is_away_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    """However much is traced, the queue stays as long as it is, the loop turns, and the end comes."""
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with open_tracing(some_settings(otel_endpoint=NOWHERE), app="test") as tracing:
        assert tracing is not None
        turning = asyncio.create_task(turn())
        for _ in range(10):
            for number in range(QUEUE_SPANS // 4):
                tracing.begin(f"job {number}").end()
            await asyncio.sleep(0)
        waiting = _queue(tracing)
        turning.cancel()

    assert waiting <= QUEUE_SPANS
    assert turns > 5
    assert any("Failed to export" in each.getMessage() for each in caplog.records)


def _queue(tracing: Any) -> int:
    (processor,) = tracing._tracer.span_processor._span_processors
    return len(processor._batch_processor._queue)


def test_every_attribute_is_one_of_the_conventions_or_ours() -> None:
    """What we name ourselves begins with `billing.`; all else is named by OpenTelemetry's conventions."""
    known = {
        value
        for package in (stable, incubating)
        for each in pkgutil.iter_modules(package.__path__)
        for value in vars(importlib.import_module(f"{package.__name__}.{each.name}")).values()
        if isinstance(value, str)
    }
    sources = [*ROOT.joinpath("packages/billing-adapters/src/billing_adapters/opentelemetry").glob("*.py")]
    sources += [ROOT / f"apps/{app}/src/billing_{app}/tracing.py" for app in ("http", "worker")]
    used = {
        each.value
        for source in sources
        for node in ast.walk(ast.parse(source.read_text("utf-8")))
        for each in _attributes(node)
        if isinstance(each, ast.Constant)
    }

    assert len(used) > 30
    assert {each for each in used if not str(each).startswith("billing.")} <= known


def _attributes(node: ast.AST) -> Sequence[ast.expr | None]:
    """The names of attributes that a piece of our code gives: in a dictionary, as a key, or one by one."""
    if isinstance(node, ast.Dict):
        return node.keys
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        return [node.targets[0].slice]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "set_attribute":
        return node.args[:1]
    return []
