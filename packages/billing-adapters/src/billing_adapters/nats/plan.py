"""What Billing has in NATS: the names of streams, subjects and durable consumers, and what a subject stands for."""

from dataclasses import dataclass
from typing import Final

from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

BILLING: Final = "BILLING"
MERCHANT: Final = "MERCHANT"
WEBHOOK: Final = "WEBHOOK"
SUBJECTS: Final = {BILLING: "evt.billing.>", MERCHANT: "evt.merchant.>", WEBHOOK: "evt.webhook.>"}
# The stream that keeps what JetStream tells when it gives a message of ours up.
ADVISORIES: Final = "BILLING_ADVISORIES"

ACK_WAIT_S = 30.0
# Messages that wait for their next attempt count too, so one platform's outage must not use this up and hold back
# the messages of the others; and yet it bounds what a consumer that never acknowledges can take.
MAX_ACK_PENDING = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerPlan:
    """A durable consumer of ours: it takes `subject` from `stream`."""

    stream: str
    durable: str
    subject: str

    def config(self) -> ConsumerConfig:
        """The settings it is made with. From the first message on: what was handled before is known by its id."""
        return ConsumerConfig(
            name=self.durable,
            durable_name=self.durable,
            filter_subject=self.subject,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_deliver=-1,  # giving up is our decision: such a message is parked, not forgotten
            max_ack_pending=MAX_ACK_PENDING,
        )


MERCHANT_CREATED: Final = ConsumerPlan(
    stream=MERCHANT, durable="billing-merchant-created", subject="evt.merchant.created"
)
PURCHASE_UPDATED: Final = ConsumerPlan(
    stream=WEBHOOK, durable="billing-purchase-updated", subject="evt.webhook.app.purchase_updated"
)
CONSUMERS: Final = (MERCHANT_CREATED, PURCHASE_UPDATED)


def covers(wide: str, narrow: str) -> bool:
    """Whether every subject that `narrow` stands for is one that `wide` stands for."""
    wides, narrows = wide.split("."), narrow.split(".")
    for index, part in enumerate(wides):
        if part == ">":
            return len(narrows) > index
        if index >= len(narrows) or narrows[index] == ">" or part not in {"*", narrows[index]}:
            return False
    return len(wides) == len(narrows)
