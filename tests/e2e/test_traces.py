"""One trace from the purchase to the credits: in answers, in the logs of both processes, in events and in spans."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Service, start_service, wait_until
from tests.otlp import Collector, ExportedSpan, collecting

DEADLINE_S = 60.0
WANTED = {"pack": "large", "return_url": "https://shop.example/billing"}
LAST_OF_EACH_PROCESS = {
    "POST /sandbox/checkout/{reference}",
    "process evt.webhook.app.purchase_updated",
    "publish evt.billing.credits.purchased",
}
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """Where the service exports to."""
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the service keeps its data and logs."""
    return tmp_path_factory.mktemp("traced")


@pytest.fixture(scope="module")
def service(folder: Path, collector: Collector) -> Iterator[Service]:
    """The service, which exports what its callers trace and nothing else."""
    yield from start_service(folder, BILLING_OTEL_ENDPOINT=collector.url, BILLING_OTEL_SAMPLE_RATIO="0")


@pytest.fixture(scope="module")
def trace_id() -> str:
    """The trace of the caller."""
    return secrets.token_hex(16)


@pytest.fixture(scope="module")
def caller(trace_id: str) -> dict[str, str]:
    """What a caller sends who traces."""
    return {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}


@pytest.fixture(scope="module")
def answers(service: Service, caller: dict[str, str]) -> dict[str, Any]:
    """A purchase and its payment, up to the credits, in the caller's trace: the answers and the events."""
    headers = service.headers(**{"Idempotency-Key": "traced"}, **caller)
    bought = service.client.post("/api/billing/purchases", json=WANTED, headers=headers)
    assert bought.status_code == 201, bought.text
    paid = service.client.post(bought.json()["checkout_url"], data={"action": "pay"}, headers=caller)
    assert paid.status_code == 303, paid.text

    def events() -> dict[str, Any]:
        seen = {each["type"]: each for each in service.billing("events", "tail", "--since", "1h", "--no-follow")}
        return seen if "evt.billing.credits.purchased" in seen else {}

    return {"bought": bought, "paid": paid, "events": wait_until(events, within_s=DEADLINE_S, what="credits")}


@pytest.fixture(scope="module")
def tree(answers: dict[str, Any], collector: Collector, trace_id: str) -> dict[str, ExportedSpan]:
    """The spans of the caller's trace, by name; of those of one name the last."""

    def whole(spans: list[ExportedSpan]) -> dict[str, ExportedSpan]:
        mine = {each.name: each for each in spans if each.trace_id == trace_id}
        return mine if mine.keys() >= LAST_OF_EACH_PROCESS else {}

    found: dict[str, ExportedSpan] = collector.wait_for(whole, "the end of the trace")
    return found


def lines(folder: Path, app: str) -> list[dict[str, Any]]:
    """What a process logged."""
    text = (folder / "up" / "log" / f"{app}.log").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_the_answers_name_the_trace(answers: dict[str, Any], trace_id: str) -> None:
    """Whoever called can look the trace up."""
    for answer in (answers["bought"], answers["paid"]):
        assert answer.headers["traceresponse"][3:35] == trace_id


def test_the_logs_of_both_processes_name_the_trace(
    folder: Path, tree: dict[str, ExportedSpan], answers: dict[str, Any], trace_id: str
) -> None:
    """Each request, each message handled and each event published is a line with the trace's id."""
    http = [line for line in lines(folder, "http") if line.get("trace_id") == trace_id]
    worker = [line for line in lines(folder, "worker") if line.get("trace_id") == trace_id]

    routes = [line["route"] for line in http if line["event"] == "request"]
    assert routes == ["/api/billing/purchases", "/sandbox/checkout/{reference}"]
    handled = [line for line in worker if line["event"] == "message.traced"]
    assert [(line["subject"], line["outcome"]) for line in handled] == [("evt.webhook.app.purchase_updated", "done")]
    published = [line["type"] for line in worker if line["event"] == "event.published"]
    assert sorted(published) == ["evt.billing.credits.purchased", "evt.billing.purchase.created"]


def test_the_events_are_in_the_trace(answers: dict[str, Any], tree: dict[str, ExportedSpan], trace_id: str) -> None:
    """What is announced names as its parent the span it was decided under: the request, then the notice."""
    created, credited = (
        answers["events"][f"evt.billing.{kind}"]["traceparent"] for kind in ("purchase.created", "credits.purchased")
    )

    assert created == f"00-{trace_id}-{tree['POST /api/billing/purchases'].span_id}-01"
    assert credited == f"00-{trace_id}-{tree['process evt.webhook.app.purchase_updated'].span_id}-01"


