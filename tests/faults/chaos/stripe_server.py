"""`python -m tests.faults.chaos.stripe_server SECRET_KEY`: the Stripe stand-in as a process that outlives all faults.

Its books are the truth about money: `GET /_control` tells sessions and, as `charges`, the payment of each.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from billing_adapters.stand_ins.stripe import Call, StripeStandIn
from billing_adapters.stand_ins.stripe_answers import missing
from billing_adapters.stand_ins.stripe_objects import Body, Payment


class BusyStripe(StripeStandIn):
    """The stand-in for thousands of sessions: it finds one by its id instead of by looking through all, and does not
    tell of its calls."""

    _near: Sequence[Body] | None = None

    @property
    def calls(self) -> Sequence[Call]:
        """None: nobody asks, and there are too many to tell."""
        return ()

    @property
    def charges(self) -> Mapping[str, Payment]:
        """The payment of each session that has one, by the session's id."""
        return self._payments

    def _retrieve(self, kind: str, object_id: str, _: dict[str, Any]) -> Body:
        if kind != "checkout.session":
            return super()._retrieve(kind, object_id, _)
        session = self._sessions.get(object_id)
        if session is None:
            raise missing(kind, object_id)
        payment = self._payments.get(object_id)
        # Asked for next, without anything in between: what may stand in the session in place of its id.
        self._near = [payment.intent_body(), payment.charge_body()] if payment else []
        return session.body()

    def _objects(self) -> Iterable[Body]:
        near, self._near = self._near, None
        return super()._objects() if near is None else near


async def serve(secret_key: str) -> None:
    """This will print the base URL and serve until SIGTERM, or until standard input closes."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(sys.stdin.fileno(), stop.set)  # nobody writes to it: it only ever ends
    async with BusyStripe(secret_key=secret_key).open() as base_url:
        sys.stdout.write(json.dumps({"stripe": base_url}) + "\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
