"""Fuzzing without a guide: the same executions for the same seed, on every machine. What `script/test` has time for."""

import random
from collections.abc import Iterator, Sequence

from tests.fuzz.target import LONGEST_BYTES, Target, watched_logs

_MOST_CHANGES = 4


def executions(target: Target, *, many: int, seed: int) -> Iterator[bytes]:
    """This will give the bytes of `many` executions: every sample first, then samples in which something is changed."""
    samples = [path.read_bytes() for path in target.corpus]
    chance = random.Random(f"{target.name} {seed}")
    yield from samples[:many]
    for _ in range(many - len(samples)):
        data = chance.choice(samples)
        for _ in range(chance.randint(1, _MOST_CHANGES)):
            data = _changed(data, chance, samples, target.words)
        yield data[:LONGEST_BYTES]


def fuzz(target: Target, *, many: int, seed: int) -> bytes | None:
    """This will run the target on so many inputs and give the first that it could not bear, shortened; None where
    there is none."""
    with watched_logs(target):
        for data in executions(target, many=many, seed=seed):
            if fault_of(target, data) is not None:
                return _shortened(target, data)
    return None


def fault_of(target: Target, data: bytes) -> Exception | None:
    """What comes of an input that is a find."""
    try:
        target.run(data)
    except Exception as fault:  # noqa: BLE001 - whatever it is: that it raises is the find
        return fault
    return None


def _shortened(target: Target, data: bytes) -> bytes:
    """The input without the pieces that do not matter."""
    size = len(data) // 2
    while size:
        begin = 0
        while begin < len(data):
            shorter = data[:begin] + data[begin + size :]
            if fault_of(target, shorter) is not None:
                data = shorter
            else:
                begin += size
        size //= 2
    return data


def _changed(data: bytes, chance: random.Random, samples: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    begin, end = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
    end = min(end, begin + 64)
    piece = data[begin:end]
    match chance.randrange(8):
        case 0:
            piece = b""
        case 1:
            piece = piece * 2
        case 2 | 3:
            piece = chance.choice(words)
        case 4:
            piece = piece + chance.choice(words)
        case 5:
            piece = chance.randbytes(chance.randint(1, 4))
        case 6:
            other = chance.choice(samples)
            start = chance.randint(0, len(other))
            piece = other[start : start + chance.randint(1, 64)]
        case _:
            bit = 1 << chance.randrange(8)
            piece = bytes([each ^ bit for each in piece[:1]]) + piece[1:]
    return data[:begin] + piece + data[end:]
