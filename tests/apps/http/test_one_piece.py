"""How answers leave: what is written in one turn of the loop is one piece."""

import asyncio
from typing import Any

import pytest

from billing_http.connections import MOST_WAITING_BYTES, OnePiece


class Written:
    """A transport that keeps what it was given to write, and whether it was closed."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.closed_after: int | None = None
        self.lost = False

    def is_closing(self) -> bool:
        """Whether nothing can be written any more."""
        return self.lost or self.closed_after is not None

    def write(self, data: bytes) -> None:
        """This will keep it."""
        self.pieces.append(data)

    def close(self) -> None:
        """This will note how many pieces came before."""
        self.closed_after = len(self.pieces)

    def get_extra_info(self, name: str) -> Any:
        """What is known under the name."""
        return f"the {name}"


@pytest.fixture
def written() -> Written:
    """Nothing yet."""
    return Written()


@pytest.fixture
async def transport(written: Written) -> OnePiece:
    """A transport that sends in one piece."""
    return OnePiece(written, asyncio.get_running_loop())  # type: ignore[arg-type]  # all that is asked of one


class TestOnePiece:
    async def test_what_is_written_in_one_turn_leaves_together(self, transport: OnePiece, written: Written) -> None:
        """Head and body are one write; what is written later is another."""
        transport.write(b"head ")
        transport.write(b"body")
        assert written.pieces == []
        await asyncio.sleep(0)
        transport.write(b"the next answer")
        await asyncio.sleep(0)

        assert written.pieces == [b"head body", b"the next answer"]

    async def test_much_is_not_kept_waiting(self, transport: OnePiece, written: Written) -> None:
        """A body of any size takes no more memory than the limit; everything leaves in its order."""
        part = b"x" * (MOST_WAITING_BYTES // 2)
        for _ in range(5):
            transport.write(part)

        sent_at_once = len(written.pieces)
        await asyncio.sleep(0)

        assert sent_at_once == 1
        assert b"".join(written.pieces) == part * 5

    async def test_closing_sends_what_waits_first(self, transport: OnePiece, written: Written) -> None:
        """The last answer of a connection arrives."""
        transport.write(b"goodbye")
        transport.close()
        await asyncio.sleep(0)

        assert (written.pieces, written.closed_after) == ([b"goodbye"], 1)

    async def test_what_waits_when_the_connection_is_lost_is_dropped(
        self, transport: OnePiece, written: Written
    ) -> None:
        """Writing to it would be an error of the loop's, which nobody could catch."""
        transport.write(b"to nobody")
        written.lost = True
        await asyncio.sleep(0)

        assert written.pieces == []

    async def test_is_otherwise_the_transport(self, transport: OnePiece) -> None:
        """uvicorn asks it for more than to write."""
        assert transport.get_extra_info("peername") == "the peername"
