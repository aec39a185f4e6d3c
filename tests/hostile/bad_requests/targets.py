"""Wrong queries, ids, paths and methods."""

from collections.abc import Iterator

from tests.hostile.bad_requests.bad import INVALID, PURCHASES, UNKNOWN_ID, Bad, good_body, target, told, words
from tests.hostile.live import good_headers, request

from billing_http.operations import OPERATIONS

READ_ONLY = {"GET /health", "GET /health/live", "GET /health/ready", "GET /metrics"}
QUERIES = (
    *words("""
    limit=0 limit=101 limit=-1 limit=1.0 limit=1e1 limit= limit limit=+1 limit=%201 limit=01 limit=%D9%A3
    limit=NaN limit=null limit=9999999999999999999999 limit=1&limit=1 limit=1;limit=2 limit[]=1 limit=1%00
    status=paid status= status=COMPLETED status=completed,failed status=completed&status=failed status=%00
    status='%20or%201=1-- archived=1 archived=True archived= archived=yes archived=true&archived=true cursor=
    cursor=nonsense cursor=%00 cursor=..%2F.. cursor=AAAAAAAAAAAAAAAAAAAAAB cursor=%FF%FE cursor=%F0%9F%98%80
    page=2 Limit=2 offset=1 merchant_id=merchant-2 = =1 &=& %00=1 %F0%9F%98%80=1 a.b=1 limit=1&x
    """),
    "cursor=" + "A" * 7000,
)  # fmt: skip
IDS = (
    *words("""
    x 0 -1 1e3 null undefined NaN * %2A %00 %0A %0D%0AX-Injected:%201 %20 %25 %2e ..%2f..%2fetc%2fpasswd
    ..%5c..%5c %c0%ae%c0%ae %FF %F0%9F%98%80 %ED%A0%80 {id} $id '%20or%201=1%20--
    00000000-0000-0000-0000-000000000000 ffffffff-ffff-ffff-ffff-ffffffffffff
    0199aaaa-0000-7000-8000-00000000000g
    """),
    UNKNOWN_ID, UNKNOWN_ID.upper(), UNKNOWN_ID[:-1], UNKNOWN_ID + "0", UNKNOWN_ID.replace("-", ""),
    UNKNOWN_ID.replace("-", "%2D") + "%00", "%7B" + UNKNOWN_ID + "%7D", "urn:uuid:" + UNKNOWN_ID, "a" * 2000,
)  # fmt: skip
PATHS = (
    *words("""
    / // /. /.. /nowhere /api /api/ /api/billing/ /api/billing//trials //api/billing /API/billing
    /api/billing/trials/ /api/billing/trial /api/billing/trials/x /api/billing/./trials
    /api/billing/../billing /api/billing/%2e%2e/health /api%2Fbilling/ /api/billing%00 /api/billing/purchases/
    /api/billing/purchases/x/y /api/billing/purchases/x/history/ /api/billing/purchases/x/History
    /api/billing;a=b /health/ /health/x /metrics/ /.env /.git/config /admin /wp-login.php /webhooks/stripe
    /webhooks/shopify * /%FF /%F0%9F%98%80 /% /%zz
    """),
    "/" + "a" * 7000,
)  # fmt: skip


def bad_targets() -> Iterator[Bad]:
    """Wrong queries, ids and paths."""
    listing = next(each for each in OPERATIONS if each.query)
    for query in QUERIES:
        sent = request("GET", f"{PURCHASES}?{query}", good_headers())
        yield Bad(f"GET {PURCHASES}?{query[:40]}", sent, INVALID, listing)
    for operation in OPERATIONS:
        for query in ("a=1", "limit=1&limit=1", "%00", "=") if operation is not listing else ():
            sent = request(operation.method, f"{target(operation)}?{query}", good_headers(), good_body(operation))
            yield Bad(f"{operation.method} {operation.path}?{query}", sent, INVALID, operation)
        sent = request(operation.method, f"{target(operation)}?{'x' * 9000}", good_headers(), good_body(operation))
        yield Bad(f"{operation.method} {operation.path}?9000", sent, told("414 URI_TOO_LONG"), operation)
        if "{id}" in operation.path:
            for each in IDS:
                sent = request("GET", operation.path.replace("{id}", each), good_headers())
                answer = told("404 PURCHASE_NOT_FOUND", "404 NOT_FOUND")
                yield Bad(f"GET {operation.path}: {each[:40]}", sent, answer, operation)
    for path in PATHS:
        yield Bad(f"GET {path[:40]}", request("GET", path, good_headers()), told("404 NOT_FOUND"))


METHODS = (
    "GET",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "PROPFIND",
    "PURGE",
    "LOCK",
    "REPORT",
    "M-SEARCH",
)


def bad_methods() -> Iterator[Bad]:
    """Every method at every path that does not answer it, with and without a body."""
    answered = {f"{each.method} {each.path}" for each in OPERATIONS} | READ_ONLY
    for path in dict.fromkeys(each.partition(" ")[2] for each in answered):
        for method in METHODS:
            if f"{method} {path}" not in answered:
                place = path.replace("{id}", UNKNOWN_ID)
                body = None if method in ("GET", "TRACE") else b"{}"
                sent = request(method, place, good_headers(), body)
                yield Bad(f"{method} {path}", sent, told("405 METHOD_NOT_ALLOWED"))
