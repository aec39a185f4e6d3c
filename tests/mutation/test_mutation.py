"""What `script/mutate` makes of mutmut's notes."""

from tests.mutation.__main__ import read_verdicts, report
from tests.mutation.few_tests import MOST, with_few_tests

RESULTS = """
    billing_core.domain.money.x__exponent__mutmut_1: killed
    billing_core.domain.money.xǁMoneyǁof__mutmut_2: survived
    billing_core.use_cases.jobs.x_job_origin__mutmut_1: timeout
    billing_core.use_cases.jobs.x_job_origin__mutmut_2: no tests
    billing_core.use_cases.jobs.x_job_origin__mutmut_3: not checked
"""


class TestReport:
    def test_counts_by_module_and_names_what_nobody_noticed(self) -> None:
        """A mutant that never ends was noticed, one without any test was not, and one not asked for does not count."""
        lines, share = report(read_verdicts(RESULTS.splitlines()))

        assert share == 0.5
        assert [line.split() for line in lines if line.startswith(("domain", "use_cases", "all"))] == [
            ["domain.money", "2", "1", "0", "1", "50.0%"],
            ["use_cases.jobs", "2", "0", "1", "1", "50.0%"],
            ["all", "4", "1", "1", "2", "50.0%"],
        ]
        assert lines[:2] == [
            "billing_core.domain.money.xǁMoneyǁof__mutmut_2: survived",
            "billing_core.use_cases.jobs.x_job_origin__mutmut_2: no tests",
        ]


class TestFewTests:
    def test_keeps_the_quick_ones_of_every_file_and_most_of_the_modules_own(self) -> None:
        """Where there are few, all of them stay; where there are many, each file has its say."""
        own = [f"tests/core/domain/test_money.py::test_{number}" for number in range(50)]
        others = [f"tests/core/use_cases/test_{file}.py::test_{each}" for file in "abc" for each in range(50)]
        tests = {"billing_core.domain.money.x_a": [*own, *others], "billing_core.domain.money.x_b": own[:3]}
        slow = "tests/core/use_cases/test_a.py::test_0"

        few = with_few_tests({"tests_by_mangled_function_name": tests, "duration_by_test": {slow: 5.0}})

        kept = few["tests_by_mangled_function_name"]
        assert kept["billing_core.domain.money.x_b"] == own[:3]
        assert len(kept["billing_core.domain.money.x_a"]) == MOST
        assert {test.partition("::")[0] for test in kept["billing_core.domain.money.x_a"]} == {
            test.partition("::")[0] for test in [*own, *others]
        }
        assert slow not in kept["billing_core.domain.money.x_a"]
