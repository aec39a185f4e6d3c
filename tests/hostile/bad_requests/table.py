"""The table of bad requests: by rule, what is sent and how it is refused.

Most rules hold for every operation of the service, or every one with a body, so a new operation is in the table the day
it is made.
"""

from collections.abc import Callable, Iterator

from tests.hostile.bad_requests.bad import Bad
from tests.hostile.bad_requests.bodies import bad_bodies
from tests.hostile.bad_requests.headers import bad_headers
from tests.hostile.bad_requests.no_http import no_http
from tests.hostile.bad_requests.targets import bad_methods, bad_targets

RULES: dict[str, Callable[[], Iterator[Bad]]] = {
    "headers": bad_headers,
    "bodies": bad_bodies,
    "targets": bad_targets,
    "methods": bad_methods,
    "no HTTP": no_http,
}
