"""The head of a request: its header fields, read once for everybody who asks for one."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Final

from starlette.types import Scope

HEAD: Final = "billing.head"


class Head:
    """The header fields by name, in lower case as servers give them."""

    __slots__ = ("_fields", "_values")

    def __init__(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        self._fields, self._values = fields, dict(fields)
        if len(self._values) != len(fields):  # those that came more than once have no one value
            times = Counter(name for name, _ in fields)
            self._values = {name: value for name, value in fields if times[name] == 1}

    @property
    def size_bytes(self) -> int:
        """How much it is, names and values."""
        return sum(map(len, chain.from_iterable(self._fields)))

    def one(self, name: bytes) -> str:
        """The value of a field that came once, without spaces around it; else empty."""
        value = self._values.get(name)
        return "" if value is None else value.decode("latin-1").strip(" \t")

    def one_like(self, name: bytes, pattern: re.Pattern[str]) -> str | None:
        """The value of a field that came once, exactly as it came, if it is of that shape."""
        value = self._values.get(name)
        if value is None:
            return None
        text = value.decode("latin-1")
        return text if pattern.fullmatch(text) else None

    def every(self, name: bytes) -> list[str]:
        """Every value of the field."""
        return [value.decode("latin-1") for given, value in self._fields if given == name]


def head_of(scope: Scope) -> Head:
    """The head the edge read."""
    head: Head = scope[HEAD]
    return head
