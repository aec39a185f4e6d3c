"""Schemathesis at the real process: requests made from the OpenAPI document, good and bad ones, for each operation.

`BAD_REQUESTS` in the environment says how many for each operation; the night takes a thousand.
"""

import os
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS, load_all_checks
from tests.apps.http.test_process import token
from tests.hostile.live import Service
from tests.hostile.test_bad_requests import DOCUMENT

from billing_http.operations import OPERATIONS, Operation

CASES = int(os.environ.get("BAD_REQUESTS", "100"))
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
load_all_checks()
# What two checks cannot know: a pack nobody sells is text like every other, and a correlation id that is none is
# replaced by another one.
UNKNOWABLE = ("positive_data_acceptance", "negative_data_rejection")
CHECKED = [check for check in CHECKS.get_all() if check.__name__ not in UNKNOWABLE]


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
def test_answers_are_as_documented(service: Service, operation: Operation, mode: schemathesis.GenerationMode) -> None:
    """Whatever is sent, the answer is none of 5xx, its status and media type are documented, and its document and
    headers are of their schemas."""
    requested = SCHEMA[operation.path][operation.method]
    headers = {"Authorization": f"Bearer {token()}"}

    with requests.Session() as session:

        @settings(
            max_examples=CASES,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=requested.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            case.call_and_validate(base_url=service.url, session=session, headers=headers, checks=CHECKED)

        ask()

    assert service.is_well()
