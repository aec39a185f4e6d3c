"""Messages and jobs in traces: where each goes on, and what a batch is linked to."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from structlog.testing import capture_logs
from tests.tracing_kit import SAMPLED, UNSAMPLED, Traces, linked, own, place

from billing_adapters.postgres.database import Database
from billing_adapters.postgres.outbox import PostgresOutbox
from billing_adapters.postgres.unit_of_work import PostgresUnits
from billing_adapters.tracing import job_traceparent
from billing_core.errors import StorageUnavailable
from billing_core.messages import InboundMessage, decode_event, open_envelope, untraced
from billing_core.testing import FixedClock, InMemoryBilling, a_merchant, a_purchase_updated, a_trial
from billing_core.use_cases.expire_trials import ExpireTrials
from billing_core.use_cases.inbound import Done, Outcome, Parked
from billing_core.use_cases.jobs import Job, JobReport, ScheduledJob
from billing_worker.consuming import Consume
from billing_worker.tracing import TracedConsume, traced_jobs

NAME = "billing-test"


def message(traceparent: str | None = None, *, body: bytes = b"{}", key: str = "1") -> InboundMessage:
    """A message, of that trace where it has one."""
    traced = {} if traceparent is None else {"traceparent": traceparent}
    return InboundMessage(subject="evt.test", body=body, headers={"Nats-Msg-Id": key, **traced})


class Handler:
    """Handles whatever comes, and remembers under which traces."""

    def __init__(self, *outcomes: Outcome, error: Exception | None = None) -> None:
        self._outcomes, self._error = outcomes, error
        self.handled: list[InboundMessage] = []
        self.under = ""
        self.logged: dict[str, object] = {}

    async def __call__(self, messages: Sequence[InboundMessage]) -> Sequence[Outcome]:
        self.handled.extend(messages)
        self.under = f"{trace.get_current_span().get_span_context().span_id:016x}"
        self.logged = structlog.contextvars.get_contextvars()
        if self._error is not None:
            raise self._error
        return self._outcomes or [Done() for _ in messages]


def consume(handler: Handler, traces: Traces) -> Consume:
    """The handler, traced."""
    return TracedConsume(handler, traces.tracing, consumer=NAME)


class TestMessages:
    async def test_one_that_came_alone_is_handled_in_its_own_trace(self) -> None:
        """Below the sender's span; what it brings about, asks and logs is below its own."""
        traces, handler = Traces(), Handler()

        with capture_logs() as logged:
            await consume(handler, traces)([message(SAMPLED)])

        (span,) = traces.spans
        assert (span.name, span.kind) == ("process evt.test", SpanKind.CONSUMER)
        assert place(span) == (SAMPLED[3:35], SAMPLED[36:52])
        assert [open_envelope(each).traceparent for each in handler.handled] == [own(span)]
        assert handler.under == own(span)[36:52]
        assert handler.logged["trace_id"] == SAMPLED[3:35]
        assert [(line["event"], line["trace_id"]) for line in logged] == [("message.traced", SAMPLED[3:35])]
        assert "trace_id" not in structlog.contextvars.get_contextvars()

    async def test_of_many_each_sampled_one_has_a_span_and_the_batch_links_them(self) -> None:
        """Each goes on in its own trace; those not sampled go on as they came."""
        traces, handler = Traces(), Handler()
        other = SAMPLED.replace("0af7", "1bf7")

        await consume(handler, traces)([message(SAMPLED), message(UNSAMPLED), message(other), message(body=b"no JSON")])

        batch, (first, second) = traces.spans[0], traces.spans[1:]
        assert (batch.name, place(batch)[1]) == (f"process {NAME}", "")
        assert linked(batch) == {own(first)[36:52], own(second)[36:52]}
        assert linked(first) == linked(second) == {own(batch)[36:52]}
        assert (batch.attributes or {})["messaging.batch.message_count"] == 4
        assert handler.under == own(batch)[36:52]
        under = [each.traceparent for each in handler.handled]
        assert under == [own(first), None, own(second), None]
        assert open_envelope(handler.handled[1]).traceparent == UNSAMPLED

    async def test_one_that_nobody_traced_begins_the_trace_its_events_would_have(self) -> None:
        """Where it falls into the share; else nothing is there at all."""
        traces, nothing, handler = Traces(), Traces(0.0), Handler()

        await consume(handler, traces)([message(key="m-1")])
        await consume(handler, nothing)([message(key="m-1")])

        (span,) = traces.spans
        assert place(span) == (untraced("m-1")[3:35], "")
        assert nothing.spans == ()
        assert [each.traceparent for each in handler.handled] == [own(span), None]

    async def test_what_became_of_it_is_told(self) -> None:
        """Anything but done is an error to look at."""
        traces = Traces()

        await consume(Handler(Parked(reason="secret words")), traces)([message(SAMPLED)])

        (span,) = traces.spans
        assert span.status.status_code is StatusCode.ERROR
        assert (span.attributes or {})["billing.outcome"] == "parked"
        assert "secret" not in span.to_json()

    @pytest.mark.parametrize("size", [1, 2])
    async def test_an_outage_ends_every_span_and_is_raised(self, size: int) -> None:
        """It is the consumer's to handle."""
        traces, handler = Traces(), Handler(error=StorageUnavailable("secret words"))

        with pytest.raises(StorageUnavailable):
            await consume(handler, traces)([message(SAMPLED) for _ in range(size)])

        assert len(traces.spans) == (1 if size == 1 else size + 1)
        assert {each.status.status_code for each in traces.spans} == {StatusCode.ERROR}

    async def test_credits_are_announced_in_the_notice_s_trace(self) -> None:
        """Through the real use case: below the span of the notice, whatever the purchase was opened under."""
        traces, billing = Traces(), InMemoryBilling()
        purchase = await billing.buy(await billing.register())
        billing.platform.pay(str(purchase.platform_reference))
        notice = message(SAMPLED, body=a_purchase_updated(str(purchase.platform_reference)).body)

        await TracedConsume(billing.handle_webhooks, traces.tracing, consumer=NAME)([notice])

        (span,) = traces.spans
        told = {event.type: event.traceparent for event in await billing.events()}
        assert told["evt.billing.credits.purchased"] == own(span)


