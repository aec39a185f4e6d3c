"""How Stripe fails, in our words: nothing but the `PlatformError` tree leaves.

Stripe's own messages may repeat what was sent, so they are neither passed on nor logged; its error's class, status,
code and request id are logged, which is what its support asks for.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import stripe

from billing_adapters.logs import get_logger
from billing_adapters.outbound import DestinationRefused
from billing_adapters.platforms.stripe_checkout.marks import NAME
from billing_core.errors import (
    PlatformAuthError,
    PlatformConflict,
    PlatformError,
    PlatformProtocolError,
    PlatformRejected,
    PlatformThrottled,
    PlatformUnavailable,
)

# What the library, and reading its answers, end in where Stripe answers something of another shape than it promises.
_ODD_SHAPE = (AttributeError, LookupError, RecursionError, TypeError, ValueError)
DEFAULT_RETRY_AFTER_S, LONGEST_RETRY_AFTER_S = 1.0, 60.0
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_NO_ANSWER = "it gave no usable answer"


@contextmanager
def platform_errors(operation: str, *, creating: bool = False) -> Iterator[None]:
    """This will raise whatever goes wrong in the block as a PlatformError; `creating` where a refusal may be for
    good."""
    try:
        yield
    except stripe.StripeError as failure:
        _warn(operation, failure)
        raise _platform_error(failure, creating=creating) from None
    except DestinationRefused as refused:
        get_logger(NAME).error("platform.destination_refused", operation=operation, reason=str(refused))
        raise PlatformAuthError(NAME, "it is asked at its own host, or where the configuration says") from None
    except UnicodeDecodeError:
        get_logger(NAME).warning("platform.answer_not_text", operation=operation)
        raise PlatformUnavailable(NAME, _NO_ANSWER) from None
    except _ODD_SHAPE as odd:
        get_logger(NAME).warning("platform.answer_not_understood", operation=operation, error=type(odd).__name__)
        raise PlatformProtocolError(NAME, "its answer is not one its API promises") from None


def is_missing(failure: stripe.StripeError) -> bool:
    """Whether Stripe knows no object of the id asked for."""
    return failure.http_status == 404 or failure.code == "resource_missing"


def is_saved_failure(failure: stripe.StripeError) -> bool:
    """Whether a 5xx is the saved answer to its idempotency key, and so the only one there will be for a day."""
    return (failure.http_status or 0) >= 500 and _is_replayed(failure.headers or {})


def is_replay(response: stripe.StripeResponse | None) -> bool:
    """Whether an answer is the saved one to its idempotency key."""
    return response is not None and _is_replayed(response.headers)


def retry_after_s(headers: Mapping[str, str]) -> float:
    """How many seconds Stripe asks to be left alone, at most a minute; a second where it does not say."""
    told = headers.get("retry-after", "")
    return min(float(told), LONGEST_RETRY_AFTER_S) if _SECONDS.fullmatch(told) else DEFAULT_RETRY_AFTER_S


def throttled(after_s: float) -> PlatformThrottled:
    """The refusal of calls until Stripe takes them again."""
    return PlatformThrottled(NAME, "it asks for fewer calls for now", retry_after_s=after_s)


def _is_replayed(headers: Mapping[str, str]) -> bool:
    return headers.get("idempotent-replayed") == "true"


def _platform_error(failure: stripe.StripeError, *, creating: bool) -> PlatformError:
    match failure.http_status:
        case 401 | 403:
            return PlatformAuthError(NAME, "it does not accept the key of BILLING_STRIPE_SECRET_KEY for this call")
        case 409:
            return PlatformConflict(NAME, "it is still at work on the same request")
        case 429:
            return throttled(retry_after_s(failure.headers or {}))
        case 400 | 402 if creating and _is_for_good(failure):
            return PlatformRejected(NAME, "it refuses this payment; the log names the parameter")
        case int(status) if 400 <= status < 500:  # an IdempotencyError too: the key came with other parameters
            return PlatformProtocolError(NAME, "it does not understand our request")
        case _:  # a failure of its own, no answer at all, or an answer that is no JSON
            return PlatformUnavailable(NAME, _NO_ANSWER)


def _is_for_good(failure: stripe.StripeError) -> bool:
    """Whether surely no session was made, and none will be.

    Not so where the deadline is what Stripe objects to: our request came too late for a new session, and an earlier
    attempt, whose key is forgotten since, may have made one.
    """
    match failure:
        case stripe.InvalidRequestError() | stripe.CardError():
            return bool(failure.param != "expires_at")
        case _:
            return False


def _warn(operation: str, failure: stripe.StripeError) -> None:
    get_logger(NAME).warning(
        "platform.failed",
        operation=operation,
        error=type(failure.__cause__ or failure).__name__,  # of a connection error, what it was
        http_status=failure.http_status,
        code=failure.code,
        param=getattr(failure, "param", None),
        request_id=failure.request_id,
    )
