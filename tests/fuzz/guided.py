"""Fuzzing by a guide: `python -m tests.fuzz.guided TARGET FOLDER OPTION ...` lets Atheris watch which of our lines each
input reaches, and change those further that reached new ones.

Atheris ends the process by itself, so each target has one of its own. The options are libFuzzer's; what it finds, and
what reached new lines, is kept in the folder. Where `CHAOS_DEFECT` names a defect, Billing is built wrong in that way
first, to see it found.
"""

import sys
from pathlib import Path

import atheris

# What is watched: ours, and the libraries that read what strangers send.
WATCHED = ["billing_core", "billing_adapters", "billing_http", "joserfc", "stripe"]


def main(name: str, folder: str, *options: str) -> None:
    """This will fuzz the target for as long as the options say; it does not return."""
    with atheris.instrument_imports(include=WATCHED):
        from tests.faults.defects.processes import break_as_told
        from tests.fuzz.catalogue import load
        from tests.fuzz.target import LONGEST_BYTES, watched_logs

        target = load(name)
    break_as_told()
    words = Path(folder) / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words), encoding="ascii")
    reached = Path(folder) / "reached"
    reached.mkdir(exist_ok=True)
    fixed = [f"-max_len={LONGEST_BYTES}", f"-dict={words}", f"-artifact_prefix={folder}/", "-print_final_stats=1"]
    atheris.Setup([name, *fixed, *options, str(reached), str(target.corpus[0].parent)], target.run)
    with watched_logs(target):
        atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main(*sys.argv[1:])