class TestJobs:
    async def test_a_run_is_a_trace_of_its_own(self) -> None:
        """Sampled whatever the share; its trace id is known for the log."""
        traces, ids = Traces(0.0), dict[str, str]()
        seen: list[str | None] = []

        class Run:
            async def __call__(self, now: object = None) -> JobReport:
                seen.append(job_traceparent.get())
                return JobReport(done=3)

        (job,) = traced_jobs([_job(Run())], traces.tracing, ids)
        report = await job.run()

        (span,) = traces.spans
        assert report.done == 3
        assert (span.name, (span.attributes or {})["billing.job.done"]) == ("job expire-trials", 3)
        assert seen == [own(span)]
        assert ids == {"expire-trials": own(span)[3:35]}
        assert job_traceparent.get() is None

    async def test_a_fault_is_told_and_raised(self) -> None:
        """The scheduler tells it as ever."""
        traces = Traces()

        class Run:
            async def __call__(self, now: object = None) -> JobReport:
                raise ZeroDivisionError

        (job,) = traced_jobs([_job(Run())], traces.tracing, {})
        with pytest.raises(ZeroDivisionError):
            await job.run()

        assert traces.named("job expire-trials").status.status_code is StatusCode.ERROR
        assert job_traceparent.get() is None

    async def test_what_it_changes_is_announced_in_its_trace(self, database: Database) -> None:
        """Where nobody else traced it: the event names the run."""
        traces, clock, merchant = Traces(), FixedClock(), a_merchant()
        units = PostgresUnits(database)
        trial = a_trial(merchant, started_at=clock.now() - timedelta(days=15))
        async with units() as uow:
            await uow.merchants.add([merchant])
            await uow.trials.claim(trial)
            await uow.trials.add([trial])
            await uow.commit()
        (job,) = traced_jobs([_job(ExpireTrials(units=units, clock=clock))], traces.tracing, {})

        await job.run()

        (event,) = await PostgresOutbox(database).unpublished(10)
        assert decode_event(event.body).traceparent == own(traces.named("job expire-trials"))


def _job(run: Job) -> ScheduledJob:
    return ScheduledJob(name="expire-trials", every=timedelta(days=1), run=run, about="")
