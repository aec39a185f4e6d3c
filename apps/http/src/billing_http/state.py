"""What handlers work with: opened before the first request, closed after the last (Starlette's lifespan state)."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, NotRequired, TypedDict

from billing_adapters.nats.connection import NatsConnection
from billing_adapters.settings import Settings
from billing_core.ports.platforms import PaymentPlatform
from billing_core.ports.publishing import MessageSender
from billing_core.use_cases.activate_trial import ActivateTrial
from billing_core.use_cases.create_purchase import CreatePurchase
from billing_core.use_cases.read_billing import ReadBilling
from billing_http.metrics import HttpMetrics
from billing_http.rate_limits import RateLimits
from billing_http.tokens import TokenVerifier

if TYPE_CHECKING:
    from billing_http.tracing import RequestSpans

# Asks whether a server is there: False or an error says it is not. May hang; the one who asks sees to that.
Probe = Callable[[], Awaitable[bool | None]]


class Drain:
    """Whether the process is about to stop: then it is not ready for new requests, and still answers them."""

    def __init__(self) -> None:
        self.begun = False

    def begin(self) -> None:
        """This will make the process unready from now on."""
        self.begun = True


class Billing(TypedDict):
    """Use cases and adapters, opened."""

    tokens: TokenVerifier
    limits: RateLimits | None
    activate_trial: ActivateTrial
    create_purchase: CreatePurchase
    read: ReadBilling
    platforms: Mapping[str, PaymentPlatform]
    sender: MessageSender
    nats: NatsConnection
    probes: Mapping[str, Probe]
    is_crowded: Callable[[], bool]  # whether whoever wants the database now would wait in vain
    spans: NotRequired["RequestSpans | None"]  # None where no traces are exported


class State(Billing):
    """The whole of what handlers find in `request.state`."""

    settings: Settings
    metrics: HttpMetrics
    drain: Drain


OpenBilling = Callable[[Settings], AbstractAsyncContextManager[Billing]]
