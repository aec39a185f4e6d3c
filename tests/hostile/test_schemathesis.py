"""Schemathesis at the real process: requests made from the OpenAPI document it serves, good and bad ones, for each
operation, and every answer held against everything Schemathesis can check.

`BAD_REQUESTS` in the environment says how many good ones, and how many bad ones, for each operation; the night takes
a thousand.
"""

import os
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import ChecksConfig, SchemathesisConfig
from tests.apps.http.test_process import headers, token
from tests.hostile.live import Service

from billing_core.domain.packs import default_price_book
from billing_core.domain.return_urls import ReturnUrlPolicy
from billing_http.openapi import openapi_document
from billing_http.operations import OPERATIONS

CASES = int(os.environ.get("BAD_REQUESTS", "100"))
# What the process of these tests serves: in development, with the built-in catalogue and the sandbox alone.
DOCUMENT = openapi_document(
    ("sandbox",), return_urls=ReturnUrlPolicy(allow_loopback_http=True), price_book=default_price_book()
)
load_all_checks()
CHECKED = CHECKS.get_all()
# What Schemathesis takes for an answer to a good request by itself, and for a POST the one more that no schema can say:
# 422, as the key came before with another request (contract §2). It comes to the same keys again and again.
TAKEN = ["2xx", "3xx", "401", "403", "404", "409", "429", "5xx"]
WITH_KEYS = {"positive_data_acceptance": {"expected-statuses": [*TAKEN, "422"]}}
CONFIG = SchemathesisConfig.from_dict({"operations": [{"include-method": "POST", "checks": WITH_KEYS}]})
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT, config=CONFIG)
EVERY = [f"{method.upper()} {path}" for path, methods in DOCUMENT["paths"].items() for method in methods]
# The others take nothing, so no request to them can be wrong.
TAKING = [f"{each.method} {each.path}" for each in OPERATIONS]


def test_the_document_is_the_one_that_is_served(service: Service) -> None:
    """The process serves the document that the requests are made from."""
    assert requests.get(f"{service.url}/openapi.json", timeout=60).json() == DOCUMENT


def test_every_check_is_on() -> None:
    """None of Schemathesis' checks is left out or switched off, and one is told of one status more, for POST."""
    names = {check.__name__ for check in CHECKED}

    assert {"positive_data_acceptance", "negative_data_rejection", "not_a_server_error", "ignored_auth"} <= names
    for name in EVERY:
        method, _, path = name.partition(" ")
        config = SCHEMA.config.checks_config_for(operation=SCHEMA[path][method])
        assert all(config.get_by_name(name=each).enabled for each in names)
        taken = set(config.positive_data_acceptance.expected_statuses)
        assert taken - set(ChecksConfig().positive_data_acceptance.expected_statuses) == (
            {"422"} if method == "POST" else set()
        )


@pytest.mark.parametrize(
    ("operation", "mode"),
    [*((each, GenerationMode.POSITIVE) for each in EVERY), *((each, GenerationMode.NEGATIVE) for each in TAKING)],
)
def test_answers_are_as_documented(service: Service, operation: str, mode: GenerationMode) -> None:
    """A good request is not refused, a bad one is; whatever is sent, the answer is none of 5xx, its status and media
    type are documented, and its document and headers are of their schemas."""
    method, _, path = operation.partition(" ")
    authorized = {"Authorization": f"Bearer {token()}"}
    purchase_id, asked = _a_purchase(service), 0

    with requests.Session() as session:

        @settings(
            max_examples=CASES,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=SCHEMA[path][method].as_strategy(generation_mode=mode), there=st.booleans())
        def ask(case: Any, *, there: bool) -> None:
            nonlocal asked
            asked += 1
            if there and "{id}" in path and mode is GenerationMode.POSITIVE:
                case.path_parameters["id"] = purchase_id  # which nobody comes to by chance
            case.call_and_validate(base_url=service.url, session=session, headers=authorized, checks=CHECKED)

        ask()

    assert asked >= CASES or operation not in TAKING
    assert service.is_well()


def _a_purchase(service: Service) -> str:
    """The id of a purchase that the merchant has."""
    wanted = {"pack": "small", "return_url": "https://shop.example/"}
    answer = requests.post(f"{service.url}/api/billing/purchases", json=wanted, headers=headers("known"), timeout=60)
    return str(answer.json()["id"])
