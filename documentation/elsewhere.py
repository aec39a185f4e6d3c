"""Whether the addresses of others that the site leads to still answer: asked by Sphinx, for `script/nightly`."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# How Sphinx calls what it found out about an address.
_ANSWERED: Final = frozenset({"working", "redirected"})
_SILENT: Final = ("Max retries exceeded", "Failed to establish", "Name or service", "ConnectionError", "timed out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One address, what came of asking it, and in which words."""

    address: str
    status: str
    why: str

    @property
    def is_silent(self) -> bool:
        """Whether nobody answered at all, which is the network's fault as likely as the address'."""
        return self.status == "timeout" or any(words in self.why for words in _SILENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How many answered, and those that do not; `offline` where none did, so that nothing is known."""

    answered: int
    broken: Sequence[Asked]
    offline: bool


def read_answers(written: Path) -> Sequence[Asked]:
    """This will read what Sphinx wrote (`output.json`), each address once."""
    lines = map(json.loads, written.read_text("utf-8").splitlines())
    asked = {line["uri"]: Asked(address=line["uri"], status=line["status"], why=line["info"]) for line in lines}
    return [each for each in asked.values() if each.address.startswith("https://")]


def judge(asked: Iterable[Asked]) -> Verdict:
    """This will say which addresses are broken. Where every one is silent there is no network, and none is."""
    known = list(asked)
    answered = sum(each.status in _ANSWERED for each in known)
    broken = [each for each in known if each.status not in _ANSWERED]
    offline = bool(known) and not answered and all(each.is_silent for each in broken)
    return Verdict(answered=answered, broken=() if offline else broken, offline=offline)
