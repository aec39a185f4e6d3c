"""Redact merchants: take their identity away, and leave the ledger.

First what others wrote about them, which is found by their names; then their records, with the claims of their shops'
trials and the note that it was done, in one transaction; then what may be much, in many. Each step can be taken again:
whatever stops it halfway, the same call goes on where it stopped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from billing_core.domain.events import Origin, rfc3339
from billing_core.domain.merchants import Merchant
from billing_core.domain.pseudonyms import REDACTED, Pseudonyms
from billing_core.domain.redaction import (
    Identity,
    redact_grant,
    redact_merchant,
    redact_purchase,
    redact_trial,
)
from billing_core.errors import MerchantNotFound, PurchasesStillPayable, RedactionNotConfigured, StorageConflict
from billing_core.ports.clock import Clock, NewId
from billing_core.ports.idempotency import ReplayCache
from billing_core.ports.privacy import MerchantData, PrivacyRecord, Renaming
from billing_core.ports.storage import Dropped, OpenUnitOfWork, UnitOfWork
from billing_core.use_cases.merchant_pages import MerchantPages
from billing_core.use_cases.sweep_rows import Sweep, redacted_entry, redacted_event, redacted_message

PAGE: Final = 500
Account = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """What was redacted of a merchant, or would be: how many rows, by what they are. `payable_until` is when it can be
    done, where it could not be yet."""

    before: Merchant
    after: Merchant
    figures: Mapping[str, int] = field(default_factory=dict)
    payable_until: datetime | None = None

    @property
    def changed(self) -> int:
        """How many rows there were to change."""
        return sum(self.figures.values())


class RedactMerchants:
    """Redacts one merchant, or every merchant of shops that are gone."""

    def __init__(
        self,
        *,
        units: OpenUnitOfWork,
        data: MerchantData,
        replays: ReplayCache,
        clock: Clock,
        new_id: NewId,
        pseudonyms: Pseudonyms | None,
        page: int = PAGE,
    ) -> None:
        self._units, self._data, self._replays, self._clock, self._new_id = units, data, replays, clock, new_id
        self._pseudonyms, self._page = pseudonyms, page

    async def merchant(self, merchant_id: str, by: Origin, *, dry_run: bool = False) -> Redaction:
        """This will redact one merchant, and tell what changed; of one that was redacted before, what has come since.
        With `dry_run` it refuses the same and changes nothing.

        Raises MerchantNotFound, PurchasesStillPayable, RedactionNotConfigured, and StorageConflict where it was
        announced again in the same moment.
        """
        merchant = await self._data.merchant(merchant_id)
        if merchant is None:
            raise MerchantNotFound
        account = (merchant.platform, merchant.platform_account_id)
        redactions = await self._redact([account], by, {merchant_id}, dry_run=dry_run)
        if not redactions:
            raise StorageConflict("the merchant's account got another name meanwhile")
        (redaction,) = redactions
        if redaction.payable_until is not None:
            raise PurchasesStillPayable(merchant_id, until=rfc3339(redaction.payable_until))
        return redaction

    async def shops(self, accounts: Sequence[Account], by: Origin) -> Sequence[Redaction]:
        """This will redact every merchant of the (platform, platform account id), but those with a purchase that may
        still be paid, and tell of each. Raises RedactionNotConfigured."""
        return await self._redact(accounts, by, None, dry_run=False)

    async def _redact(
        self, accounts: Sequence[Account], by: Origin, wanted: set[str] | None, *, dry_run: bool
    ) -> Sequence[Redaction]:
        pseudonyms = await self._made_with_the_one_key()
        async with self._units() as uow:
            wished, _ = await _decided(uow, pseudonyms, accounts, wanted, self._clock.now())
        emptied = {
            each.before.merchant_id: await self._empty_parked(each, by, pseudonyms, dry_run=dry_run)
            for each in wished
            if each.payable_until is None
        }
        async with self._units() as uow:
            begun, held = await _decided(uow, pseudonyms, accounts, wanted, self._clock.now())
            await _save(uow, begun, held)
            await uow.redactions.record([self._record(each, by, pseudonyms) for each in begun if _is_new(each)])
            await (uow.flush() if dry_run else uow.commit())
        return [
            await self._finish(each, by, pseudonyms, emptied.get(each.before.merchant_id, 0), dry_run=dry_run)
            for each in begun
        ]

    async def _made_with_the_one_key(self) -> Pseudonyms:
        if self._pseudonyms is None:
            raise RedactionNotConfigured(
                "Nothing can be redacted without a key: set BILLING_REDACTION_KEY to what `openssl rand -base64 48` "
                "makes, the same for every process, and keep it for ever."
            )
        if await self._data.redaction_keys() - {self._pseudonyms.key_id}:
            raise RedactionNotConfigured(
                "BILLING_REDACTION_KEY is not the key that was used before, with which shops are known again; set that "
                "one."
            )
        return self._pseudonyms

    def _record(self, redaction: Redaction, by: Origin, pseudonyms: Pseudonyms) -> PrivacyRecord:
        reason = by.reason or ""
        return PrivacyRecord(
            record_id=self._new_id(),
            at=self._clock.now(),
            what="redacted",
            platform=redaction.after.platform,
            account=redaction.after.platform_account_id,
            merchant_id=redaction.after.merchant_id,
            actor=by.actor,
            reason=REDACTED if Identity.of(redaction.before).is_named_in(reason) else reason,
            key_id=pseudonyms.key_id,
        )

    # --- what may be much --------------------------------------------------------------------------------------------

    async def _finish(
        self, begun: Redaction, by: Origin, pseudonyms: Pseudonyms, emptied: int, *, dry_run: bool
    ) -> Redaction:
        if begun.payable_until is not None:
            return begun
        pages, merchant_id = MerchantPages(self._data, self._page), begun.before.merchant_id
        sweep = Sweep(self._units, dry_run=dry_run)
        figures = dict(begun.figures)
        figures["trials"] = await sweep(
            lambda: pages.trials(merchant_id),
            lambda trial: redact_trial(trial, pseudonyms),
            lambda to, rows: to.save_trials(rows),
        )
        figures["purchases"] = await sweep(
            lambda: pages.purchases(merchant_id),
            lambda stored: replace(stored, purchase=redact_purchase(stored.purchase, pseudonyms)),
            lambda to, rows: to.save_purchases([each.purchase for each in rows]),
        )
        figures["history"] = await sweep(
            lambda: pages.history(merchant_id),
            lambda entry: redacted_entry(entry, pseudonyms),
            lambda to, rows: to.save_entries(merchant_id, rows),
        )
        figures["grants"] = await sweep(
            lambda: pages.grants(merchant_id), redact_grant, lambda to, rows: to.save_grants(rows)
        )
        figures["events"] = await sweep(
            lambda: pages.events(merchant_id),
            lambda kept: replace(kept, event=redacted_event(kept.event, pseudonyms)),
            lambda to, rows: to.save_events([each.event for each in rows]),
        )
        if not dry_run:  # what was parked while the others were emptied
            emptied += await self._empty_parked(begun, by, pseudonyms, dry_run=False)
        figures["parked"] = emptied
        figures["keys"] = await self._forget_keys(pages, merchant_id, dry_run=dry_run)
        done = replace(begun, figures=figures)
        if not dry_run and not _is_new(begun) and done.changed:
            async with self._units() as uow:
                await uow.redactions.record([self._record(done, by, pseudonyms)])
                await uow.commit()
        return done

    async def _empty_parked(self, redaction: Redaction, by: Origin, pseudonyms: Pseudonyms, *, dry_run: bool) -> int:
        dropped = Dropped(at=self._clock.now(), by=by.actor, reason="it named a merchant that was redacted")
        identity = Identity.of(redaction.before)
        return await Sweep(self._units, dry_run=dry_run)(
            lambda: MerchantPages(self._data, self._page).parked(redaction.before),
            lambda message: redacted_message(message, identity, pseudonyms, dropped),
            lambda to, rows: to.save_parked(rows),
        )

    async def _forget_keys(self, pages: MerchantPages, merchant_id: str, *, dry_run: bool) -> int:
        if dry_run:
            return sum([len(page) async for page in pages.keys(merchant_id)])
        async for page in pages.keys(merchant_id):
            # Before the truth forgets them, for then nobody knows any more what the fast path must forget.
            await self._replays.forget([each.key for each in page])
        forgotten = 0
        while True:
            async with self._units() as uow:
                gone = await uow.redactions.forget_keys(merchant_id, self._page)
                await uow.commit()
            await self._replays.forget(gone)  # one of them may have been repeated meanwhile
            forgotten += len(gone)
            if len(gone) < self._page:
                return forgotten


async def _decided(
    uow: UnitOfWork, pseudonyms: Pseudonyms, accounts: Sequence[Account], wanted: set[str] | None, now: datetime
) -> tuple[Sequence[Redaction], Sequence[Merchant]]:
    """What is to become of the merchants' records, and every merchant of the accounts, all of them held."""
    names = {(platform, pseudonyms.of_account(platform, account)) for platform, account in accounts}
    held = await uow.redactions.lock_accounts(sorted({*accounts, *names}))
    ours = [each for each in held if wanted is None or each.merchant_id in wanted]
    usable = {
        each.merchant_id: max(
            (open_.expires_at for open_ in await uow.purchases.open_of(each.merchant_id)), default=now
        )
        for each in ours
    }
    return [_decide(each, pseudonyms, usable[each.merchant_id], now) for each in ours], held