def test_the_spans_are_one_tree(tree: dict[str, ExportedSpan], caller: dict[str, str]) -> None:
    """Each span stands below the one that brought it about, up to the caller's own."""
    request, checkout = tree["POST /api/billing/purchases"], tree["POST /sandbox/checkout/{reference}"]
    use_case, notice = tree["CreatePurchase"], tree["process evt.webhook.app.purchase_updated"]

    parents = {name: span.parent_id for name, span in tree.items()}
    assert parents["POST /api/billing/purchases"] == parents["POST /sandbox/checkout/{reference}"]
    assert parents["POST /api/billing/purchases"] == caller["traceparent"][36:52]
    assert parents["CreatePurchase"] == request.span_id
    assert parents["sandbox create_checkout"] == use_case.span_id
    assert parents["publish evt.billing.purchase.created"] == request.span_id
    assert parents["publish evt.webhook.app.purchase_updated"] == checkout.span_id
    assert parents["process evt.webhook.app.purchase_updated"] == checkout.span_id
    assert parents["HandleWebhooks"] == notice.span_id
    assert parents["SettlePurchases"] == tree["HandleWebhooks"].span_id
    assert parents["publish evt.billing.credits.purchased"] == notice.span_id


def test_the_spans_are_described_as_the_conventions_want(tree: dict[str, ExportedSpan]) -> None:
    """Kinds and attributes are those of OpenTelemetry's conventions, so that any collector understands them."""
    request = tree["POST /api/billing/purchases"]
    notice = tree["process evt.webhook.app.purchase_updated"]
    event = tree["publish evt.billing.credits.purchased"]

    assert (request.service, request.kind) == ("billing-http", SERVER)
    assert request.attributes["http.request.method"] == "POST"
    assert request.attributes["http.route"] == "/api/billing/purchases"
    assert request.attributes["http.response.status_code"] == "201"  # JSON has no whole numbers of 64 bits
    assert (notice.service, notice.kind) == ("billing-worker", CONSUMER)
    assert notice.attributes["messaging.system"] == "nats"
    assert notice.attributes["messaging.destination.name"] == "evt.webhook.app.purchase_updated"
    assert notice.attributes["messaging.consumer.group.name"] == "billing-purchase-updated"
    assert (event.service, event.kind) == ("billing-worker", PRODUCER)
    assert event.attributes["messaging.destination.name"] == "evt.billing.credits.purchased"


def test_queries_are_spans_below_what_asked(collector: Collector, tree: dict[str, ExportedSpan], trace_id: str) -> None:
    """Each query of the trace is told by what it does to which tables, with its text and without its arguments."""
    queries = [
        each for each in collector.spans()
        if each.trace_id == trace_id and each.attributes.get("db.system.name") == "postgresql"
    ]  # fmt: skip

    assert ("SELECT merchants", tree["CreatePurchase"].span_id) in {(each.name, each.parent_id) for each in queries}
    writes = [each for each in queries if "INSERT outbox" in each.name]
    assert {each.parent_id for each in writes} == {tree["CreatePurchase"].span_id, tree["SettlePurchases"].span_id}
    assert all(each.kind == CLIENT and each.attributes["db.query.text"] for each in queries)
    assert not any("https://shop.example" in str(each.attributes) for each in queries)


def test_the_relay_tells_its_batches_with_links(collector: Collector, tree: dict[str, ExportedSpan]) -> None:
    """A batch of the relay is a span of its own, linked to where its events come from."""
    notice = tree["process evt.webhook.app.purchase_updated"]

    batches = [each for each in collector.spans() if each.name == "publish BILLING"]

    assert any((notice.trace_id, notice.span_id) in each.links for each in batches)
    assert all(each.parent_id == "" for each in batches)


def test_a_job_is_a_trace_of_its_own(service: Service, collector: Collector) -> None:
    """Every run is a span, and none is in anybody's trace."""
    assert service.get("/health").status_code == 200
    jobs = collector.wait_for(lambda spans: [each for each in spans if each.name == "job reconcile-purchases"], "a job")

    assert {each.parent_id for each in jobs} == {""}
    assert jobs[0].attributes["billing.job"] == "reconcile-purchases"


def test_nothing_confidential_is_exported(
    collector: Collector, tree: dict[str, ExportedSpan], service: Service
) -> None:
    """No token, no key, no address of a checkout: only what logs say too."""
    exported = b"".join(body for _, body in collector.requests)

    assert service.ready["token"].encode() not in exported
    assert b"offer=" not in exported
    assert b"shop.example" not in exported
    assert {path for path, _ in collector.requests} == {"/v1/traces"}


def test_what_nobody_traces_is_not_exported(service: Service, collector: Collector, answers: dict[str, Any]) -> None:
    """With a share of none, a request without a trace is answered under one that its log and answer name, and that no
    span is of."""
    answer = service.get("/api/billing")

    trace_id = answer.headers["traceresponse"][3:35]
    assert answer.headers["traceresponse"].endswith("-00")
    assert trace_id not in {each.trace_id for each in collector.spans()}
