"""`script/defects`: build Billing wrong in every way that is listed, and tell who catches each.

First the simulator shows that without a defect no rule is broken. Then, for each defect, it runs worlds from seed 0 on
until one breaks a rule, at most 300. With --chaos the chaos harness looks for those that can be built into real
processes too, for 30 seconds each. A wall taken down (--walls: those alone) is left to the test that stands behind it.

example: script/defects --only cursor_relay --chaos
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

from tests.faults.defects.catalogue import DEFECTS, WALLS
from tests.faults.defects.defect import Defect
from tests.faults.defects.hunt import Hunt, hunt, hunt_by_test, hunt_in_processes

_SOUND_SEEDS = 50
_ROW = "{:<30} {:<11} {:>10} {:>7}"


def main(arguments: Sequence[str] | None = None) -> int:
    """This will do what the command line asks for. Returns 1 where nobody caught a defect, or where nothing was
    wrong and a rule was broken all the same."""
    asked = _read(arguments)
    wanted = [DEFECTS[asked.only]] if asked.only else list((WALLS if asked.walls else DEFECTS).values())
    _say("no defect")
    sound = hunt(None, seeds=_SOUND_SEEDS)
    _print(_ROW.format("defect", "caught by", "after", "faults"))
    _print(_ROW.format("(none)", "nobody", sound.went, sound.faults))
    _print(*(f"    broken: {each}" for each in sound.broken))
    missed, by_whom, left = list[str](), Counter[str](), 0
    for place, defect in enumerate(wanted, 1):
        _say(f"{place} of {len(wanted)}: {defect.name}")
        caught = list[bool]()
        for who, hunted in _hunts(defect, in_processes=asked.chaos):
            _print(*_told(defect, who, hunted))
            if hunted is None:
                left += 1
                continue
            caught.append(bool(hunted.broken))
            by_whom[who] += caught[-1]
        if caught and not any(caught):
            missed.append(defect.name)
    _print("", _summary(len(wanted), by_whom, left, missed))
    return int(bool(sound.broken or missed))


def _read(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/defects", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=DEFECTS, metavar="NAME", help="this defect alone")
    parser.add_argument("--walls", action="store_true", help="the walls taken down alone")
    parser.add_argument("--chaos", action="store_true", help="let the chaos harness look too, some two minutes each")
    return parser.parse_args(arguments)


def _hunts(defect: Defect, *, in_processes: bool) -> Iterator[tuple[str, Hunt | None]]:
    """Who looks for the defect, and how that ended; None where chaos may look, and was not asked to."""
    if defect.simulated is not None:
        yield "simulator", hunt(defect.simulated)
    if defect.real is not None:
        yield "chaos", hunt_in_processes(defect.name) if in_processes else None
    if defect.wall is not None:
        yield "its test", hunt_by_test(defect.name, defect.caught_by)


def _told(defect: Defect, who: str, hunted: Hunt | None) -> Iterator[str]:
    """A row of the table, what is wrong, and by which rule that was found out."""
    if hunted is None:
        yield _ROW.format(defect.name, who, "--chaos", "")
        return
    yield _ROW.format(defect.name, who if hunted.broken else f"not {who}", hunted.went, hunted.faults)
    yield f"    wrong:  {defect.about}"
    yield from (f"    broken: {each}" for each in hunted.broken[:1])


def _summary(many: int, by_whom: Counter[str], left: int, missed: Sequence[str]) -> str:
    caught = ", ".join(f"{times} caught by {who}" for who, times in by_whom.items()) or "none caught"
    waiting = f", {left} left to --chaos" if left else ""
    return f"{many} defects: {caught}{waiting}, not caught: {', '.join(missed) or 'none'}"


def _print(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)  # noqa: T201


def _say(progress: str) -> None:
    live = sys.stderr.isatty()
    sys.stderr.write(f"\r\033[2K{progress}\r" if live else f"{progress}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
