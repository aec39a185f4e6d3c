"""What the demo prints: for people, or one JSON document a line."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from billing_cli.terminal import print_json, print_lines

WIDEST_VALUE = 88


class DemoScreen(Protocol):
    """Shows the demo as it happens."""

    def begin(self) -> None:
        """Before anything runs."""

    def servers(self, http: str, took_s: float) -> None:
        """The servers and processes answer."""

    def act(self, title: str) -> None:
        """The next act begins."""

    def remark(self, what: str) -> None:
        """Something worth a line."""

    def call(self, method: str, url: str, status: int, shown: Mapping[str, Any]) -> None:
        """An HTTP call was answered; `shown` is the interesting part."""

    def published(self, subject: str, data: Mapping[str, Any]) -> None:
        """The demo published a message, as another service would."""

    def received(self, subject: str, event: Mapping[str, Any]) -> None:
        """An event came from NATS."""

    def command(self, line: str, result: Mapping[str, Any]) -> None:
        """A command was run."""

    def summary(self, facts: Mapping[str, Any]) -> None:
        """What it all came to."""

    def end(self, took_s: float) -> None:
        """Everything is stopped and removed."""


class PeoplesScreen:
    """Lines for people; the same on a terminal and on a pipe."""

    def begin(self) -> None:
        """This will say what is about to be seen."""
        print_lines(
            "A merchant arrives, tries, buys and pays: on a real PostgreSQL, Redis and NATS, through the real",
            "HTTP and worker processes, in a temporary folder.",
        )

    def servers(self, http: str, took_s: float) -> None:
        """This will say that everything runs."""
        print_lines("", f"Servers, {http} and a worker run after {took_s:.1f} s")

    def act(self, title: str) -> None:
        """This will print the heading of an act."""
        print_lines("", title)

    def remark(self, what: str) -> None:
        """This will print the line."""
        print_lines(f"  {what}")

    def call(self, method: str, url: str, status: int, shown: Mapping[str, Any]) -> None:
        """This will print the call, and what was answered under it."""
        print_lines(f"  HTTP  {method} {_short(url)} -> {status}", *_indented(shown))

    def published(self, subject: str, data: Mapping[str, Any]) -> None:
        """This will print the message."""
        print_lines(f"  NATS  -> {subject}", *_indented(data))

    def received(self, subject: str, event: Mapping[str, Any]) -> None:
        """This will print the event's place in the merchant's sequence and its data."""
        data = {key: value for key, value in event["data"].items() if key not in ("merchant_id", "platform")}
        print_lines(f"  NATS  <- {subject}  (event {event['sequence']} of {event['subject']})", *_indented(data))

    def command(self, line: str, result: Mapping[str, Any]) -> None:
        """This will print the command and its result."""
        print_lines(f"  $ {line}", *_indented(result))

    def summary(self, facts: Mapping[str, Any]) -> None:
        """This will print the facts."""
        print_lines("", "What it came to", *_indented(facts))

    def end(self, took_s: float) -> None:
        """This will say that nothing is left."""
        print_lines("", f"Done in {took_s:.1f} s; everything is stopped and removed. Try it yourself: script/server")


class JsonScreen:
    """One JSON document a line, each with its `kind`."""

    def begin(self) -> None:
        """Programs need no introduction."""

    def servers(self, http: str, took_s: float) -> None:
        """This will print `ready`."""
        print_json({"kind": "ready", "http": http, "took_s": round(took_s, 3)})

    def act(self, title: str) -> None:
        """This will print `act`."""
        print_json({"kind": "act", "title": title})

    def remark(self, what: str) -> None:
        """This will print `remark`."""
        print_json({"kind": "remark", "text": what})

    def call(self, method: str, url: str, status: int, shown: Mapping[str, Any]) -> None:
        """This will print `http`."""
        print_json({"kind": "http", "method": method, "url": url, "status": status, "shown": dict(shown)})

    def published(self, subject: str, data: Mapping[str, Any]) -> None:
        """This will print `published`."""
        print_json({"kind": "published", "subject": subject, "data": dict(data)})

    def received(self, subject: str, event: Mapping[str, Any]) -> None:
        """This will print `event`, the event whole."""
        print_json({"kind": "event", "subject": subject, "event": dict(event)})

    def command(self, line: str, result: Mapping[str, Any]) -> None:
        """This will print `command`."""
        print_json({"kind": "command", "command": line, "result": dict(result)})

    def summary(self, facts: Mapping[str, Any]) -> None:
        """This will print `summary`."""
        print_json({"kind": "summary", **facts})

    def end(self, took_s: float) -> None:
        """This will print `end`."""
        print_json({"kind": "end", "took_s": round(took_s, 3)})


def _indented(facts: Mapping[str, Any]) -> list[str]:
    width = max((len(name) for name in facts), default=0)
    return [f"          {name:<{width}}  {_text(value)}" for name, value in facts.items()]


def _text(value: object) -> str:
    if isinstance(value, str):
        return _short(value)
    if isinstance(value, dict) and value.keys() >= {"currency", "amount"}:
        return f"{value['currency']} {value['amount']}"
    return json.dumps(value, ensure_ascii=False)


def _short(url: str) -> str:
    # A signed link is long; its end tells people nothing.
    return url if len(url) <= WIDEST_VALUE else f"{url[:WIDEST_VALUE]}…"
