"""What happened, when: counted for the report and written down, a JSON object a line, while it happens."""

import json
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class Chronicle:
    """The history file of one run and its counters, by topic: `faults`, `answers`, `load`, …"""

    def __init__(self, path: Path) -> None:
        """This will begin the file anew; moments count from now."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("w", encoding="utf-8")
        self._began_s = time.monotonic()
        self._counts: dict[str, Counter[str]] = {}
        self.violations: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """This will close the file."""
        self._file.close()

    @property
    def at_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began_s

    def count(self, topic: str, what: str, many: int = 1) -> None:
        """This will count something that is too frequent to be written down."""
        self.counted(topic)[what] += many

    def counted(self, topic: str) -> Counter[str]:
        """The counters of a topic."""
        return self._counts.setdefault(topic, Counter())

    def note(self, what: str, **details: Any) -> None:
        """This will write an entry."""
        self._file.write(json.dumps({"at_s": round(self.at_s, 3), "what": what, **details}) + "\n")
        self._file.flush()

    def accuse(self, violation: str) -> None:
        """This will note a broken rule that was seen while it happened, once."""
        if violation not in self.violations:
            self.violations.append(violation)
            self.note("violation", rule=violation)
