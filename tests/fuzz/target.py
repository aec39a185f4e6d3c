"""What a fuzz target is: bytes in, and nothing out but silence. Whatever it raises is a find."""

import json
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pydantic_core
import structlog

from billing_adapters.logs import _json
from billing_core.errors import MalformedMessage
from billing_core.ports.platforms import Notice

CORPUS = Path(__file__).with_name("corpus")
LONGEST_BYTES = 4096
BETWEEN = b"\n--\n"

T = TypeVar("T")
Act = Callable[[bytes], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One reader of what strangers send. `run` raises nothing where it keeps its promises, whatever the bytes;
    `words` are what its language is made of, `secrets`
    what no line of the log may tell."""

    name: str
    about: str
    run: Act
    words: Sequence[bytes]
    secrets: Sequence[str] = ()

    @property
    def corpus(self) -> Sequence[Path]:
        """What the fuzzing starts from: samples, and what was found before."""
        return sorted((CORPUS / self.name).iterdir())


def by_first_letter(acts: Mapping[str, Act]) -> Act:
    """What does one of the acts: the first byte chooses it, the others are for it."""
    letters, choices = [ord(letter) for letter in acts], list(acts.values())

    def run(data: bytes) -> None:
        first = data[0] if data else 0
        place = letters.index(first) if first in letters else first % len(choices)
        choices[place](data[1:])

    return run


def parts(data: bytes, many: int) -> list[bytes]:
    """The parts between lines of two dashes, as many as asked for."""
    found = data.split(BETWEEN, many - 1)
    return found + [b""] * (many - len(found))


def notice_in(data: bytes, read: Callable[[Mapping[str, Any]], Notice | None]) -> Notice | None:
    """What a platform's reader makes of a text; None where it is no news, or malformed in words that can be kept."""
    try:
        payload = pydantic_core.from_json(data, allow_inf_nan=False)
    except ValueError:
        return None
    try:
        return read(payload if isinstance(payload, dict) else {})
    except MalformedMessage as wrong:
        str(wrong).encode()
        return None


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """This will run what waits for nothing in truth, without a loop. Raises what it raises."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    work.close()
    raise AssertionError("it waits for something")


@contextmanager
def watched_logs(target: Target) -> Iterator[None]:
    """This will have every log line written as the real ones are, and held against the target's secrets."""
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer(serializer=_json)],
        wrapper_class=structlog.make_filtering_bound_logger(0),
        logger_factory=lambda *_: _Watched(target.secrets),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)


class _Watched:
    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = secrets

    def msg(self, line: bytes) -> None:
        json.loads(line)
        assert not any(secret.encode() in line for secret in self._secrets), f"the log tells a secret: {line!r}"

    debug = info = warning = error = critical = exception = msg
