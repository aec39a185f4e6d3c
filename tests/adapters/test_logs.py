"""The log: one JSON object a line, whatever an event holds."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from billing_adapters.logs import configure_logs, get_logger


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leaves both kinds of logging as they were found."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.configure(**before)
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = handlers
    root.setLevel(level)


class TestLogLine:
    @pytest.mark.parametrize(
        ("value", "told"),
        [
            ("Zürich", "Zürich"),
            ("half a pair: \ud83d", "half a pair: \ud83d"),
            (b"bytes", "bytes"),
            (b"\xff", "b'\\xff'"),
            (3, 3),
            (None, None),
            (ValueError("no"), "ValueError('no')"),
        ],
    )
    def test_tells_whatever_it_holds(self, capfd: pytest.CaptureFixture[str], value: object, told: object) -> None:
        """Nothing in an event keeps it from being told, on one line that is JSON."""
        configure_logs("info", app="test")

        get_logger("part").info("happened", value=value)

        (line,) = capfd.readouterr().err.splitlines()
        assert json.loads(line) | {"timestamp": ""} == {
            "part": "part",
            "value": told,
            "event": "happened",
            "app": "test",
            "level": "info",
            "timestamp": "",
        }

    def test_what_libraries_log_is_told_alike(self, capfd: pytest.CaptureFixture[str]) -> None:
        """The standard library's records become lines of the same kind."""
        configure_logs("info", app="test")

        logging.getLogger("library").warning("old")

        (line,) = capfd.readouterr().err.splitlines()
        assert json.loads(line) | {"timestamp": ""} == {
            "event": "old",
            "app": "test",
            "level": "warning",
            "timestamp": "",
        }

    def test_an_exception_is_told_with_its_traceback(self, capfd: pytest.CaptureFixture[str]) -> None:
        """On the same one line."""
        configure_logs("info", app="test")

        try:
            raise ValueError("no")
        except ValueError:
            get_logger("part").exception("failed")

        (line,) = capfd.readouterr().err.splitlines()
        assert json.loads(line)["exception"].endswith("ValueError: no")

    def test_what_is_below_the_level_is_not_told(self, capfd: pytest.CaptureFixture[str]) -> None:
        """Debug is silent at info."""
        configure_logs("info", app="test")

        get_logger("part").debug("detail")

        assert capfd.readouterr().err == ""
