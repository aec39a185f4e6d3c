"""The command line: consume, and look at what came of it."""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from credit_service.consumer import consume
from credit_service.store import CreditStore

DEFAULT_ACK_WAIT_S = "30"


def main() -> int:
    """This will do what the command line says and return the exit code: 1 where something is missing or refused."""
    told = _arguments()
    store = CreditStore(told.store)
    try:
        return _COMMANDS[told.command](store, told)
    finally:
        store.close()


def _consume(store: CreditStore, told: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(_until_asked_to_stop(store, told.nats))
    return 0


async def _until_asked_to_stop(store: CreditStore, nats_url: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    ack_wait_s = float(os.environ.get("CREDIT_SERVICE_ACK_WAIT_S", DEFAULT_ACK_WAIT_S))
    await consume(nats_url, store, stop, ack_wait_s=ack_wait_s)


def _balances(store: CreditStore, _: argparse.Namespace) -> int:
    _print(store.balances())
    return 0


def _gaps(store: CreditStore, _: argparse.Namespace) -> int:
    gaps = store.gaps()
    _print([{**asdict(each), "remedy": each.remedy} for each in gaps])
    return 1 if gaps else 0


def _parked(store: CreditStore, _: argparse.Namespace) -> int:
    _print([{**asdict(each), "body": each.body.decode("utf-8", "replace")} for each in store.parked()])
    return 0


def _replay(store: CreditStore, told: argparse.Namespace) -> int:
    try:
        taken = store.replay(told.parked_id)
    except KeyError:
        sys.stderr.write(f"there is no parked message {told.parked_id}; `credit-service parked` lists them\n")
        return 1
    _print({"taken": taken})
    return 0 if taken else 1


def _print(document: Any) -> None:
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


_COMMANDS = {"consume": _consume, "balances": _balances, "gaps": _gaps, "parked": _parked, "replay": _replay}
_ABOUT = {
    "consume": "read Billing's events until Ctrl-C (the default)",
    "balances": "every merchant's credits",
    "gaps": "events that have not come; exits with 1 where there are any",
    "parked": "messages that could not be applied",
    "replay": "try a parked message again",
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="credit-service", description=__doc__, epilog="example: credit-service gaps")
    parser.set_defaults(command="consume")
    store = Path(os.environ.get("CREDIT_SERVICE_STORE", "credits.db"))
    nats_url = os.environ.get("CREDIT_SERVICE_NATS_URL", "nats://127.0.0.1:4222")
    parser.add_argument("--store", type=Path, default=store, help="the SQLite file (CREDIT_SERVICE_STORE)")
    parser.add_argument("--nats", default=nats_url, help="where NATS is (CREDIT_SERVICE_NATS_URL)")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, about in _ABOUT.items():
        command = commands.add_parser(name, help=about, description=about)
        if name == "replay":
            command.add_argument("parked_id", help="as `credit-service parked` shows it")
    told = parser.parse_args()
    told.command = told.command or "consume"
    return told
