"""A few words with a Redis: the supervisor has the standard library only."""

import socket
from collections.abc import Sequence
from typing import BinaryIO

from billing_adapters.embedded.folder import LOOPBACK
from billing_adapters.embedded.servers import PROBE_TIMEOUT_S

Answer = str | int | None | list["Answer"]


def talk(port: int, password: str, *commands: Sequence[str]) -> list[Answer]:
    """This will log in, send the commands and return their answers; an error is its text, beginning with `-`. Raises
    `OSError` where nobody answers."""
    with socket.create_connection((LOOPBACK, port), PROBE_TIMEOUT_S) as session:
        session.sendall(b"".join(map(_written, (("AUTH", password), *commands))))
        answers = session.makefile("rb")
        return [_read(answers) for _ in range(len(commands) + 1)][1:]


def _written(command: Sequence[str]) -> bytes:
    parts = [f"${len(part.encode())}\r\n{part}\r\n" for part in command]
    return f"*{len(parts)}\r\n{''.join(parts)}".encode()


def _read(answers: BinaryIO) -> Answer:
    line = answers.readline().decode()
    if not line.endswith("\r\n"):
        raise ConnectionError("hung up")
    kind, text = line[0], line[1:-2]
    if kind == "+":
        return text
    if kind == ":":
        return int(text)
    if kind == "$":
        return None if text == "-1" else answers.read(int(text) + 2)[:-2].decode()
    if kind == "*":
        return [_read(answers) for _ in range(int(text))]
    return line[:-2]
