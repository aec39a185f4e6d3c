"""Register merchants another service announces, many at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from billing_core.domain.merchants import Merchant
from billing_core.domain.pseudonyms import Pseudonyms, is_pseudonym
from billing_core.errors import MalformedMessage, MerchantConflict
from billing_core.messages import InboundMessage, MerchantCreated, read_data
from billing_core.ports.clock import Clock, NewId
from billing_core.ports.platforms import PaymentPlatform
from billing_core.ports.privacy import Renaming
from billing_core.ports.storage import OpenUnitOfWork, UnitOfWork
from billing_core.use_cases.inbound import Done, Outcome, Parked, parked_messages, understand

SOURCE = "billing-merchant-created"


@dataclass(frozen=True, slots=True)
class _Announced:
    message_id: str
    merchant: Merchant


class RegisterMerchants:
    """Handles `evt.merchant.created`."""

    def __init__(
        self,
        *,
        units: OpenUnitOfWork,
        platforms: Mapping[str, PaymentPlatform],
        clock: Clock,
        new_id: NewId,
        pseudonyms: Pseudonyms | None = None,
    ) -> None:
        self._units, self._platforms, self._clock, self._new_id = units, platforms, clock, new_id
        self._pseudonyms = pseudonyms

    async def __call__(self, messages: Sequence[InboundMessage]) -> Sequence[Outcome]:
        """This will register the merchants and say, message by message, what became of it.

        A repeat changes nothing; an announcement that contradicts what is known is parked. A shop that was redacted is
        known again by its pseudonym. Raises StorageUnavailable with nothing done.
        """
        now = self._clock.now()
        read = [self._read(message, now) for message in messages]
        async with self._units() as uow:
            outcomes = await _register(uow, read, now, self._pseudonyms)
            ids = [each.message_id if isinstance(each, _Announced) else None for each in read]
            kept = parked_messages(SOURCE, messages, outcomes, ids, at=now, new_id=self._new_id)
            await uow.parked.add(kept)
            await uow.commit()
        return outcomes

    def _read(self, message: InboundMessage, now: datetime) -> _Announced | Parked:
        envelope = understand(message)
        if isinstance(envelope, Parked):
            return envelope
        try:
            created = read_data(MerchantCreated, envelope.data)
        except MalformedMessage as wrong:
            return Parked(reason=str(wrong))
        platform = self._platforms.get(created.platform)
        if platform is None:
            return Parked(reason=f"platform: {created.platform!r} is not configured")
        account = created.platform_account_id or created.merchant_id
        if is_pseudonym(account):
            return Parked(reason="platform_account_id: this is what stands for an account that was redacted")
        merchant = Merchant(
            merchant_id=created.merchant_id,
            platform=created.platform,
            platform_account_id=account,
            platform_domain=created.platform_domain if platform.needs_domain else None,
            currency=created.currency,
            registered_at=now,
        )
        return _Announced(envelope.message_id, merchant)


async def _register(
    uow: UnitOfWork, read: Sequence[_Announced | Parked], now: datetime, pseudonyms: Pseudonyms | None
) -> list[Outcome]:
    announced = [each for each in read if isinstance(each, _Announced)]
    first = {each.merchant.merchant_id: each.merchant for each in reversed(announced)}
    known = dict(await uow.merchants.add(list(first.values()), pseudonyms=_pseudonyms_of(first, pseudonyms)))
    merchants = {**first, **known}
    # A contradiction is parked, not noted as handled: sent again after someone mended it, it counts.
    agreeing = [
        each.message_id
        for each in announced
        if merchants[each.merchant.merchant_id].is_same_shop(each.merchant, pseudonyms)
    ]
    handled_before = set(agreeing) - await uow.inbox.record(SOURCE, agreeing, now)

    outcomes: list[Outcome] = []
    for each in read:
        if isinstance(each, Parked):
            outcomes.append(each)
        elif each.message_id in handled_before:
            outcomes.append(Done())
        else:
            outcomes.append(_announce(merchants, each.merchant, pseudonyms))
    changed = [merchant for key, merchant in merchants.items() if merchant != known.get(key, first[key])]
    await uow.merchants.save(changed)
    if returned := _returned(known, changed):
        await uow.redactions.rename_accounts(returned)
    return outcomes


def _pseudonyms_of(merchants: Mapping[str, Merchant], pseudonyms: Pseudonyms | None) -> Mapping[str, str] | None:
    if pseudonyms is None:
        return None
    return {key: pseudonyms.of_account(each.platform, each.platform_account_id) for key, each in merchants.items()}


def _announce(merchants: dict[str, Merchant], announced: Merchant, pseudonyms: Pseudonyms | None) -> Outcome:
    known = merchants[announced.merchant_id]
    try:
        merchants[announced.merchant_id] = known.announced_again(announced, pseudonyms)
    except MerchantConflict as conflict:
        return Parked(reason=str(conflict))
    return Done()


def _returned(known: Mapping[str, Merchant], changed: Sequence[Merchant]) -> Sequence[Renaming]:
    """The accounts of merchants that were redacted and are announced under their names again."""
    back = [(known[each.merchant_id], each) for each in changed if each.merchant_id in known]
    renamed = {
        (now.platform, before.platform_account_id, now.platform_account_id)
        for before, now in back
        if before.is_redacted
    }
    return [Renaming(platform=platform, before=before, after=after) for platform, before, after in sorted(renamed)]
