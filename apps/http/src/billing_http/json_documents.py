"""Reading JSON strictly: what parsers let pass or read differently is refused, with a pointer to the place."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from billing_core.errors import FieldError, InvalidRequest

MAX_ERRORS = 20
_MAX_INTEGER = 2**63 - 1
_MAX_POINTER_CHARACTERS = 200


def read_json(body: bytes) -> Any:
    """This will read a JSON text (RFC 8259) in UTF-8.

    Raises InvalidRequest for anything else, and for what readers disagree about: names given twice, NaN and
    Infinity, numbers beyond 64 bits, NUL, and halves of surrogate pairs.
    """
    try:
        text = body.decode("utf-8")
        document = _undoubted(text) if "\\u" not in text else _DOUBTED
        if document is not _DOUBTED:
            return document
        document = _DECODER.decode(text)
    except UnicodeDecodeError as wrong:
        raise _whole("the body is not UTF-8") from wrong
    except RecursionError as wrong:
        raise _whole("the body is nested too deeply") from wrong
    except json.JSONDecodeError as wrong:
        raise _whole(f"the body is not JSON: {wrong.msg} at character {wrong.pos}") from wrong
    if errors := tuple(islice(_errors(document), MAX_ERRORS)):
        raise InvalidRequest(*errors)
    return document


def _undoubted(text: str) -> Any:
    """The document of a text without escapes of characters, which can hide no NUL and no surrogate; _DOUBTED where it
    has anything else to be refused, which is worth a second reading that says where."""
    try:
        return _STRICT_DECODER.decode(text)
    except _Doubt:
        return _DOUBTED


def pointer(*names: str | int) -> str:
    """The JSON Pointer (RFC 6901) of a place, safe to print and of bounded length."""
    steps = (str(name).replace("~", "~0").replace("/", "~1") for name in names)
    printable = "".join("/" + "".join(c if c.isprintable() else "\ufffd" for c in step) for step in steps)
    return printable[:_MAX_POINTER_CHARACTERS]


@dataclass(frozen=True, slots=True)
class _Refused:
    """Stands where the document has a value that is refused."""

    detail: str


class _Doubt(Exception):
    """The document has a value that is refused."""


class _Doubled(dict[str, Any]):
    """An object with names that were given more than once."""

    names: tuple[str, ...] = ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    doubled = _Doubled(plain)
    doubled.names = tuple(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
    return doubled


def _undoubled(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) != len(pairs):
        raise _Doubt
    return plain


def _certain(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """The same reading, which raises _Doubt instead of giving what is refused."""

    def certain(text: str) -> Any:
        value = read(text)
        if isinstance(value, _Refused):
            raise _Doubt
        return value

    return certain


def _constant(_: str) -> _Refused:
    return _Refused("is not a number JSON knows")


def _int(digits: str) -> int | _Refused:
    # Length first: Python refuses to read integers of thousands of digits, and slowly reads those just below.
    if len(digits) > 20 or not -_MAX_INTEGER - 1 <= int(digits) <= _MAX_INTEGER:
        return _Refused("is out of range")
    return int(digits)


def _float(digits: str) -> float | _Refused:
    number = float(digits)
    return _Refused("is out of range") if number in (float("inf"), float("-inf")) else number


def _errors(document: Any) -> Iterator[FieldError]:
    """Everything refused in the document, without recursion."""
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), document)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, _Refused):
            yield FieldError(pointer=pointer(*place), detail=value.detail)
        elif isinstance(value, str) and (detail := _text_fault(value)):
            yield FieldError(pointer=pointer(*place), detail=detail)
        elif isinstance(value, list):
            waiting.extend(((*place, index), each) for index, each in reversed(list(enumerate(value))))
        elif isinstance(value, dict):
            for name in value.names if isinstance(value, _Doubled) else ():
                yield FieldError(pointer=pointer(*place, name), detail="is given more than once")
            for name in filter(_text_fault, value):
                yield FieldError(pointer=pointer(*place, name), detail=f"the name {_text_fault(name)}")
            waiting.extend(((*place, name), each) for name, each in reversed(value.items()))


def _text_fault(text: str) -> str | None:
    if "\0" in text:
        return "must not contain NUL"
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        return "must not contain half of a surrogate pair"
    return None


def _whole(detail: str) -> InvalidRequest:
    return InvalidRequest(FieldError(pointer="", detail=detail))


_DOUBTED = object()
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int)
_STRICT_DECODER = json.JSONDecoder(
    object_pairs_hook=_undoubled,
    parse_constant=_certain(_constant),
    parse_float=_certain(_float),
    parse_int=_certain(_int),
)
