"""Cursors: what is accepted is exactly what was given out."""

from uuid import UUID

from tests.fuzz.target import Target

from billing_core.errors import InvalidRequest
from billing_core.use_cases import read_billing


def run(data: bytes) -> None:
    """A text is refused, or it is the one spelling of a purchase's id."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        purchase_id = read_billing._read_cursor(text)
    except InvalidRequest as refusal:
        assert [each.pointer for each in refusal.errors] == ["/cursor"]
    else:
        assert read_billing._cursor(purchase_id) == text
    if len(data) >= 16:
        given = UUID(bytes=data[:16])
        assert read_billing._read_cursor(read_billing._cursor(given)) == given


TARGET = Target(
    name="cursors",
    about="`cursor` of the list of purchases",
    run=run,
    words=(b"AAAAAAAAAAAAAAAAAAAAAA", b"=", b"==", b"-", b"_", b"+", b"/", b"\n", b"%3D", b"\xc3\xa9"),
)
