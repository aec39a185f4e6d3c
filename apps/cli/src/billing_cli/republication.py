"""Publishing events again, as they were recorded, under the ids they had."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing_cli.container import CliContainer
from billing_cli.errors import NothingToPublish
from billing_cli.progress import counting
from billing_core.errors import PublishingUnavailable, StorageUnavailable

BATCH = 500
LAST_SEQUENCE = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events: a merchant's from sequence `first` to `last`, or all published since a moment, or some by id."""

    merchant_id: str | None = None
    first: int = 1
    last: int = LAST_SEQUENCE
    since: datetime | None = None
    event_ids: Sequence[UUID] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Republication:
    """How many events there are to publish, were published, and were new to the stream; `stopped`: why no more."""

    found: int
    published: int = 0
    stored: int = 0
    stopped: PublishingUnavailable | StorageUnavailable | None = None


async def republish(container: CliContainer, wanted: Wanted, *, dry_run: bool) -> Republication:
    """This will publish the events again, in the order they first went out; with `dry_run` only count them. What
    stops it halfway is told beside what was done: doing it all again does no harm.

    Raises NothingToPublish.
    """
    event_ids = await _find(container, wanted)
    published = stored = 0
    if dry_run:
        return Republication(found=len(event_ids))
    with counting("publishing again", len(event_ids)) as done:
        for start in range(0, len(event_ids), BATCH):
            try:
                events = await container.published().events(event_ids[start : start + BATCH])
                stored += await container.publisher().publish_again(events)
            except (PublishingUnavailable, StorageUnavailable) as stopped:
                return Republication(found=len(event_ids), published=published, stored=stored, stopped=stopped)
            published += len(events)
            done(len(events))
    return Republication(found=len(event_ids), published=published, stored=stored)


async def _find(container: CliContainer, wanted: Wanted) -> Sequence[UUID]:
    published = container.published()
    if wanted.merchant_id is not None:
        found = await published.ids_of(wanted.merchant_id, wanted.first, wanted.last)
    elif wanted.since is not None:
        found = await published.ids_since(wanted.since)
    else:
        found = [each.event_id for each in await published.events(wanted.event_ids)]
        if unknown := set(wanted.event_ids) - set(found):
            raise NothingToPublish(f"Not kept, or not published yet: {', '.join(sorted(map(str, unknown)))}.")
    if not found:
        raise NothingToPublish("No such event is kept that was published before; what never was is the relay's.")
    return found
