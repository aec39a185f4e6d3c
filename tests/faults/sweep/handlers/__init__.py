"""Every handler of Billing, in the situations that take it through all its steps."""

from collections.abc import Mapping

from tests.faults.sweep.handlers import jobs, messages, operators, requests, rivals
from tests.faults.sweep.sweep import Handler

HANDLERS: Mapping[str, Handler] = {
    each.name: each
    for each in (*requests.HANDLERS, *messages.HANDLERS, *jobs.HANDLERS, *operators.HANDLERS, *rivals.HANDLERS)
}
