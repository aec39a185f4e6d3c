"""Where a merchant may be sent after a checkout: only to places the deployment names."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from billing_core.errors import FieldError, InvalidRequest

MAX_LENGTH = 2048
# Browsers read `\` as `/` and drop control characters: what we check must be what they open. So printable ASCII only,
# without the space and without \ " < > ^ ` { | }.
_UNAMBIGUOUS = re.compile(rf"[!#-;=?-\[\]_a-z~]{{1,{MAX_LENGTH}}}")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnUrlPolicy:
    """Absolute https URLs on exactly the `hosts` named (none named: any host); in development also http on this
    machine."""

    hosts: frozenset[str] = frozenset()
    allow_loopback_http: bool = False

    def check(self, url: str) -> str:
        """This will give the URL back. Raises InvalidRequest (pointer `/return_url`) where it is not allowed."""
        if problem := self._problem(url):
            raise InvalidRequest(FieldError(pointer="/return_url", detail=problem))
        return url

    def _problem(self, url: str) -> str | None:
        if not _UNAMBIGUOUS.fullmatch(url):
            return f"must be an absolute URL of at most {MAX_LENGTH} printable ASCII characters"
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            return "must be an absolute URL"
        if not host or "@" in parts.netloc:
            return "must be an absolute URL with a host and without user information"
        local = self.allow_loopback_http and host in _LOOPBACK
        if parts.scheme != "https" and not (local and parts.scheme == "http"):
            return "must be an https URL"
        if self.hosts and not local and host not in self.hosts:
            return "its host is not one of those allowed"
        return None
