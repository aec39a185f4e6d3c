"""The lines on pages that start a script: each script exists, knows its options, and is run here or where it says."""

import re
import shlex
import subprocess
from collections.abc import Mapping

import pytest
from benchmarks.catalogue import wanted
from tests.documents.commands import faults_of
from tests.documents.pages import PAGES, ROOT, Claim, inline_of

CLAIMS = (
    Claim(page="README.md", languages=("sh",), heading="Two commands"),
    Claim(page="CONTRIBUTING.md", languages=("sh",), heading="Contributing"),
    Claim(page="docs/performance.md", languages=("console",)),
    Claim(page="docs/mutation-testing.md", languages=("sh",)),
)
COMMANDS = [(block, command) for claim in CLAIMS for block in claim.blocks() for command in block.commands]
# Scripts of which each line is held by name and options only, since running it here would be the suite running itself,
# or would take minutes; and what runs them.
ELSEWHERE: Mapping[str, str] = {
    "script/test": "it is what runs this",
    "script/check": "formatter, types and the core alone: CI runs it beside script/test",
    "script/mutate": "hours; tests/mutation/test_mutation.py runs it on one function",
    "script/nightly": "hours; every part of it is a script with a test of its own",
    "script/bench": "a minute at least; tests/benchmarks runs its workloads once",
    "script/screenshots": "it writes into docs/images; tests/e2e/test_billing_page.py takes the same scenes",
    "script/packages": "it writes into dist/; tests/packages/test_packages.py does the same elsewhere",
    "script/docs": "tests/documents/test_site.py builds the site elsewhere, as it does",
    "script/demo": "tests/e2e/test_demo.py",
    "script/server": "tests/e2e/test_first_success.py",
    "mutmut": "it shows what script/mutate left; that there is such a command is held",
}
WITHIN_S = 120


def program_of(command: str) -> str:
    """What a line starts."""
    words = shlex.split(command)
    if words[:1] == ["cd"]:  # there, and then
        words = words[words.index("&&") + 1 :]
    return words[0].removeprefix("../.venv/bin/")


@pytest.mark.parametrize(("block", "command"), COMMANDS, ids=str)
def test_each_line_can_be_typed(block: object, command: str) -> None:
    """The script is there and knows every option; what needs no more than seconds is run."""
    program = program_of(command)
    if program == "mutmut":
        assert command.endswith("mutmut show NAME"), block
        arguments = [".venv/bin/mutmut", "show", "--help"]
    else:
        assert faults_of(command) == [], block
        arguments = shlex.split(command)
    if program in ELSEWHERE and program != "mutmut":
        return

    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=WITHIN_S, check=False)

    assert done.returncode == 0, f"{block}: {done.stderr}"
    assert done.stdout


def test_scripts_named_for_elsewhere_are_on_the_pages() -> None:
    """The table has no line too many, and what it names is there."""
    assert {program_of(command) for _, command in COMMANDS} >= ELSEWHERE.keys()
    for where in ELSEWHERE.values():
        for path in re.findall(r"tests/[\w/]+(?:\.py)?", where):
            assert (ROOT / path).exists(), path


def test_the_workloads_and_patterns_that_are_named_exist() -> None:
    """`script/bench --only NAME` and `script/mutate 'PATTERN'`, in blocks and in sentences."""
    typed = [command for _, command in COMMANDS]
    typed += [each.text for page in PAGES for each in inline_of(page) if each.text.startswith("script/bench")]
    workloads = [
        name for text in typed for name in re.findall(r'--only "?([\w ]+?)"?(?= --|$)', text) if "bench" in text
    ]
    patterns = [text.partition("'")[2].rpartition(".*")[0] for text in typed if text.startswith("script/mutate '")]

    assert len(wanted(workloads)) >= 4
    assert patterns
    for pattern in patterns:
        assert (ROOT / "packages/billing-core/src" / f"{pattern.replace('.', '/')}.py").is_file()
