"""Which traces are exported, and under which id they begin."""

from collections.abc import Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes


class Beginnings(Sampler):
    """Of the traces that begin here: those that others are linked into, and every run of a job (they are few); of the
    requests and messages nobody traced a share of `ratio`, decided by the trace's id."""

    def __init__(self, ratio: float) -> None:
        self._share: Final = TraceIdRatioBased(ratio)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """See `Sampler`."""
        if links or kind is SpanKind.INTERNAL:
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
        return self._share.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """See `Sampler`."""
        return f"Beginnings({self._share.get_description()})"


def sampler(ratio: float) -> Sampler:
    """Whoever began a trace has decided about it; about those that begin here `Beginnings` does."""
    return ParentBased(root=Beginnings(ratio))


class TraceIds(RandomIdGenerator):
    """Random ids; but a trace that has a name of its own already, as what nobody traced has in our events and logs,
    begins under that."""

    def __init__(self) -> None:
        self._named: int | None = None

    def name(self, trace_id: str) -> None:
        """This will begin the next trace under that id."""
        self._named = int(trace_id, 16)

    def generate_trace_id(self) -> int:
        """See `IdGenerator`."""
        named, self._named = self._named, None
        return super().generate_trace_id() if named is None else named

    def is_trace_id_random(self) -> bool:
        """See `IdGenerator`. Those with a name are digests, and who chose what they are of is not known."""
        return False
