"""What to do about a platform in trouble."""

from typing import Any

from billing_core.errors import (
    PlatformAuthError,
    PlatformConflict,
    PlatformError,
    PlatformProtocolError,
    PlatformRejected,
    PlatformThrottled,
    PlatformUnavailable,
)

_REMEDIES: dict[type[PlatformError], str] = {
    PlatformUnavailable: "Ask again in a minute; where it lasts, see the platform's status page.",
    PlatformThrottled: "Ask again later, or about fewer at once.",
    PlatformConflict: "Ask again in a minute.",
    PlatformAuthError: "Renew the credentials of this platform or shop; `billing config show` tells where they stand.",
    PlatformRejected: "Compare with the platform's own record of this payment.",
    PlatformProtocolError: "Compare the pinned API version with the platform's; the service's log has the answer.",
}


def remedy(trouble: PlatformError) -> str | None:
    """What a person can do about it; None where the error itself says so."""
    known = next((text for kind, text in _REMEDIES.items() if isinstance(trouble, kind)), None)
    if trouble.retry_after_s is None:
        return known
    return f"Ask again after {trouble.retry_after_s:.0f} s."


def sentence(trouble: PlatformError) -> str:
    """The error as one line: code, what, and what to do."""
    text = f"{trouble.code}: {trouble}"
    advice = remedy(trouble)
    return text if advice is None else f"{text.removesuffix('.')}. {advice}"


def trouble_document(trouble: PlatformError) -> dict[str, Any]:
    """The same for programs."""
    return {
        "code": trouble.code,
        "platform": trouble.platform,
        "detail": trouble.detail,
        "retryable": trouble.retryable,
        "retry_after_s": trouble.retry_after_s,
        "remedy": remedy(trouble),
    }
