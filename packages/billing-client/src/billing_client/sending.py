"""How every call of a client is sent: where to, as whom, and for how long it is waited."""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, Final

import httpx2

from billing_client.calls import Call

# Billing gives a payment platform 12 seconds to make a checkout.
DEFAULT_TIMEOUT: Final = httpx2.Timeout(5.0, read=20.0)
_USER_AGENT: Final = f"billing-client/{version('billing-client')}"

MoreHeaders = Callable[[], Mapping[str, str]]


class Sending:
    """The part of a client that both kinds have."""

    def __init__(
        self,
        base_url: str,
        *,
        platform: str,
        timeout: httpx2.Timeout | float,
        headers: MoreHeaders | None,
    ) -> None:
        """Raises ValueError where `base_url` is no http or https address."""
        if not base_url.startswith(("http://", "https://")):
            raise ValueError(f"base_url must start with https:// or http://, which {base_url!r} does not")
        self.base_url, self.platform = base_url.rstrip("/"), platform
        self._timeout, self._headers = timeout, headers

    def arguments(self, call: Call[Any], token: str) -> dict[str, Any]:
        """What the HTTP library is to send. Redirects are never followed: the token would go along."""
        headers = httpx2.Headers({} if self._headers is None else self._headers())
        headers.update({"User-Agent": _USER_AGENT, **call.headers(token=token, platform=self.platform)})
        return {
            "method": call.method,
            "url": self.base_url + call.path,
            "params": call.query or None,
            "content": call.body,
            "headers": headers,
            "timeout": self._timeout,
            "follow_redirects": False,
        }
