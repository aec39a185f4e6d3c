"""The share of the fuzzing that every run of the tests has time for, and the proof that fuzzing finds something.

The night takes a million executions under a guide: `script/nightly fuzz`.
"""

import ast
import base64
import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.fuzz import __main__ as command
from tests.fuzz.blind import fault_of, fuzz
from tests.fuzz.catalogue import NAMES, load
from tests.fuzz.target import CORPUS, watched_logs

from billing_adapters.platforms.shopify import answers, charges
from billing_adapters.platforms.stripe_checkout.platform import StripePlatform
from billing_core import messages
from billing_core.domain import return_urls
from billing_core.use_cases import read_billing
from billing_http import json_documents, keys, requests, tokens
from billing_http.webhook_vendors import ShopifyWebhooks, StripeWebhooks

ROOT = Path(__file__).parents[2]
EXECUTIONS = 2_000
SEED = 1


@pytest.mark.parametrize("name", NAMES)
def test_every_sample_is_borne(name: str) -> None:
    """What fuzzing starts from, and what it found before, is answered as promised."""
    target = load(name)

    with watched_logs(target):
        faults = {path.name: fault_of(target, path.read_bytes()) for path in target.corpus}

    assert faults == dict.fromkeys(faults)


@pytest.mark.parametrize("name", NAMES)
def test_every_change_is_borne(name: str) -> None:
    """Whatever becomes of a sample by chance, nothing falls over and no promise is broken."""
    assert fuzz(load(name), many=EXECUTIONS, seed=SEED) is None


def test_the_samples_are_those_that_are_written() -> None:
    """`python -m tests.fuzz.seeds` writes what is in the project, and every target has some. In a process of its own:
    builders count, and others may have built before."""
    told = subprocess.run(
        [sys.executable, "-c", "from tests.fuzz.seeds import SAMPLES; print(repr(SAMPLES))"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    made: dict[str, tuple[bytes, ...]] = ast.literal_eval(told.stdout)
    written = {path.relative_to(CORPUS): path.read_bytes() for path in CORPUS.glob("*/sample-*")}

    assert written == {
        Path(name) / f"sample-{place:02}": sample
        for name, samples in made.items()
        for place, sample in enumerate(samples)
    }
    assert set(made) == set(NAMES)


def _lenient_cursor(cursor: str) -> UUID:
    return UUID(bytes=base64.urlsafe_b64decode(cursor.encode("utf-8", "replace") + b"==")[:16].ljust(16))


def _unverified(token: str, key: object) -> bytes:
    return base64.urlsafe_b64decode(token.split(".")[1] + "==")


BROKEN: dict[str, tuple[str, Any, str, Any]] = {
    "a cursor in any spelling": ("cursors", read_billing, "_read_cursor", _lenient_cursor),
    "a key with white space in it": ("idempotency_keys", requests, "_BARE_KEY", re.compile(r"[!#-~][ -~]{0,254}")),
    "names given twice": ("json_texts", json_documents, "_STRICT_DECODER", json.JSONDecoder()),
    "a user in a return URL": ("return_urls", return_urls, "_ANYWHERE", re.compile(r"https://(shop.example).*")),
    "an envelope's id of any characters": ("events", messages, "_MESSAGE_ID", re.compile("(?s).*")),
    "a trace of any shape": ("events", messages, "_TRACEPARENT", re.compile("(?s).*")),
    "a page of another host's": ("shopify", charges, "_CONFIRMATION_URL", re.compile(r"https://.*")),
    "a cost that no float holds": ("shopify", answers, "_LARGEST_FIGURE", 10**400),
    "a body nobody signed": ("shopify", ShopifyWebhooks, "is_signed", lambda *_: True),
    "a page of another host": ("stripe", StripePlatform, "_is_checkout_page", lambda *_: True),
    "a signature of long ago": ("stripe", StripeWebhooks, "is_signed", lambda *_: True),
    "a signature that is not verified": ("tokens", tokens, "_signed_payload", _unverified),
    "times that are not looked at": ("tokens", tokens, "_check_times", lambda *_: None),
    "a weak key": ("tokens", keys, "_bits", lambda _: 4096),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_broken_is_found(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a rule taken away, ten times as many executions at most find an input that shows it."""
    name, owner, attribute, wrong = BROKEN[broken]
    target = load(name)
    monkeypatch.setattr(owner, attribute, wrong, raising=False)

    assert fuzz(target, many=10 * EXECUTIONS, seed=SEED) is not None


class TestTheCommand:
    def test_tells_what_came_of_it(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A line for each target, and one for the whole."""
        assert command.main(["cursors", "--blind", "--executions", "50", "--folder", str(tmp_path)]) == 0

        told = capsys.readouterr().out
        assert re.search(r"^cursors +50 +\d+ +nothing$", told, re.MULTILINE)
        assert "50 executions (blind), not borne: none" in told

    def test_keeps_what_was_found(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The input is kept and named, and the exit code says so."""
        monkeypatch.setattr(read_billing, "_read_cursor", _lenient_cursor)

        assert command.main(["cursors", "--blind", "--executions", "500", "--folder", str(tmp_path)]) == 1

        assert (tmp_path / "cursors" / "found").exists()
        assert "not borne: cursors" in capsys.readouterr().out

    @pytest.mark.skipif(find_spec("atheris") is None, reason="Atheris has no wheel for this machine")
    def test_a_guide_reaches_and_counts(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Under Atheris as many executions are made as asked for, and the branches reached are counted."""
        assert command.main(["idempotency_keys", "--executions", "300", "--folder", str(tmp_path)]) == 0

        assert re.search(
            r"^idempotency_keys +300 +\d+ +[1-9]\d* +[1-9]\d* +nothing$", capsys.readouterr().out, re.MULTILINE
        )

    @pytest.mark.skipif(find_spec("atheris") is None, reason="Atheris has no wheel for this machine")
    def test_a_guide_finds_what_is_broken(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Billing built wrong is found out, and the input kept."""
        monkeypatch.setenv("CHAOS_DEFECT", "signature_not_verified")

        assert command.main(["tokens", "--executions", "5000", "--folder", str(tmp_path)]) == 1

        assert "not borne: tokens" in capsys.readouterr().out
        assert list((tmp_path / "tokens").glob("crash-*"))
