"""The line between the caller and the supervisor: JSON objects, one per line, over a socket pair.

The line is also the life of the servers. When the caller's end closes, for whatever reason, everything stops.
"""

import json
import socket
import time
from typing import Any

Message = dict[str, Any]


class Closed(ConnectionError):
    """The other end of the channel is gone."""


class Channel:
    """One end of the line. Not for use by two threads at once."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._unread = b""

    def fileno(self) -> int:
        """This will return the descriptor, so that `select` can wait for the channel."""
        return self._end.fileno()

    def send(self, message: Message) -> None:
        """This will send one message. Raises `Closed` when nobody can read it any more."""
        try:
            self._end.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise Closed("the other end is gone") from error

    def receive(self, *, timeout_s: float) -> Message:
        """This will wait for one message, at most `timeout_s` seconds.

        Raises `TimeoutError` when none came, `Closed` when the other end is gone.
        """
        deadline_s = time.monotonic() + timeout_s
        while b"\n" not in self._unread:
            self._unread += self._read(max(deadline_s - time.monotonic(), 0.001))
        line, self._unread = self._unread.split(b"\n", 1)
        message: Message = json.loads(line)
        return message

    def at_end(self) -> bool:
        """This will tell, without waiting, whether the other end is gone."""
        try:
            return self._end.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True  # reset: the other end died with an answer of ours unread

    def close(self) -> None:
        """This will close this end; the other one notices at once."""
        self._end.close()

    def _read(self, timeout_s: float) -> bytes:
        self._end.settimeout(timeout_s)
        try:
            chunk = self._end.recv(65536)
        except TimeoutError:
            raise
        except OSError as error:
            raise Closed("the other end is gone") from error
        finally:
            self._end.settimeout(None)
        if not chunk:
            raise Closed("the other end is gone")
        return chunk
