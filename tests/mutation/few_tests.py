"""Few tests for each function, the likeliest to notice: most mutants die of them, and only the others need them all.

mutmut notes in `mutmut-stats.json` which tests run a function: hundreds, for `Money`. Collecting them costs more than
running them.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

MOST = 40
_MOST_OF_ITS_OWN = 25
_SLOW_S = 0.1


def with_few_tests(stats: Mapping[str, Any]) -> dict[str, Any]:
    """mutmut's notes with no more than MOST tests for each function."""
    by_function: Mapping[str, Collection[str]] = stats["tests_by_mangled_function_name"]
    took_s: Mapping[str, float] = stats["duration_by_test"]
    few = {function: _few(function, tests, took_s) for function, tests in by_function.items()}
    return {**stats, "tests_by_mangled_function_name": few}


def _few(function: str, tests: Collection[str], took_s: Mapping[str, float]) -> Sequence[str]:
    if len(tests) <= MOST:
        return sorted(tests)
    own: list[str] = []
    by_file = defaultdict[str, list[str]](list)
    module = function.split(".")[2]
    for test in sorted(tests):
        file = test.partition("::")[0]
        if module in file and len(own) < _MOST_OF_ITS_OWN:
            own.append(test)
        elif took_s.get(test, 0.0) < _SLOW_S:
            by_file[file].append(test)
    return [*own, *_one_of_each_in_turn(list(by_file.values()), MOST - len(own))]


def _one_of_each_in_turn(files: Sequence[Sequence[str]], number: int) -> Sequence[str]:
    longest = max(map(len, files), default=0)
    return [tests[place] for place in range(longest) for tests in files if place < len(tests)][:number]
