"""What becomes of a merchant's identity when it is redacted: a pseudonym where it must be known again, else nothing.

Amounts, credits, references of payments and who claimed what stay as they are: they are the ledger, and tell of nobody
once the names are gone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pydantic_core

from billing_core.domain.grants import CreditGrant
from billing_core.domain.merchants import Merchant
from billing_core.domain.pseudonyms import REDACTED, Pseudonyms
from billing_core.domain.purchases import Purchase, PurchaseStatus
from billing_core.domain.trials import Trial

# Who acts on Billing's own behalf: its consumers and jobs, and the operators, whose names stand for what they did. Any
# other actor is the subject of a merchant's token, which may be a person's name or address.
_OUR_OWN = re.compile(r"operator:.*|job:[a-z-]+|billing-merchant-created|billing-purchase-updated", re.DOTALL)
_OPERATOR = "operator:"
_NOTICE = "notice "
_NAMING = frozenset({"merchant_id", "platform_account_id", "account", "subject"})


def redact_merchant(merchant: Merchant, pseudonyms: Pseudonyms) -> Merchant:
    """The merchant without its identity: its account is known again, its domain is not."""
    return replace(merchant, platform_account_id=_account(merchant, pseudonyms), platform_domain=None)


def redact_trial(trial: Trial, pseudonyms: Pseudonyms) -> Trial:
    """The trial of nobody one could name."""
    return replace(trial, platform_account_id=_account(trial, pseudonyms))


def redact_purchase(purchase: Purchase, pseudonyms: Pseudonyms) -> Purchase:
    """The purchase without the addresses that name its shop. What was paid by whom stays: the reference is the
    payment's."""
    # A pending purchase has a checkout; that it has one must still be seen, and the page is not usable any more.
    checkout_url = REDACTED if purchase.status is PurchaseStatus.PENDING else None
    account = _account(purchase, pseudonyms)
    return replace(purchase, platform_account_id=account, return_url="", checkout_url=checkout_url)


def redact_grant(grant: CreditGrant) -> CreditGrant:
    """The grant without its reason, which may name anybody. Who gave it stays: it counts against their day."""
    return replace(grant, reason=REDACTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What people wrote into an entry of the history."""

    actor: str
    reason: str | None
    correlation_id: str

    def redacted(self, pseudonyms: Pseudonyms) -> "Words":
        """The words without what may name the merchant or its people: the subjects of its tokens, the correlation ids
        its programs chose, the ids other services gave their notices, and what operators wrote. What Billing itself
        wrote stays."""
        ours = _OUR_OWN.fullmatch(self.actor) is not None
        reason = self.reason
        if reason is not None and (self.actor.startswith(_OPERATOR) or not ours):
            reason = REDACTED
        elif reason is not None and reason.startswith(_NOTICE):
            reason = _NOTICE + pseudonyms.of_text(reason.removeprefix(_NOTICE))
        return Words(
            actor=self.actor if ours else pseudonyms.of_text(self.actor),
            reason=reason,
            correlation_id=pseudonyms.of_text(self.correlation_id),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The names by which a merchant may be found in what others wrote."""

    merchant_id: str
    platform_account_id: str | None
    platform_domain: str | None

    @classmethod
    def of(cls, merchant: Merchant) -> "Identity":
        """The merchant's names, as far as they are known."""
        account = None if merchant.is_redacted else merchant.platform_account_id
        return cls(
            merchant_id=merchant.merchant_id, platform_account_id=account, platform_domain=merchant.platform_domain
        )

    @property
    def words(self) -> tuple[str, ...]:
        """What a text that names it has in it, in small letters: at least one of these."""
        names = {self.merchant_id, self.platform_account_id, self.platform_domain} - {None}
        lowered = {str(name).lower() for name in names}
        # A solidus may be escaped in JSON.
        return tuple(sorted(lowered | {name.replace("/", r"\/") for name in lowered}))

    def is_named_in(self, written: bytes | str) -> bool:
        """Whether a text, JSON or not, speaks of the merchant: by an id where ids stand, or by the account's address
        or domain anywhere."""
        text = written if isinstance(written, str) else written.decode("utf-8", "replace")
        try:
            document = pydantic_core.from_json(text)
        except ValueError:
            return self._is_in(text) or any(match[2] in self._ids for match in _MEMBER.finditer(text))
        return any(self._is_in(value) or (key in _NAMING and value in self._ids) for key, value in _texts_of(document))

    @property
    def _ids(self) -> frozenset[str | None]:
        return frozenset({self.merchant_id, self.platform_account_id} - {None})

    def _is_in(self, text: str) -> bool:
        telling = [self.platform_domain]
        if self.platform_account_id is not None and "://" in self.platform_account_id:
            telling.append(self.platform_account_id)
        lowered = text.lower()
        return any(name is not None and _stands_in(name.lower(), lowered) for name in telling)


_MEMBER = re.compile(r'"(merchant_id|platform_account_id|account|subject)"\s*:\s*"([^"\\]*)"')


def _account(held: Merchant | Trial | Purchase, pseudonyms: Pseudonyms) -> str:
    return pseudonyms.of_account(held.platform, held.platform_account_id)


def _stands_in(name: str, text: str) -> bool:
    """Whether the name stands in the text by itself, and not as a part of another one: `shop/1` is not in `shop/12`,
    nor `shop.example` in `my-shop.example`; but it is in `www.shop.example`."""
    return re.search(rf"(?<![a-z0-9-]){re.escape(name)}(?![a-z0-9-]|\.[a-z0-9])", text) is not None


def _texts_of(document: Any) -> Iterator[tuple[str | None, str]]:
    """Every text in a document, with the name of the member it is the value of; names, too, are texts."""
    waiting: list[tuple[str | None, Any]] = [(None, document)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, dict):
            waiting.extend(value.items())
            waiting.extend((None, name) for name in value)
        elif isinstance(value, list):
            waiting.extend((key, each) for each in value)
