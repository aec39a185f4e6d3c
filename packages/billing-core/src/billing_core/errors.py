"""Every refusal of Billing, as one tree.

Each error has a stable `code` (what programs branch on) and says in its message what to do next. Data stands in
attributes. Nothing here knows HTTP: the apps translate.
"""

import math
from dataclasses import dataclass
from typing import ClassVar


class BillingError(Exception):
    """The root of everything Billing raises on purpose."""

    code: ClassVar[str] = "BILLING_ERROR"


# --- the caller's request ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One thing wrong with a request: `pointer` is a JSON Pointer (RFC 6901) to it."""

    pointer: str
    detail: str


class InvalidRequest(BillingError):
    """The request has fields that are missing, unknown, or of the wrong type or range."""

    code = "INVALID_REQUEST"

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{error.pointer or '/'}: {error.detail}" for error in errors))
        self.errors = errors


class InvalidPack(BillingError):
    """The catalogue sells no such pack."""

    code = "INVALID_PACK"

    def __init__(self, pack: str, known: tuple[str, ...]) -> None:
        super().__init__(f"There is no such credit pack. Choose one of: {', '.join(known)}.")
        self.pack, self.known = pack, known


class InvalidPlatform(BillingError):
    """No such payment platform is configured."""

    code = "INVALID_PLATFORM"

    def __init__(self, known: tuple[str, ...]) -> None:
        super().__init__(f"Send X-Platform exactly once, with one of: {', '.join(known)}.")
        self.known = known


class PlatformMismatch(BillingError):
    """The caller names another platform than the merchant is on."""

    code = "PLATFORM_MISMATCH"

    def __init__(self) -> None:
        super().__init__("X-Platform, the token's platform and the merchant's platform must be the same.")


class MerchantNotFound(BillingError):
    """Billing has not heard of this merchant."""

    code = "MERCHANT_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("Billing does not know this merchant yet; it is announced by evt.merchant.created.")


class PurchaseNotFound(BillingError):
    """This merchant has no such purchase (nor does it tell whether another one has)."""

    code = "PURCHASE_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("There is no such purchase.")


class ResolutionRefused(BillingError):
    """What an operator asked for does not fit how the purchase stands."""

    code = "RESOLUTION_REFUSED"


class TrialAlreadyUsed(BillingError):
    """The platform account has had its one trial."""

    code = "TRIAL_ALREADY_USED"

    def __init__(self) -> None:
        super().__init__("This shop has already had its trial; a trial is given once per platform account.")


class TrialNotRunning(BillingError):
    """The merchant has no trial that runs. `status` is how its newest one stands; None: it has had none."""

    code = "TRIAL_NOT_RUNNING"

    def __init__(self, merchant_id: str, status: str | None) -> None:
        why = "it has not started one, which it does itself"
        if status is not None:
            why = f"its newest trial is {status}; `billing trials regrant {merchant_id}` gives its shop another one"
        super().__init__(f"{merchant_id} has no running trial: {why}.")
        self.merchant_id, self.status = merchant_id, status


class TrialStillRunning(BillingError):
    """The platform account has a trial that runs, under this merchant id or another; a second one would double it."""

    code = "TRIAL_STILL_RUNNING"

    def __init__(self, merchant_id: str) -> None:
        super().__init__(
            f"The shop's trial still runs, as {merchant_id}'s; `billing trials extend {merchant_id}` makes it longer."
        )
        self.merchant_id = merchant_id


class TrialNotUsed(BillingError):
    """The platform account has had no trial, so there is none to give again."""

    code = "TRIAL_NOT_USED"

    def __init__(self) -> None:
        super().__init__("This shop has had no trial yet; the merchant starts it by itself (POST /api/billing/trials).")


class InvalidTrialEnd(BillingError):
    """The end a trial was to get is no later one, or is beyond the longest trial."""

    code = "INVALID_TRIAL_END"


class GrantCapExceeded(BillingError):
    """The operator would have granted more credits within a day than one may. `left` is what they may still grant."""

    code = "GRANT_CAP_EXCEEDED"

    def __init__(self, *, actor: str, cap: int, left: int) -> None:
        super().__init__(
            f"{actor} may grant {left} more now: one operator grants at most {cap} credits within 24 hours "
            "(goodwill_credits_per_day in the catalogue). Wait, or ask a colleague."
        )
        self.actor, self.cap, self.left = actor, cap, left


class GrantIdReused(BillingError):
    """The grant id was used for another merchant or another number of credits."""

    code = "GRANT_ID_REUSED"

    def __init__(self, *, merchant_id: str, granted: int) -> None:
        super().__init__(
            f"This grant id gave {granted} credits to {merchant_id} already. Leave --grant-id out for a new grant."
        )
        self.merchant_id, self.granted = merchant_id, granted


class TooManyOpenPurchases(BillingError):
    """The merchant has as many unpaid purchases open as is allowed."""

    code = "TOO_MANY_OPEN_PURCHASES"

    def __init__(self, limit: int) -> None:
        super().__init__(f"At most {limit} purchases may be open at once. Pay or let one expire first.")
        self.limit = limit


class IdempotencyKeyReused(BillingError):
    """The same idempotency key came with another request."""

    code = "IDEMPOTENCY_KEY_REUSED"

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used for another request. Make a new key for a new request.")


