"""A load generator that costs next to nothing: ready-made requests over connections that are kept, in a closed loop.

It runs as a process of its own (`drive`), so that it never waits for the service it measures. Every answer's status
and head is looked at; the first that is not as expected ends the round with an error.
"""

import asyncio
import json
import re
import struct
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from benchmarks.stage import ROOT

# More than a service has connections to the database, so that there is always work for each of them; few enough that
# on a busy machine nobody waits so long that ours sends callers away.
CONNECTIONS = 16
SILENCE_S = 30.0  # what is not answered by then never will be
LOOPBACK = "127.0.0.1"
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class UnexpectedAnswer(RuntimeError):
    """The service answered something else than the workload is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to send for how long, and what has to come back. `requests` is a file of `write_requests`; they are sent
    in turns, and where `once` is set the round is over when they run out."""

    port: int
    requests: str
    seconds: float
    status: int
    head_has: str = ""
    once: bool = False
    connections: int = CONNECTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """What came of a job."""

    answers: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds


async def drive(job: Job) -> Driven:
    """This will do the job in a process of its own. Raises UnexpectedAnswer."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.load", json.dumps(asdict(job))),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, complaint = await process.communicate()
    if process.returncode:
        raise UnexpectedAnswer(complaint.decode().strip())
    return Driven(**json.loads(told))


def write_requests(path: Path, requests: Iterable[bytes]) -> Path:
    """This will write requests for a job and return the path."""
    path.write_bytes(b"".join(struct.pack(">I", len(each)) + each for each in requests))
    return path


def _read_requests(path: str) -> Sequence[bytes]:
    content, requests, at = Path(path).read_bytes(), [], 0
    while at < len(content):
        (size,) = struct.unpack_from(">I", content, at)
        requests.append(content[at + 4 : at + 4 + size])
        at += 4 + size
    return requests


class _Round:
    """What the connections of a job share."""

    def __init__(self, job: Job) -> None:
        requests = _read_requests(job.requests)
        self.waiting: Iterator[bytes] = iter(requests) if job.once else cycle(requests)
        self.latencies_s: list[float] = []
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.status, self.head_has = str(job.status).encode(), job.head_has.lower().encode()
        self._busy = job.connections
        self.began_s = time.perf_counter()
        self._until_s = self.began_s + job.seconds

    def next(self, now_s: float) -> bytes | None:
        """The next request; None where the round is over."""
        return next(self.waiting, None) if now_s < self._until_s else None

    def leave(self) -> None:
        """This will count a connection that has nothing more to do."""
        self._busy -= 1
        if self._busy == 0 and not self.finished.done():
            self.finished.set_result(None)

    def fail(self, complaint: str) -> None:
        """This will end the round with an error."""
        if not self.finished.done():
            self.finished.set_exception(UnexpectedAnswer(complaint))


class _Connection(asyncio.Protocol):
    """Sends a request, waits for the whole answer, sends the next."""

    def __init__(self, shared: _Round) -> None:
        self._shared = shared
        self._received = b""
        self._missing: int | None = None  # bytes of the answer that are still to come, once its head is there
        self._sent_s = 0.0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send_next(time.perf_counter())

    def connection_lost(self, exc: Exception | None) -> None:
        self._shared.fail(f"the service closed a connection: {exc}")

    def data_received(self, data: bytes) -> None:
        if self._missing is None:
            self._received += data
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            self._missing = end + 4 + self._length_behind(self._received[:end]) - len(self._received)
        else:
            self._missing -= len(data)
        if self._missing <= 0:
            now_s = time.perf_counter()
            self._shared.latencies_s.append(now_s - self._sent_s)
            self._received, self._missing = b"", None
            self._send_next(now_s)

    def _length_behind(self, head: bytes) -> int:
        length = _CONTENT_LENGTH.search(head)
        wanted = self._shared.head_has
        if head[9:12] != self._shared.status or length is None or (wanted and wanted not in head.lower()):
            self._shared.fail(f"expected {self._shared.status.decode()} {wanted.decode()}, got {self._received!r}")
            return 0
        return int(length[1])

    def _send_next(self, now_s: float) -> None:
        request = self._shared.next(now_s)
        if request is None:
            self._shared.leave()
            return
        self._sent_s = now_s
        self._transport.write(request)


async def _do(job: Job) -> Driven:
    shared = _Round(job)
    loop = asyncio.get_running_loop()
    for _ in range(job.connections):
        await loop.create_connection(lambda: _Connection(shared), LOOPBACK, job.port)
    async with asyncio.timeout(job.seconds + SILENCE_S):
        await shared.finished
    seconds = time.perf_counter() - shared.began_s
    ordered = sorted(shared.latencies_s)
    p50, p99 = (ordered[int(len(ordered) * part)] * 1000 for part in (0.5, 0.99))
    return Driven(answers=len(ordered), seconds=seconds, p50_ms=p50, p99_ms=p99)


def main() -> int:
    """This will do the job on the command line and print what came of it."""
    import uvloop

    try:
        driven = uvloop.run(_do(Job(**json.loads(sys.argv[1]))))
    except (UnexpectedAnswer, OSError) as complaint:  # a TimeoutError is an OSError
        sys.stderr.write(f"{complaint!r}\n")
        return 1
    sys.stdout.write(json.dumps(asdict(driven)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
