"""Every block of code on every page is run or judged by one test, or stands in the table here with a reason."""

import importlib
import re
from collections.abc import Mapping, Sequence
from functools import cache

import pytest
from tests.documents.pages import PAGES, PATTERNS, ROOT, Block, Claim, blocks_in, blocks_of

# Blocks that nothing runs and nothing judges, and why. As few as can be.
NOT_RUN: Mapping[Claim, str] = {
    Claim(page="SECURITY.md", languages=("text",), heading="Where trust ends"): "a drawing of who speaks to whom",
}


@cache
def executors() -> Mapping[str, Sequence[Claim]]:
    """The tests that run blocks, each with what it claims."""
    files = sorted(path for path in ROOT.glob("tests/**/test_*.py") if "\nCLAIMS = " in path.read_text("utf-8"))
    names = [path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in files]
    return {name: importlib.import_module(name).CLAIMS for name in names}


def claimed_by(block: Block) -> Sequence[str]:
    """Who runs the block, by name."""
    claims = [(name, claim) for name, claims in executors().items() for claim in claims]
    claims += [("NOT_RUN", claim) for claim in NOT_RUN]
    return [name for name, claim in claims if block in claim]


def unclaimed(blocks: Sequence[Block]) -> Sequence[str]:
    """The blocks that nobody runs, or more than one, each with its place."""
    return [
        f"{block}: claimed by {list(names) or 'nobody'}" for block in blocks if len(names := claimed_by(block)) != 1
    ]


def test_every_block_is_claimed_once() -> None:
    """Whoever adds a block adds it to a test: the page and the line are told."""
    assert unclaimed([block for page in PAGES for block in blocks_of(page)]) == []


def test_every_claim_is_of_blocks_there_are() -> None:
    """A claim that fits nothing would let a test go green that runs nothing."""
    claims = [(name, claim) for name, claims in executors().items() for claim in claims]
    claims += [("NOT_RUN", claim) for claim in NOT_RUN]

    assert [(name, claim) for name, claim in claims if not claim.blocks()] == []


def test_every_kind_of_page_is_read() -> None:
    """Each pattern finds pages, so that a folder which moves is noticed."""
    assert [pattern for pattern in PATTERNS if not list(ROOT.glob(pattern))] == []
    assert len(PAGES) > 40


@pytest.mark.parametrize(
    "text",
    [
        "```sh\nbilling doctor\n```",
        "- in a list\n\n  ~~~python\n  1\n  ~~~",
        "```cobol\nDISPLAY\n```",
        "x\n\n    indented",
    ],
)
def test_a_block_nobody_claims_is_told_with_its_place(text: str) -> None:
    """Fenced either way, in a list, in a language nobody knows, or only indented."""
    blocks = list(blocks_in("docs/new.md", f"# New\n\n{text}\n"))

    (complaint,) = unclaimed(blocks)

    assert re.fullmatch(r"docs/new\.md:\d+ \((sh|python|cobol|no language)\): claimed by nobody", complaint)