class IdempotencyKeyInUse(BillingError):
    """The first request under this idempotency key is still running. `retry_after_s` is in seconds."""

    code = "IDEMPOTENCY_KEY_IN_USE"

    def __init__(self, *, retry_after_s: int) -> None:
        super().__init__("The first request with this Idempotency-Key is still running. Ask again shortly.")
        self.retry_after_s = retry_after_s


class RateLimited(BillingError):
    """The merchant asked more often than its rate limit allows. `retry_after_s` is in seconds."""

    code = "RATE_LIMITED"

    def __init__(self, *, per_minute: int, burst: int, retry_after_s: int) -> None:
        super().__init__(
            f"A merchant may make {per_minute} requests a minute, {burst} of them at once. "
            f"Nothing was done: send the same request again in {retry_after_s} s."
        )
        self.retry_after_s = retry_after_s


# --- the payment platform ------------------------------------------------------------------------------------------


LONGEST_RETRY_AFTER_S = 3600.0


class PlatformError(BillingError):
    """A payment platform did not do what was asked. `retryable` says whether asking again may help."""

    code = "PLATFORM_ERROR"
    retryable: ClassVar[bool] = False

    def __init__(self, platform: str, detail: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(f"{platform}: {detail}")
        self.platform, self.detail = platform, detail
        # However long a platform asks for, it is asked again within the hour.
        told = retry_after_s is not None and not math.isnan(retry_after_s)
        self.retry_after_s = min(max(retry_after_s or 0.0, 0.0), LONGEST_RETRY_AFTER_S) if told else None


class PlatformUnavailable(PlatformError):
    """No answer, or a failure of the platform's own: the effect is unknown."""

    retryable = True


class PlatformThrottled(PlatformError):
    """The platform asks to be asked later."""

    retryable = True


class PlatformConflict(PlatformError):
    """The platform is still at work on the same request."""

    retryable = True


class PlatformProtocolError(PlatformError):
    """The platform answered something its contract does not allow, or our request broke it."""


class PlatformFault(PlatformProtocolError):
    """Our adapter broke in a way nobody foresaw; `__cause__` tells how."""


class PlatformAuthError(PlatformError):
    """The platform does not accept our credentials for this account."""


class PlatformRejected(PlatformError):
    """The platform understood and refused for good; no checkout exists."""


# --- storage, messages and configuration ---------------------------------------------------------------------------


class StorageUnavailable(BillingError):
    """The database is away; nothing was decided. Ask again after `retry_after_s` seconds."""

    code = "SERVICE_UNAVAILABLE"

    def __init__(self, detail: str = "The database cannot be reached right now.", *, retry_after_s: int = 2) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class StorageConflict(StorageUnavailable):
    """Another transaction got in the way; this one was undone whole and may be tried again at once."""


class ReferenceAlreadyClaimed(BillingError):
    """A platform reference belongs to another purchase already."""

    code = "REFERENCE_ALREADY_CLAIMED"


class SharedUsageUnavailable(BillingError):
    """What the processes admitted together cannot be told; each keeps to its rate limits by itself meanwhile."""

    code = "SHARED_USAGE_UNAVAILABLE"


class PublishingUnavailable(BillingError):
    """The broker did not confirm the events; they stay in the outbox and will be published later."""

    code = "PUBLISHING_UNAVAILABLE"


class BrokerDenied(PublishingUnavailable):
    """The broker is there and does not permit what is asked of it. It is asked again all the same, for what it permits
    may be mended while we run; `remedy` says how. `operation` is `connect`, `publish` or `subscribe`, to `subject`."""

    code = "BROKER_DENIED"

    def __init__(self, detail: str, *, operation: str, subject: str, remedy: str) -> None:
        super().__init__(f"{detail} {remedy}")
        self.detail, self.operation, self.subject, self.remedy = detail, operation, subject, remedy


class RedactionNotConfigured(BillingError):
    """There is no key to make pseudonyms with, or not the one that was used before."""

    code = "REDACTION_NOT_CONFIGURED"


class PurchasesStillPayable(BillingError):
    """The merchant has purchases that may still be paid, for which its identity is needed."""

    code = "PURCHASES_STILL_PAYABLE"

    def __init__(self, merchant_id: str, *, until: str) -> None:
        super().__init__(
            f"{merchant_id} has a purchase that can be paid until {until}, and needs its name until then. Wait, or "
            f"call it off: `billing purchases list --merchant {merchant_id}`, `billing purchases cancel ID`."
        )
        self.merchant_id, self.until = merchant_id, until


class MalformedMessage(BillingError):
    """A message from another service cannot be understood; it will be parked."""

    code = "MALFORMED_MESSAGE"


class MerchantConflict(BillingError):
    """A merchant was announced again with another platform or platform account."""

    code = "MERCHANT_CONFLICT"


class ParkedMessageNotFound(BillingError):
    """There is no parked message of that id."""

    code = "PARKED_MESSAGE_NOT_FOUND"


class ParkedMessageNotWaiting(BillingError):
    """The parked message was sent again or given up before."""

    code = "PARKED_MESSAGE_NOT_WAITING"


class InvalidCatalog(BillingError):
    """The catalogue file breaks a rule; the message names the entry and the remedy."""

    code = "INVALID_CATALOG"
