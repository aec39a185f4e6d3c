"""Where a merchant may be sent after a checkout: only to places the deployment names.

Judged by one pattern, which is what the OpenAPI document says too, and not by a parser: parsers disagree about what it
leaves out (user information, backslashes, control characters, brackets and percent signs in a host), and what we check
must be what browsers open.
"""

import re
from dataclasses import dataclass
from typing import Final

from billing_core.errors import FieldError, InvalidRequest

MAX_LENGTH: Final = 2048
# Printable ASCII without the space and without \ " < > ^ ` { | }: browsers read `\` as `/` and drop control characters.
_SIGN = r"[!#-;=?-\[\]_a-z~]"
_HOST = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]{2,45}\]"
_THIS_MACHINE = r"localhost|127\.0\.0\.1|\[::1\]"
_PORT = r"(?::(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
_REST = rf"(?:[/?#]{_SIGN}*)?"
_HTTPS = rf"[Hh][Tt][Tt][Pp][Ss]://({_HOST}){_PORT}{_REST}"
_ON_THIS_MACHINE = rf"https?://(?:{_THIS_MACHINE}){_PORT}{_REST}"

_PRINTABLE, _ANYWHERE, _HERE = re.compile(f"{_SIGN}*"), re.compile(_HTTPS), re.compile(_ON_THIS_MACHINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnUrlPolicy:
    """Absolute https URLs on exactly the `hosts` named (none named: any host); in development also http on this
    machine."""

    hosts: frozenset[str] = frozenset()
    allow_loopback_http: bool = False

    @property
    def pattern(self) -> str:
        """What an allowed URL looks like, whatever its host, as a regular expression of JSON Schema's (ECMA-262)."""
        return f"^(?:{_HTTPS}|{_ON_THIS_MACHINE})$" if self.allow_loopback_http else f"^{_HTTPS}$"

    def check(self, url: str) -> str:
        """This will give the URL back. Raises InvalidRequest (pointer `/return_url`) where it is not allowed."""
        if problem := self._problem(url):
            raise InvalidRequest(FieldError(pointer="/return_url", detail=problem))
        return url

    def _problem(self, url: str) -> str | None:
        if len(url) > MAX_LENGTH or not _PRINTABLE.fullmatch(url):
            return f"must be an absolute URL of at most {MAX_LENGTH} printable ASCII characters"
        if self.allow_loopback_http and _HERE.fullmatch(url):
            return None
        anywhere = _ANYWHERE.fullmatch(url)
        if anywhere is None:
            return "must be an absolute https URL with a host, and without user information"
        if self.hosts and anywhere[1].lower().strip("[]") not in self.hosts:
            return "its host is not one of those allowed"
        return None
