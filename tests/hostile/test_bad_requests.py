"""Bad requests at the real process: each is refused as documented, and nothing comes of it."""

from collections.abc import Iterator

import pytest
from jsonschema import Draft202012Validator
from tests.hostile.bad_requests.bad import Bad
from tests.hostile.bad_requests.table import RULES
from tests.hostile.live import Answer, Service

from billing_http.openapi import openapi_document

AT_LEAST = 500
DOCUMENT = openapi_document(("shopify", "stripe", "sandbox"))
PROBLEM = Draft202012Validator({"$ref": "#/components/schemas/Problem", "components": DOCUMENT["components"]})


@pytest.mark.parametrize("rule", RULES)
async def test_bad_requests_are_refused(service: Service, rule: str) -> None:
    """Every one gets its documented refusal as a whole problem document; nothing is stored, and the process lives."""
    before = await service.stored()

    wrong = [f"{bad.name}: {fault}" for bad in RULES[rule]() for fault in faults(bad, service.ask(bad.sent))]

    assert wrong == []
    assert await service.stored() == before
    assert service.is_well()


def faults(bad: Bad, answer: Answer) -> Iterator[str]:
    """What is wrong with the answer."""
    problem = answer.problem
    if (answer.status, problem.get("code")) not in bad.told:
        yield f"told {answer.status} {problem.get('code')} {answer.body[:300]!r}"
        return
    yield from (each.message for each in PROBLEM.iter_errors(problem))
    if problem["status"] != answer.status or problem["type"] != f"urn:billing:problem:{problem['code']}":
        yield f"contradicts itself: {problem}"
    if problem["correlation_id"] != answer.headers.get("x-correlation-id"):
        yield f"has another correlation id than {answer.headers}"
    if ("www-authenticate" in answer.headers) != (
        answer.status in (401, 403) and problem["code"] != "PLATFORM_MISMATCH"
    ):
        yield f"its challenge: {answer.headers}"
    if (answer.status == 405) != ("allow" in answer.headers):
        yield f"allows: {answer.headers.get('allow')}"
    if bad.operation is not None:
        documented = DOCUMENT["paths"][bad.operation.path][bad.operation.method.lower()]["responses"]
        if str(answer.status) not in documented:
            yield f"{answer.status} is not documented"


def test_the_table_is_long() -> None:
    """At least five hundred different requests are in it."""
    every = [bad for rule in RULES.values() for bad in rule()]

    assert len({bad.sent for bad in every}) >= AT_LEAST
    assert len({bad.name for bad in every}) >= AT_LEAST
