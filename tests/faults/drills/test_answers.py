"""The rules of the drills find what they are there for."""

from typing import Any

import pytest
from tests.faults.drills.answers import Answer, Kind, Rule, always, clocks_apart, without, without_postgres
from tests.faults.drills.outages import DRILLS

UP = {"postgres": "up", "redis": "up", "nats": "up"}


def refused(kind: Kind = "buy") -> Answer:
    """The 503 of the contract."""
    return Answer(
        kind=kind, status=503, took_s=0.1, code="SERVICE_UNAVAILABLE", retry_after="2", is_problem=kind != "ready"
    )


def answer(kind: Kind, status: int | None, **more: Any) -> Answer:
    return Answer(kind=kind, status=status, took_s=0.1, **more)


class TestRules:
    @pytest.mark.parametrize("drill", DRILLS)
    def test_no_answer_a_500_and_a_dead_process_are_wrong_in_every_drill(self, drill: str) -> None:
        """Whatever is away: nobody waits in vain, nothing is answered 500, and liveness asks nobody."""
        rule = DRILLS[drill].rule

        wrong = [answer("buy", None), answer("read", 500), answer("buy", 502), answer("live", 503)]

        assert [rule(each) for each in wrong if rule(each) is None] == []
        assert rule(answer("live", 200)) is None

    @pytest.mark.parametrize(
        "broken", [{"retry_after": None}, {"is_problem": False}, {"code": "INTERNAL_ERROR"}], ids=lambda each: str(each)
    )
    def test_a_503_must_be_the_contracts(self, broken: dict[str, Any]) -> None:
        """With Retry-After, as a problem, under its code."""
        right = {"code": "SERVICE_UNAVAILABLE", "retry_after": "2", "is_problem": True}

        assert always(answer("buy", 503, **right)) is None
        assert always(answer("buy", 503, **{**right, **broken})) is not None

    def test_without_postgres_only_what_redis_remembers_is_answered(self) -> None:
        """A purchase that is made without the database is no purchase."""
        ready = answer("ready", 503, retry_after="2", checks={**UP, "postgres": "down"})
        right = [refused(), refused("read"), refused("repeat"), answer("repeat", 201, replayed=True), ready]
        wrong = [answer("buy", 201), answer("read", 200), answer("repeat", 201), answer("ready", 200, checks=UP)]

        assert [without_postgres(each) for each in right] == [None] * len(right)
        assert None not in [without_postgres(each) for each in wrong]

    @pytest.mark.parametrize("server", ["nats", "redis"])
    def test_without_nats_or_redis_everything_is_answered_and_readiness_names_it(self, server: str) -> None:
        """Degraded, not unready; and it must be the right one that is down."""
        rule, checks = without(server), {**UP, server: "down"}
        right = [answer("buy", 201), answer("read", 200), answer("ready", 200, state="degraded", checks=checks)]
        wrong = [
            refused(),
            refused("read"),
            answer("ready", 200, state="ok", checks=UP),
            answer("ready", 503, state="unavailable", checks=checks, retry_after="2"),
        ]

        assert [rule(each) for each in right] == [None] * len(right)
        assert None not in [rule(each) for each in wrong]

    def test_a_wrong_clock_refuses_fresh_tokens_and_nothing_else(self) -> None:
        """A process that accepts a token from its future would accept any."""
        refusal = answer("fresh token", 401, code="UNAUTHENTICATED")

        assert clocks_apart(refusal) is None
        assert clocks_apart(answer("fresh token", 200)) is not None
        assert clocks_apart(answer("read", 401, code="UNAUTHENTICATED")) is not None

    @pytest.mark.parametrize("rule", [without("nats"), clocks_apart])
    def test_a_platform_that_was_too_slow_is_its_own_trouble(self, rule: Rule) -> None:
        """The stand-in shares the machine with everything else."""
        assert rule(answer("buy", 502, code="PLATFORM_ERROR")) is None