def _decide(merchant: Merchant, pseudonyms: Pseudonyms, payable_until: datetime, now: datetime) -> Redaction:
    if payable_until > now:
        return Redaction(before=merchant, after=merchant, payable_until=payable_until)
    after = redact_merchant(merchant, pseudonyms)
    return Redaction(before=merchant, after=after, figures={"merchants": int(after != merchant)})


async def _save(uow: UnitOfWork, begun: Sequence[Redaction], held: Sequence[Merchant]) -> None:
    """This will store the records, and put claims of shops of which nobody is left under their pseudonyms."""
    new = [each for each in begun if _is_new(each)]
    gone = {each.before.merchant_id for each in begun if each.payable_until is None}
    staying = {(each.platform, each.platform_account_id) for each in held if each.merchant_id not in gone}
    await uow.merchants.save([each.after for each in new])
    await uow.redactions.rename_accounts(_renamings(new, staying))


def _is_new(redaction: Redaction) -> bool:
    """Whether the merchant was not redacted before."""
    return redaction.after != redaction.before


def _renamings(new: Sequence[Redaction], staying: set[Account]) -> Sequence[Renaming]:
    """The accounts to be renamed. One under which a merchant stays keeps its name, for that is the merchant's too."""
    renamed = {
        (each.before.platform, each.before.platform_account_id, each.after.platform_account_id)
        for each in new
        if (each.before.platform, each.before.platform_account_id) not in staying
    }
    return [
        Renaming(platform=platform, before=before, after=after)
        for platform, before, after in sorted(renamed)
        if before != after
    ]
