"""`python -m billing_adapters.embedded up FOLDER`: the three servers in the foreground, until Ctrl-C."""

import argparse
import dataclasses
import json
import signal
import sys
import threading
from pathlib import Path

from billing_adapters.embedded import EmbeddedServers, EmbeddedServersError

WATCH_EVERY_S = 1.0


def main() -> int:
    """This will run the servers of the folder given on the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m billing_adapters.embedded", description=__doc__)
    parser.add_argument("act", choices=["up"])
    parser.add_argument("data", type=Path, metavar="FOLDER", help="where the servers keep their data")
    parser.add_argument("--fast", action="store_true", help="never sync to disk; for tests")
    arguments = parser.parse_args()
    asked_to_stop = _stop_on_signal()
    try:
        with EmbeddedServers(arguments.data, durable=not arguments.fast) as servers:
            sys.stdout.write(json.dumps(dataclasses.asdict(servers.urls)) + "\n")
            sys.stdout.flush()
            _watch(servers, asked_to_stop)
    except EmbeddedServersError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _stop_on_signal() -> threading.Event:
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: asked.set())
    return asked


def _watch(servers: EmbeddedServers, asked_to_stop: threading.Event) -> None:
    """This will wait for the signal to stop, and say so when a server dies before it."""
    told: dict[str, int] = {}
    while not asked_to_stop.wait(WATCH_EVERY_S):
        dead = servers.exited()
        for name in dead.keys() - told.keys():
            sys.stderr.write(f"{name} exited with {dead[name]}; see {servers.data / 'log'}\n")
        told = dead


if __name__ == "__main__":
    raise SystemExit(main())
