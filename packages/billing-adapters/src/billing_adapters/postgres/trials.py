"""Trials, and the claim of each platform account on its one."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Boolean, ColumnElement, Select, any_, bindparam, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert

from billing_adapters.postgres.rows import TRIAL_COLUMNS, trial_of, trial_values
from billing_adapters.postgres.statements import RowsWrite, Statement
from billing_adapters.postgres.tables import is_active, trial_claims, trials
from billing_adapters.postgres.wire import Transaction
from billing_core.domain.trials import Trial
from billing_core.errors import StorageConflict
from billing_core.ports.storage import TrialClaim

_FIXED = {"merchant_id", "trial_id", "platform", "platform_account_id", "started_at"}
_LIMIT = bindparam("limit", type_=trials.c.version.type)


def latest_of(merchant_id: ColumnElement[str]) -> Select[Any]:
    """The newest trial of the merchant."""
    return (
        select(*TRIAL_COLUMNS)
        .where(trials.c.merchant_id == merchant_id)
        .order_by(trials.c.started_at.desc(), trials.c.trial_id.desc())
        .limit(literal_column("1"))
    )


_LATEST: Final = Statement(latest_of(bindparam("merchant_id", type_=trials.c.merchant_id.type)))
_CLAIM: Final = Statement(
    insert(trial_claims)
    .values({column.name: bindparam(column.name, type_=column.type) for column in trial_claims.c})
    .on_conflict_do_nothing()
)
# Asked of the owner: the claim may be another merchant's, which a transaction of one does not see.
_under_its_pseudonym: ColumnElement[bool] = func.billing_trial_is_claimed(
    bindparam("platform", type_=trial_claims.c.platform.type),
    bindparam("pseudonym", type_=trial_claims.c.platform_account_id.type),
    type_=Boolean,
)
_CLAIM_UNLESS_REDACTED: Final = Statement(
    insert(trial_claims)
    .from_select(
        [column.name for column in trial_claims.c],
        select(*[bindparam(column.name, type_=column.type) for column in trial_claims.c]).where(~_under_its_pseudonym),
    )
    .on_conflict_do_nothing()
)
_IS_REDACTED: Final = Statement(select(_under_its_pseudonym.label("redacted")))
_LOCK_CLAIM: Final = Statement(
    select(trial_claims.c.merchant_id, trial_claims.c.trial_id)
    .where(trial_claims.c.platform == bindparam("platform"))
    .where(trial_claims.c.platform_account_id == bindparam("platform_account_id"))
    .with_for_update()
)
_MOVE_CLAIM: Final = RowsWrite(
    trial_claims.c.values(),
    lambda given: (
        update(trial_claims)
        .values(merchant_id=given.c.merchant_id, trial_id=given.c.trial_id)
        .where(trial_claims.c.platform == given.c.platform)
        .where(trial_claims.c.platform_account_id == given.c.platform_account_id)
    ),
    name="moved",
)
_LOCK_RUNNING: Final = Statement(
    select(*TRIAL_COLUMNS)
    .where(trials.c.merchant_id == any_(bindparam("merchant_ids", type_=ARRAY(trials.c.merchant_id.type))))
    .where(is_active(trials))
    .order_by(trials.c.merchant_id, trials.c.trial_id)
    .with_for_update()
)
# Skipping what others hold is also what keeps these two out of deadlocks: they never wait.
_LOCK_DUE: Final = Statement(
    select(*TRIAL_COLUMNS)
    .where(is_active(trials), trials.c.ends_at <= bindparam("now"))
    .order_by(trials.c.ends_at, trials.c.trial_id)
    .limit(_LIMIT)
    .with_for_update(skip_locked=True)
)
_LOCK_TO_REMIND: Final = Statement(
    select(*TRIAL_COLUMNS)
    .where(is_active(trials), trials.c.reminded_at.is_(None), trials.c.ends_at < bindparam("ending_before"))
    .order_by(trials.c.ends_at, trials.c.trial_id)
    .limit(_LIMIT)
    .with_for_update(skip_locked=True)
)
_ADD: Final = RowsWrite(
    TRIAL_COLUMNS,
    lambda given: insert(trials).from_select(
        [column.name for column in TRIAL_COLUMNS], select(*given.c).order_by(given.c.merchant_id, given.c.trial_id)
    ),
)
_SAVE: Final = RowsWrite(
    TRIAL_COLUMNS,
    lambda given: (
        update(trials)
        .values({column.name: given.c[column.name] for column in TRIAL_COLUMNS if column.name not in _FIXED})
        .where(trials.c.merchant_id == given.c.merchant_id, trials.c.trial_id == given.c.trial_id)
        .where(trials.c.version < given.c.version)
    ),
)


class PostgresTrials:
    """Trials inside one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def latest(self, merchant_id: str) -> Trial | None:
        """The merchant's newest trial, refused ones included."""
        row = await self._transaction.row(_LATEST, merchant_id=merchant_id)
        return None if row is None else trial_of(row)

    async def claim(self, trial: Trial, *, pseudonym: str | None = None) -> bool:
        """This will claim the trial of the trial's platform account, for ever; a claim under way is waited for.
        Raises StorageConflict where it was put under the pseudonym meanwhile."""
        account = {"platform": trial.platform, "platform_account_id": trial.platform_account_id}
        owner = {"merchant_id": trial.merchant_id, "trial_id": trial.trial_id}
        if pseudonym is None:
            return await self._transaction.run(_CLAIM, **account, **owner) == 1
        claimed = await self._transaction.run(_CLAIM_UNLESS_REDACTED, **account, **owner, pseudonym=pseudonym)
        if claimed:
            # Whoever was putting the claim under its pseudonym was waited for, and is seen now.
            row = await self._transaction.row(_IS_REDACTED, platform=trial.platform, pseudonym=pseudonym)
            if row is None or row["redacted"]:
                raise StorageConflict("the shop's trial was put under its pseudonym meanwhile")
        return claimed == 1

    async def lock_claim(self, platform: str, platform_account_id: str) -> TrialClaim | None:
        """The claim of the platform account, held; None where there is none. Hold it before everything else."""
        row = await self._transaction.row(_LOCK_CLAIM, platform=platform, platform_account_id=platform_account_id)
        return None if row is None else TrialClaim(**row)

    async def move_claim(self, trial: Trial) -> None:
        """This will move the claim of the trial's platform account, which is held, to the trial. Raises
        StorageConflict where there is none."""
        claim = (trial.platform, trial.platform_account_id, trial.merchant_id, trial.trial_id)
        await self._transaction.store(_MOVE_CLAIM, [claim], rows=1, otherwise=_not_claimed)

    async def lock_running(self, merchant_ids: Sequence[str]) -> Mapping[str, Trial]:
        """The active trial of each merchant that has one, by merchant id, held."""
        rows = await self._transaction.rows(_LOCK_RUNNING, merchant_ids=list(merchant_ids))
        return {row["merchant_id"]: trial_of(row) for row in rows}

    async def lock_due(self, now: datetime, limit: int) -> Sequence[Trial]:
        """Up to `limit` active trials whose end has come, soonest first, held; those others hold are left out."""
        return [trial_of(row) for row in await self._transaction.rows(_LOCK_DUE, now=now, limit=limit)]

    async def lock_to_remind(self, ending_before: datetime, limit: int) -> Sequence[Trial]:
        """Up to `limit` active trials that end before the moment and were not reminded, held."""
        rows = await self._transaction.rows(_LOCK_TO_REMIND, ending_before=ending_before, limit=limit)
        return [trial_of(row) for row in rows]

    async def add(self, new: Sequence[Trial]) -> None:
        """This will store new trials. Raises StorageConflict where a merchant would have two active ones."""
        if new:
            await self._transaction.store(_ADD, [trial_values(trial) for trial in new])

    async def save(self, changed: Sequence[Trial]) -> None:
        """This will store changed trials. Raises StorageConflict where one was changed since it was loaded."""
        if not changed:
            return
        rows = [trial_values(trial) for trial in changed]
        await self._transaction.store(_SAVE, rows, rows=len(changed), otherwise=_changed)


def _not_claimed() -> StorageConflict:
    return StorageConflict("there is no claim of that platform account that could be moved")


def _changed() -> StorageConflict:
    return StorageConflict("a trial was changed by another transaction since it was loaded")
