"""Stand-ins run by hand: their control API, and the process."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from tests.adapters.stand_ins.shopify_app import LOOK_UP, App

from billing_adapters.stand_ins.shopify import ShopifyStandIn

DEADLINE_S = 60


class TestControl:
    async def test_a_verb_does_what_the_method_does(self, shopify: ShopifyStandIn, app: App) -> None:
        """`approve` and `refund` with their arguments move the charge as the methods would."""
        reference = await app.charge()

        approved = await self._act(app, "approve", reference=reference)
        refunded = await self._act(app, "refund", reference=reference, amount_minor=100, kind="APP_SALE_CREDIT")

        assert (approved.status_code, refunded.status_code) == (200, 200)
        assert shopify.charges[reference].status == "ACTIVE"
        listed = (await app.ask_partner(types=["APP_SALE_CREDIT"])).json()["data"]["transactions"]["edges"]
        assert [edge["node"]["grossAmount"]["amount"] for edge in listed] == ["-1.0"]

    async def test_a_verb_gives_what_the_method_gives(self, shopify: ShopifyStandIn, app: App) -> None:
        """`notice` answers with the webhook's body."""
        reference = await app.charge()

        answer = await self._act(app, "notice", reference=reference)

        assert answer.json() == shopify.notice(reference)

    async def test_a_verb_needs_no_body_where_it_needs_no_arguments(self, shopify: ShopifyStandIn, app: App) -> None:
        """`revoke_tokens` takes an empty body."""
        token = await app.token()

        answer = await app.http.post("/_control/revoke_tokens")

        assert answer.status_code == 200
        assert (await app.ask(LOOK_UP, token=token, id="x")).status_code == 401

    @pytest.mark.parametrize(
        ("verb", "body", "status"),
        [
            ("open", {}, 404),
            ("__init__", {}, 404),
            ("pay", {"reference": "cs_1"}, 404),
            ("approve", {"reference": "gid://shopify/AppPurchaseOneTime/1"}, 404),
            ("approve", {}, 400),
            ("approve", {"reference": "x", "colour": "red"}, 400),
            ("approve", [], 400),
            ("faults", {"fault": "earthquake", "operation": "create"}, 400),
            ("faults", {"fault": "reset"}, 400),
            ("faults", {"fault": "reset", "operation": "create", "times": "often"}, 400),
        ],
    )
    async def test_what_cannot_be_done_is_refused(self, app: App, verb: str, body: object, status: int) -> None:
        """Another's verb, an unknown reference, and wrong arguments are refused with a reason."""
        answer = await app.http.post(f"/_control/{verb}", json=body)

        assert answer.status_code == status
        assert answer.text

    async def test_what_has_ended_stays_so(self, app: App) -> None:
        """A verb that comes too late is a conflict."""
        reference = await app.charge()
        await self._act(app, "decline", reference=reference)

        answer = await self._act(app, "approve", reference=reference)

        assert (answer.status_code, "DECLINED" in answer.json()["error"]) == (409, True)

    async def test_faults_are_planned(self, app: App) -> None:
        """A planned fault befalls as many calls as were asked for."""
        await self._act(app, "faults", fault="500", operation="look_up", times=2)

        answers = [await app.ask(LOOK_UP, id="x") for _ in range(3)]

        assert [answer.status_code for answer in answers] == [500, 500, 200]

    async def test_the_state_is_told(self, app: App) -> None:
        """`GET /_control` tells every charge and call."""
        reference = await app.charge("500 credits")

        state = (await app.http.get("/_control")).json()

        assert state["charges"][reference]["name"] == "500 credits"
        assert [call["operation"] for call in state["calls"]] == ["create"]

    @staticmethod
    async def _act(app: App, verb: str, **arguments: Any) -> httpx2.Response:
        return await app.http.post(f"/_control/{verb}", json=arguments)


class TestProcess:
    @pytest.mark.parametrize("platform", ["shopify", "stripe"])
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_it_serves_until_it_is_told_to_stop(self, platform: str, number: signal.Signals) -> None:
        """The process prints its base URL, answers there, and ends well on Ctrl-C and SIGTERM."""
        with running(platform, "--port", "0") as process:
            assert process.stdout is not None
            base_url = json.loads(process.stdout.readline())[platform]
            state = httpx2.get(f"{base_url}/_control", timeout=DEADLINE_S)
            process.send_signal(number)

            exit_code = process.wait(DEADLINE_S)

        assert (state.status_code, state.json()["calls"], exit_code) == (200, [], 0)

    async def test_a_taken_port_is_told(self, shopify: ShopifyStandIn) -> None:
        """A port that is in use ends the process with a sentence, not a traceback."""
        async with shopify.open() as base_url:
            port = str(httpx2.URL(base_url).port)

            with running("shopify", "--port", port) as process:
                _, complaint = process.communicate(timeout=DEADLINE_S)

        assert process.returncode == 1
        assert complaint.startswith(f"cannot listen on port {port}:")


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A stand-in's process, which never outlives the block."""
    command = [sys.executable, "-m", "billing_adapters.stand_ins", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
