"""A platform that is watched does what it does, and its calls are counted."""

import pytest
from prometheus_client import CollectorRegistry
from tests.tracing_kit import Traces, place

from billing_adapters.platforms.watched import WatchedPlatform, watched
from billing_adapters.prometheus.process import ProcessMetrics
from billing_core.errors import PlatformThrottled
from billing_core.ports.platforms import LooksUpMany, PaymentPlatform, PlatformAccount
from billing_core.testing import MOMENT, ScriptedPlatform, a_merchant, a_purchase


class ManyPlatform(ScriptedPlatform):
    """One that tells of many at once."""

    async def look_up_many(self, checkouts: object, now: object) -> list[None]:
        return [None]


@pytest.fixture
def metrics() -> ProcessMetrics:
    """Where calls are counted."""
    return ProcessMetrics(CollectorRegistry(), app="worker")


def watch(platform: PaymentPlatform, metrics: ProcessMetrics, traces: Traces | None = None) -> PaymentPlatform:
    """The platform, watched."""
    return watched({platform.name: platform}, metrics, traces.tracing if traces else None)[platform.name]


async def test_everything_of_it_is_passed_on(metrics: ProcessMetrics) -> None:
    """Each call, with what it is given and what it gives."""
    platform, merchant = ScriptedPlatform("stripe"), a_merchant(platform="stripe")
    purchase, account = a_purchase(merchant), PlatformAccount.of(merchant)
    it = watch(platform, metrics)

    checkout = await it.create_checkout(purchase, account)
    report = await it.look_up(checkout.platform_reference, account, MOMENT)
    found = await it.find_checkout(purchase, account)
    await it.trace_payment("pay-1")
    await it.cancel_checkout(checkout.platform_reference, account)

    assert [call.verb for call in platform.calls] == [
        "create_checkout", "look_up", "find_checkout", "trace_payment", "cancel_checkout"
    ]  # fmt: skip
    assert report is not None
    assert found == checkout.platform_reference
    for name in ("name", "test_mode", "checkout_lifetime", "expiry_grace"):
        assert getattr(it, name) == getattr(platform, name)
    assert metrics.registry.get_sample_value("billing_platform_call_seconds_count", {"platform": "stripe"}) == 5


async def test_failures_are_counted_by_kind(metrics: ProcessMetrics) -> None:
    """And raised as they are."""
    platform, merchant = ScriptedPlatform(), a_merchant()
    platform.fail("create_checkout", PlatformThrottled("sandbox", "secret words"))
    traces = Traces()

    with pytest.raises(PlatformThrottled), traces.tracing.alone(traces.tracing.begin("job x")):
        await watch(platform, metrics, traces).create_checkout(a_purchase(merchant), PlatformAccount.of(merchant))

    labels = {"platform": "sandbox", "error": "PlatformThrottled"}
    assert metrics.registry.get_sample_value("billing_platform_errors_total", labels) == 1
    span = traces.named("sandbox create_checkout")
    assert (span.attributes or {})["error.type"] == "PlatformThrottled"
    assert place(span) == (place(traces.named("job x"))[0], place(span)[1])
    assert "secret" not in span.to_json()


async def test_who_tells_of_many_at_once_still_does(metrics: ProcessMetrics) -> None:
    """And who does not, does not seem to."""
    many, one = watch(ManyPlatform(), metrics), watch(ScriptedPlatform(), metrics)

    assert isinstance(many, LooksUpMany)
    assert await many.look_up_many([("x", PlatformAccount.of(a_merchant()))], MOMENT) == [None]
    assert isinstance(one, WatchedPlatform)
    assert not isinstance(one, LooksUpMany)
