"""Idempotency keys: what a repeated request gets (market.md 33)."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from billing_core.domain.idempotency import LOCKED_FOR, REMEMBERED_FOR, Answer, KeyRecord, RequestKey, fingerprint
from billing_core.errors import IdempotencyKeyInUse, IdempotencyKeyReused

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
KEY = RequestKey(merchant_id="m-1", route="POST /api/billing/purchases", key="k")
RECORD = KeyRecord(key=KEY, fingerprint="f", created_at=NOW)
ANSWER = Answer(outcome="created", document=b"{}")
PURCHASE_ID = UUID(int=7)


class TestKeyRecord:
    def test_same_key_and_same_request_replay_the_answer(self) -> None:
        """A finished request is answered again, word for word."""
        assert RECORD.locked(NOW).answered(ANSWER).admit("f", NOW) == ANSWER

    def test_same_key_and_another_request_are_refused(self) -> None:
        """A key stands for one request, whether that is finished, running or neither."""
        for record in (RECORD, RECORD.locked(NOW), RECORD.answered(ANSWER)):
            with pytest.raises(IdempotencyKeyReused):
                record.admit("other", NOW)

    def test_a_request_still_running_is_not_run_again(self) -> None:
        """Until the lock is over the repeat is told to come back."""
        locked = RECORD.locked(NOW, PURCHASE_ID)

        with pytest.raises(IdempotencyKeyInUse) as in_use:
            locked.admit("f", NOW + LOCKED_FOR - timedelta(microseconds=1))

        assert in_use.value.retry_after_s >= 1

    def test_a_crash_mid_request_frees_the_key_after_half_a_minute_not_a_day(self) -> None:
        """The lock is over at its end exactly, and the repeat goes on with the same purchase."""
        locked = RECORD.locked(NOW, PURCHASE_ID)

        assert locked.admit("f", NOW + LOCKED_FOR) is None
        assert locked.locked(NOW + LOCKED_FOR).purchase_id == PURCHASE_ID
        assert LOCKED_FOR < REMEMBERED_FOR == timedelta(hours=24)

    def test_a_failed_attempt_frees_the_key_at_once_and_keeps_its_purchase(self) -> None:
        """The retry of a 5xx resumes the same purchase."""
        released = RECORD.locked(NOW, PURCHASE_ID).released()

        assert released.admit("f", NOW) is None
        assert released.purchase_id == PURCHASE_ID

    def test_a_key_whose_purchase_failed_for_good_begins_another_one(self) -> None:
        """Free at once, and with nothing to resume."""
        given_up = RECORD.locked(NOW, PURCHASE_ID).given_up()

        assert given_up.admit("f", NOW) is None
        assert given_up.purchase_id is None

    def test_an_answered_one_is_held_by_nobody(self) -> None:
        """Its lock was the attempt's that answered."""
        answered = RECORD.locked(NOW, PURCHASE_ID).answered(ANSWER)

        assert (answered.locked_until, answered.answer, answered.purchase_id) == (None, ANSWER, PURCHASE_ID)


class TestFingerprint:
    def test_is_the_same_however_the_request_was_spelled(self) -> None:
        """The order of fields does not make another request."""
        assert fingerprint({"pack": "small", "currency": None}) == fingerprint({"currency": None, "pack": "small"})

    @pytest.mark.parametrize(
        "other",
        [
            {"pack": "large", "currency": None},
            {"pack": "small", "currency": "USD"},
            {"pack": "small", "currency": "null"},
            {"pack": "small"},
        ],
    )
    def test_differs_for_another_request(self, other: dict[str, str | None]) -> None:
        """Any other field or value does."""
        assert fingerprint({"pack": "small", "currency": None}) != fingerprint(other)

    def test_takes_any_text(self) -> None:
        """Even a lone surrogate has a fingerprint; refusing it is another rule's task."""
        assert len(fingerprint({"pack": "\ud800\x00"})) == 64

    def test_is_the_same_in_every_release(self) -> None:
        """Keys are remembered for a day: a release must not take yesterday's request for another one."""
        assert (
            fingerprint({"pack": "large", "currency": None})
            == "19f05efd969f4c76a0c90c3c8d63e042826d8f1ca9dbeca90f0189d9abbaef63"
        )
