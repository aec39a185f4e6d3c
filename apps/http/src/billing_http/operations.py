"""The one table of what `/api/billing` answers: routes, scopes and the OpenAPI document are all made from it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from billing_core import errors, views
from billing_core.errors import BillingError
from billing_core.use_cases.caller import Caller
from billing_core.views import View
from billing_http import billing
from billing_http.requests import Nothing, RequestModel, identify
from billing_http.state import State

READ = "billing:read"
WRITE = "billing:write"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path. `successes` are its statuses, `refusals` those beyond the common ones."""

    method: str
    path: str
    handler: Callable[[Request[State], Caller], Awaitable[Response]]
    result: type[View]
    successes: tuple[int, ...] = (200,)
    body: type[RequestModel] | None = None
    query: type[RequestModel] | None = None
    refusals: tuple[type[BillingError], ...] = ()

    @property
    def scope(self) -> str:
        """The scope a token needs: nothing is open by oversight."""
        return WRITE if self.method == "POST" else READ

    @property
    def tag(self) -> str:
        """The heading it is described under: `Purchases` of `/api/billing/purchases/{id}`."""
        return self.path.removeprefix("/api/billing").strip("/").partition("/")[0].capitalize() or "Overview"


_UNKNOWN_MERCHANT = (errors.MerchantNotFound,)
_UNKNOWN_PURCHASE = (errors.PurchaseNotFound,)
_KEYS = (errors.IdempotencyKeyReused, errors.IdempotencyKeyInUse)

OPERATIONS = (
    Operation(
        method="GET",
        path="/api/billing",
        handler=billing.overview,
        result=views.BillingView,
        refusals=_UNKNOWN_MERCHANT,
    ),
    Operation(
        method="POST",
        path="/api/billing/trials",
        handler=billing.activate_trial,
        result=views.TrialView,
        successes=(201,),
        body=Nothing,
        refusals=(errors.TrialAlreadyUsed, *_UNKNOWN_MERCHANT, *_KEYS),
    ),
    Operation(
        method="GET",
        path="/api/billing/trials",
        handler=billing.show_trial,
        result=views.TrialView,
        refusals=_UNKNOWN_MERCHANT,
    ),
    Operation(
        method="POST",
        path="/api/billing/purchases",
        handler=billing.create_purchase,
        result=views.PurchaseView,
        successes=(201, 200),
        body=billing.NewPurchase,
        refusals=(
            errors.InvalidPack, errors.TooManyOpenPurchases, errors.PlatformError, *_UNKNOWN_MERCHANT, *_KEYS
        ),
    ),
    Operation(
        method="GET",
        path="/api/billing/purchases",
        handler=billing.list_purchases,
        result=views.PurchasePage,
        query=billing.PurchasesQuery,
    ),
    Operation(
        method="GET",
        path="/api/billing/purchases/{id}",
        handler=billing.show_purchase,
        result=views.PurchaseView,
        refusals=_UNKNOWN_PURCHASE,
    ),
    Operation(
        method="GET",
        path="/api/billing/purchases/{id}/history",
        handler=billing.show_history,
        result=views.HistoryView,
        refusals=_UNKNOWN_PURCHASE,
    ),
    Operation(method="GET", path="/api/billing/packs", handler=billing.list_packs, result=views.PacksView),
)  # fmt: skip


def billing_routes() -> Sequence[Route]:
    """One route for each path, so that a 405 names every method the path answers."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in OPERATIONS:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    return [Route(path, Endpoint(operations), methods=list(operations)) for path, operations in by_path.items()]


class Endpoint:
    """What answers at a path: identifies the caller for the method's operation, holds it to its rate limit, and has it
    answered. An ASGI app and no function, which Starlette would wrap in two layers more."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        get = {"HEAD": operations["GET"]} if "GET" in operations else {}
        self._operations = {**operations, **get}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        request = Request[State](scope, receive, send)
        operation = self._operations[request.method]
        caller = await identify(request, operation.scope)
        if (limits := request.state["limits"]) is not None:
            limits.check(scope, caller.merchant_id)
        response = await operation.handler(request, caller)
        await response(scope, receive, send)
