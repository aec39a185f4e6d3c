"""Register merchants another service announces, many at once."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from billing_core.domain.merchants import Merchant
from billing_core.errors import MalformedMessage, MerchantConflict
from billing_core.messages import InboundMessage, MerchantCreated, read_data
from billing_core.ports.clock import Clock, NewId
from billing_core.ports.storage import OpenUnitOfWork, UnitOfWork
from billing_core.use_cases.inbound import Done, Outcome, Parked, parked_messages, understand

SOURCE = "billing-merchant-created"


@dataclass(frozen=True, slots=True)
class _Announced:
    message_id: str
    merchant: Merchant


class RegisterMerchants:
    """Handles `evt.merchant.created`."""

    def __init__(self, *, units: OpenUnitOfWork, platforms: Set[str], clock: Clock, new_id: NewId) -> None:
        self._units, self._platforms, self._clock, self._new_id = units, platforms, clock, new_id

    async def __call__(self, messages: Sequence[InboundMessage]) -> Sequence[Outcome]:
        """This will register the merchants and say, message by message, what became of it.

        A repeat changes nothing; an announcement that contradicts what is known is parked. Raises
        StorageUnavailable with nothing done.
        """
        now = self._clock.now()
        read = [self._read(message, now) for message in messages]
        async with self._units() as uow:
            outcomes = await _register(uow, read, now)
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
        if created.platform not in self._platforms:
            return Parked(reason=f"platform: {created.platform!r} is not configured")
        merchant = Merchant(
            merchant_id=created.merchant_id,
            platform=created.platform,
            platform_account_id=created.platform_account_id or created.merchant_id,
            platform_domain=created.platform_domain,
            currency=created.currency,
            registered_at=now,
        )
        return _Announced(envelope.message_id, merchant)


async def _register(uow: UnitOfWork, read: Sequence[_Announced | Parked], now: datetime) -> list[Outcome]:
    announced = [each for each in read if isinstance(each, _Announced)]
    first = {each.merchant.merchant_id: each.merchant for each in reversed(announced)}
    known = dict(await uow.merchants.add(list(first.values())))
    merchants = {**first, **known}
    # A contradiction is parked, not noted as handled: sent again after someone mended it, it counts.
    agreeing = [
        each.message_id for each in announced if each.merchant.is_same_shop(merchants[each.merchant.merchant_id])
    ]
    handled_before = set(agreeing) - await uow.inbox.record(SOURCE, agreeing, now)

    outcomes: list[Outcome] = []
    for each in read:
        if isinstance(each, Parked):
            outcomes.append(each)
        elif each.message_id in handled_before:
            outcomes.append(Done())
        else:
            outcomes.append(_announce(merchants, each.merchant))
    changed = [merchant for key, merchant in merchants.items() if merchant != known.get(key, first[key])]
    await uow.merchants.save(changed)
    return outcomes


def _announce(merchants: dict[str, Merchant], announced: Merchant) -> Outcome:
    try:
        merchants[announced.merchant_id] = merchants[announced.merchant_id].announced_again(announced)
    except MerchantConflict as conflict:
        return Parked(reason=str(conflict))
    return Done()
