"""Names that tell nothing and are still known again: what stands in the place of a merchant's identity once it is gone.

A pseudonym is a keyed hash (HMAC-SHA-256). Whoever has the name and the key makes the same one again; whoever has the
database alone can neither read nor guess it.
"""

import hmac
import re
from dataclasses import dataclass, field, replace

from billing_core.domain.payments import PaymentReport

PREFIX = "redacted:"
REDACTED = "redacted"  # stands where a text was that nobody needs to know again
SHORTEST_KEY_BYTES = 32
_PSEUDONYM = re.compile(r"redacted:[0-9a-f]{64}")


def is_pseudonym(name: str) -> bool:
    """Whether the name stands in another one's place."""
    return name.startswith(PREFIX) and _PSEUDONYM.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Makes pseudonyms with the `key`, which must never change: under another one no shop is known again."""

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < SHORTEST_KEY_BYTES:
            raise ValueError(f"the key of pseudonyms has at least {SHORTEST_KEY_BYTES} bytes")

    @property
    def key_id(self) -> str:
        """Which key it is, without telling anything about it."""
        return self._digest("key")[:16]

    def of_account(self, platform: str, platform_account_id: str) -> str:
        """What stands for a platform account. A pseudonym stands for itself."""
        if is_pseudonym(platform_account_id):
            return platform_account_id
        return PREFIX + self._digest("account", platform, platform_account_id)

    def of_text(self, text: str) -> str:
        """What stands for an actor or a correlation id, so that what belongs together still does. A pseudonym stands
        for itself."""
        return text if is_pseudonym(text) else PREFIX + self._digest("text", text)

    def _digest(self, *parts: str) -> str:
        # No part may hold a NUL: of accounts, actors and correlation ids none can.
        return hmac.digest(self.key, "\0".join(parts).encode("utf-8", "surrogatepass"), "sha256").hex()


def is_same_account(pseudonyms: Pseudonyms | None, platform: str, one: str, other: str) -> bool:
    """Whether two names are of one account of the platform, where either may be a pseudonym of it."""
    if one == other:
        return True
    if pseudonyms is None or is_pseudonym(one) is is_pseudonym(other):
        return False
    return pseudonyms.of_account(platform, one) == pseudonyms.of_account(platform, other)


def told_of(
    pseudonyms: Pseudonyms | None, platform: str, platform_account_id: str, report: PaymentReport
) -> PaymentReport:
    """The report under the name its account has here: platforms go on calling a redacted account by its own."""
    told = report.platform_account_id
    if told is None or told == platform_account_id:
        return report
    if not is_same_account(pseudonyms, platform, platform_account_id, told):
        return report
    return replace(report, platform_account_id=platform_account_id)
