"""What only HTTP can refuse: no token, no key, a body too large. The rest of the tree is `billing_core.errors`."""

from collections.abc import Collection
from typing import ClassVar

from billing_core.errors import BillingError


class HttpRefusal(BillingError):
    """A request refused before billing is asked; `detail` says what to do."""

    detail: ClassVar[str] = "The request cannot be answered."

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.detail)


class Unauthenticated(HttpRefusal):
    """There is no token, or one that is not accepted. `token_sent` says which."""

    code = "UNAUTHENTICATED"
    detail = "Send Authorization exactly once, as: Bearer <token>."

    def __init__(self, detail: str | None = None, *, token_sent: bool = False) -> None:
        super().__init__(detail)
        self.token_sent = token_sent


class Forbidden(HttpRefusal):
    """The token lacks a scope."""

    code = "FORBIDDEN"

    def __init__(self, scope: str) -> None:
        super().__init__(f"The token's scope must include {scope}.")
        self.scope = scope


class KeysUnavailable(HttpRefusal):
    """The issuer's keys cannot be fetched, so no token can be judged."""

    code = "SERVICE_UNAVAILABLE"
    detail = "The keys that verify tokens cannot be fetched right now."
    retry_after_s = 5


class IdempotencyKeyRequired(HttpRefusal):
    """There is no usable idempotency key."""

    code = "IDEMPOTENCY_KEY_REQUIRED"
    detail = (
        "Send Idempotency-Key exactly once: 1-255 visible ASCII characters, bare or as a quoted string, "
        "new for each new request and the same when repeating one."
    )


class NotFound(HttpRefusal):
    """There is nothing at this path."""

    code = "NOT_FOUND"
    detail = "There is nothing at this path."


class MethodNotAllowed(HttpRefusal):
    """The path does not know the method."""

    code = "METHOD_NOT_ALLOWED"

    def __init__(self, allowed: Collection[str]) -> None:
        self.allowed = ", ".join(sorted(allowed))
        super().__init__(f"This path answers: {self.allowed}.")


class RequestTimeout(HttpRefusal):
    """The body did not arrive in time."""

    code = "REQUEST_TIMEOUT"
    detail = "The body of the request did not arrive in time."


class PayloadTooLarge(HttpRefusal):
    """The body is larger than accepted."""

    code = "PAYLOAD_TOO_LARGE"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The body may have at most {limit_bytes // 1024} KiB.")


class UriTooLong(HttpRefusal):
    """The path or query is longer than accepted."""

    code = "URI_TOO_LONG"
    detail = "The path and query may have at most 8 KiB."


class UnsupportedMediaType(HttpRefusal):
    """The body is not announced as JSON."""

    code = "UNSUPPORTED_MEDIA_TYPE"
    detail = "Send the body as Content-Type: application/json, in UTF-8 and without Content-Encoding."


class HeadersTooLarge(HttpRefusal):
    """The headers are larger than accepted."""

    code = "REQUEST_HEADER_FIELDS_TOO_LARGE"
    detail = "The headers may have at most 32 KiB."


class NotSigned(HttpRefusal):
    """A webhook is not signed by its vendor. Which part was wrong is not told."""

    code = "UNAUTHENTICATED"
    detail = "The webhook's signature is missing or not accepted."


class NotPublished(HttpRefusal):
    """A webhook could not be passed on, so it is not acknowledged: the vendor sends it again."""

    code = "SERVICE_UNAVAILABLE"
    detail = "The webhook could not be passed on. Send it again."
    retry_after_s = 5


class Crowded(HttpRefusal):
    """Others wait for the database so long already that whoever comes now would wait in vain."""

    code = "SERVICE_UNAVAILABLE"
    detail = "Nothing was decided. Send the same request again in a moment, with the same Idempotency-Key."
    retry_after_s = 1


class ShuttingDown(HttpRefusal):
    """The process stops before the request could be answered; another one answers."""

    code = "SERVICE_UNAVAILABLE"
    detail = "This process is stopping. Send the request again."
    retry_after_s = 1


class InternalError(HttpRefusal):
    """Something is wrong with Billing itself."""

    code = "INTERNAL_ERROR"
    detail = "Something went wrong on our side. Name the correlation id when you report it."
