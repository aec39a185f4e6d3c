"""Every handler of Billing, in the situations that take it through all its steps."""

from collections.abc import Mapping

from tests.faults.sweep.handlers import goodwill, jobs, messages, operators, privacy, requests, rivals
from tests.faults.sweep.sweep import Handler

HANDLERS: Mapping[str, Handler] = {
    each.name: each
    for group in (requests, messages, jobs, operators, goodwill, privacy, rivals)
    for each in group.HANDLERS
}
