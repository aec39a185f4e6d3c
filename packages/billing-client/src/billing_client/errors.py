"""Every way a call can end without an answer: one class for each code Billing refuses with, under one root.

BillingClientError
├── BillingConnectionError      nothing came back, however often it was sent
├── UnexpectedAnswer            something came back that is not Billing's
└── BillingAPIError             Billing refused; a code unknown here is this class itself
    ├── TrialAlreadyUsed, InvalidPack, PlatformError, …
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

from billing_client.answers import FieldProblem, Problem


class BillingClientError(Exception):
    """The root of everything the client raises about a call. Whether the call had an effect is not known unless the
    error says so; sending it again under the same `idempotency_key` is always safe."""

    def __init__(self, message: str, *, correlation_id: str, idempotency_key: str | None, attempts: int) -> None:
        super().__init__(message)
        self.correlation_id = correlation_id
        """Names the call in Billing's logs."""
        self.idempotency_key = idempotency_key
        """The key it was sent under; None where it only asked."""
        self.attempts = attempts
        """How often it was sent."""


class BillingConnectionError(BillingClientError):
    """Nothing came back: no connection, or none in time. `__cause__` is what the HTTP library raised."""


class UnexpectedAnswer(BillingClientError):
    """What came back is not Billing's: mostly a proxy's page, or an address that is not Billing's. `status` tells."""

    def __init__(
        self, message: str, *, status: int, correlation_id: str, idempotency_key: str | None, attempts: int
    ) -> None:
        super().__init__(message, correlation_id=correlation_id, idempotency_key=idempotency_key, attempts=attempts)
        self.status = status


class BillingAPIError(BillingClientError):
    """Billing refused. What is not listed as a class of its own arrives as this one: branch on `code`."""

    known_as: ClassVar[str] = ""

    def __init__(
        self, problem: Problem, *, idempotency_key: str | None, attempts: int, retry_after_s: float | None
    ) -> None:
        super().__init__(
            f"{problem.code} ({problem.status}): {problem.detail} [correlation id {problem.correlation_id}]",
            correlation_id=problem.correlation_id,
            idempotency_key=idempotency_key,
            attempts=attempts,
        )
        self.problem = problem
        """The whole document."""
        self.retry_after_s = retry_after_s
        """Seconds Billing asked to wait; None where it said nothing."""

    @property
    def code(self) -> str:
        """The stable name of the refusal."""
        return self.problem.code

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status

    @property
    def detail(self) -> str:
        """What is wrong and what to do, as a sentence."""
        return self.problem.detail


class InvalidRequest(BillingAPIError):
    """Fields or parameters are wrong; `errors` says which and why."""

    known_as = "INVALID_REQUEST"

    @property
    def errors(self) -> tuple[FieldProblem, ...]:
        """Everything that is wrong."""
        return self.problem.errors or ()


class InvalidPack(BillingAPIError):
    """The catalogue sells no such pack; `list_packs` tells what it sells."""

    known_as = "INVALID_PACK"


class InvalidPlatform(BillingAPIError):
    """The client was made with a platform this Billing does not serve."""

    known_as = "INVALID_PLATFORM"


class PlatformMismatch(BillingAPIError):
    """The client's platform is not the token's, or not the merchant's."""

    known_as = "PLATFORM_MISMATCH"


class Unauthenticated(BillingAPIError):
    """The token is missing, too old or not accepted."""

    known_as = "UNAUTHENTICATED"


class Forbidden(BillingAPIError):
    """The token lacks the scope: `billing:read` to ask, `billing:write` to buy."""

    known_as = "FORBIDDEN"


class MerchantNotFound(BillingAPIError):
    """Billing has not heard of the merchant yet; it is announced by `evt.merchant.created`."""

    known_as = "MERCHANT_NOT_FOUND"


class PurchaseNotFound(BillingAPIError):
    """This merchant has no such purchase."""

    known_as = "PURCHASE_NOT_FOUND"


class TrialAlreadyUsed(BillingAPIError):
    """The shop has had its one trial."""

    known_as = "TRIAL_ALREADY_USED"


class TooManyOpenPurchases(BillingAPIError):
    """Too many purchases wait for payment; one has to be paid or to expire first."""

    known_as = "TOO_MANY_OPEN_PURCHASES"


class IdempotencyKeyRequired(BillingAPIError):
    """The key given is none: 1 to 255 visible ASCII characters."""

    known_as = "IDEMPOTENCY_KEY_REQUIRED"


class IdempotencyKeyReused(BillingAPIError):
    """The key given was used for another request."""

    known_as = "IDEMPOTENCY_KEY_REUSED"


class IdempotencyKeyInUse(BillingAPIError):
    """The first request under the key was still running, however often it was asked again."""

    known_as = "IDEMPOTENCY_KEY_IN_USE"


class PlatformError(BillingAPIError):
    """The payment platform made no checkout. `retryable` says whether the same call may succeed later."""

    known_as = "PLATFORM_ERROR"

    @property
    def retryable(self) -> bool:
        """Whether to send it again under the same key after a while."""
        return bool(self.problem.retryable)

    @property
    def platform(self) -> str | None:
        """Which platform it was."""
        return self.problem.platform


class RateLimited(BillingAPIError):
    """More was asked than the merchant may, however patiently the client waited."""

    known_as = "RATE_LIMITED"


class ServiceUnavailable(BillingAPIError):
    """Billing could not answer just now, and nothing was decided."""

    known_as = "SERVICE_UNAVAILABLE"


class InternalError(BillingAPIError):
    """Something is wrong with Billing itself; name the `correlation_id` when you report it."""

    known_as = "INTERNAL_ERROR"


class NotFound(BillingAPIError):
    """There is nothing at this path: is the address that of Billing?"""

    known_as = "NOT_FOUND"


class MethodNotAllowed(BillingAPIError):
    """The path does not know the method: is the address that of Billing?"""

    known_as = "METHOD_NOT_ALLOWED"


class RequestTimeout(BillingAPIError):
    """The request did not arrive in time."""

    known_as = "REQUEST_TIMEOUT"


class PayloadTooLarge(BillingAPIError):
    """The body is larger than Billing accepts."""

    known_as = "PAYLOAD_TOO_LARGE"


class UriTooLong(BillingAPIError):
    """The path or query is longer than Billing accepts."""

    known_as = "URI_TOO_LONG"


class UnsupportedMediaType(BillingAPIError):
    """The body was not announced as JSON: something between changed the request."""

    known_as = "UNSUPPORTED_MEDIA_TYPE"


class HeadersTooLarge(BillingAPIError):
    """The headers are larger than Billing accepts."""

    known_as = "REQUEST_HEADER_FIELDS_TOO_LARGE"


ERRORS: Final[Mapping[str, type[BillingAPIError]]] = MappingProxyType(
    {each.known_as: each for each in BillingAPIError.__subclasses__()}
)
"""The class of each code."""
