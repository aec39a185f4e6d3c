"""What Stripe's stand-in reads out of a form, and which parameters it refuses by which name."""

import json
from typing import Any

import pytest
import stripe
from tests.adapters.stand_ins.stripe_desk import KEY, NOW_S, Desk, line_item, params

from billing_adapters.stand_ins.stripe_form import UnreadableForm, read_form
from billing_adapters.stand_ins.stripe_params import session_schema

DAY_S = 24 * 3600


class TestForm:
    """Text in brackets becomes lists, objects, numbers and truths."""

    async def test_what_the_official_client_sends_is_read_back_as_it_was_told(self, desk: Desk) -> None:
        """Every type of parameter survives the form."""
        told = params(
            allow_promotion_codes=True,
            allowed_payment_method_types=["card"],
            custom_text={"submit": {"message": "1 & 2 = 3 [ü] true"}},
            metadata={"number": "12", "truth": "true"},
        )
        await desk.client.v1.checkout.sessions.create_async(told)

        [call] = desk.stripe.calls

        assert call.params == told
        assert call.headers["Authorization"] == "Bearer sk_test_sample"

    @pytest.mark.parametrize(
        ("form", "read"),
        [
            ("expires_at=12", {"expires_at": 12}),
            ("expires_at=1.5&mode=", {"expires_at": "1.5", "mode": ""}),
            ("expand[]=a&expand[]=b", {"expand": ["a", "b"]}),
            ("expand[1]=b&expand[0]=a", {"expand": ["a", "b"]}),
            ("metadata[12]=34", {"metadata": {"12": "34"}}),
            ("unknown[a][b]=1", {"unknown": {"a": {"b": "1"}}}),
            ("custom_text[submit]=", {"custom_text": {"submit": ""}}),
        ],
    )
    def test_the_schema_decides_what_text_becomes(self, form: str, read: dict[str, Any]) -> None:
        """What cannot be what the schema asks for stays as it came."""
        assert read_form(form, session_schema()) == read

    @pytest.mark.parametrize("form", ["a=1&a[b]=2", "a[b]=2&a=1", "a[b=1", "[a]=1", "a]=1", "=1"])
    def test_keys_that_contradict_each_other_are_unreadable(self, form: str) -> None:
        """Nothing is guessed."""
        with pytest.raises(UnreadableForm):
            read_form(form, session_schema())

    async def test_an_unreadable_form_is_the_callers_mistake(self, desk: Desk) -> None:
        """400, naming the key."""
        answer = await desk.plain.post("/v1/checkout/sessions", content="a=1&a[b]=2")

        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "a[b]")


class TestNewSession:
    """What Stripe would not make."""

    @pytest.mark.parametrize(
        ("values", "param", "code"),
        [
            ({"mode": None}, "mode", "parameter_missing"),
            ({"mode": "barter"}, "mode", None),
            ({"mode": "subscription"}, "mode", None),
            ({"ui_mode": "elements"}, "ui_mode", None),
            ({"colour": "red"}, "colour", "parameter_unknown"),
            ({"line_items": []}, "line_items", "parameter_missing"),
            ({"line_items": [{"quantity": 1}]}, "line_items[0][price_data][currency]", "parameter_missing"),
            ({"line_items": [line_item() | {"quantity": 0}]}, "line_items[0][quantity]", None),
            ({"line_items": [line_item() | {"size": 1}]}, "line_items[0][size]", "parameter_unknown"),
            (
                {"line_items": [line_item(unit_amount="39.99")]},
                "line_items[0][price_data][unit_amount]",
                "parameter_invalid_integer",
            ),
            ({"line_items": [line_item(unit_amount=-1)]}, "line_items[0][price_data][unit_amount]", None),
            ({"line_items": [line_item(currency="us")]}, "line_items[0][price_data][currency]", None),
            (
                {"line_items": [line_item(product_data={})]},
                "line_items[0][price_data][product_data]",
                "parameter_missing",
            ),
            ({"line_items": [line_item(unit_amount=49)]}, "line_items", "amount_too_small"),
            ({"line_items": [line_item(unit_amount=100_000_000)]}, "line_items", "amount_too_large"),
            ({"line_items": [line_item(), line_item(currency="eur")]}, "line_items", None),
            ({"success_url": "shop.example"}, "success_url", "url_invalid"),
            ({"client_reference_id": "x" * 201}, "client_reference_id", None),
            ({"metadata": {str(number): "" for number in range(51)}}, "metadata", None),
            ({"metadata": {"k" * 41: ""}}, "metadata", None),
            ({"payment_intent_data": {"metadata": {"k": "v" * 501}}}, "payment_intent_data[metadata][k]", None),
        ],
    )
    async def test_parameters_are_refused_by_name(
        self, desk: Desk, values: dict[str, Any], param: str, code: str | None
    ) -> None:
        """400 `invalid_request_error` with `param`, and nothing is made."""
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await desk.create(**values)

        assert (refused.value.http_status, refused.value.param, refused.value.code) == (400, param, code)
        assert json.loads(str(refused.value.http_body))["error"]["type"] == "invalid_request_error"
        assert not desk.stripe.sessions

    @pytest.mark.parametrize("lifetime_s", [30 * 60, DAY_S])
    async def test_a_session_lives_between_half_an_hour_and_a_day(self, desk: Desk, lifetime_s: int) -> None:
        """Both ends are allowed."""
        made = await desk.create(expires_at=NOW_S + lifetime_s)

        assert made.expires_at == NOW_S + lifetime_s

    @pytest.mark.parametrize("lifetime_s", [-1, 30 * 60 - 1, DAY_S + 1])
    async def test_a_session_lives_neither_shorter_nor_longer(self, desk: Desk, lifetime_s: int) -> None:
        """A second beyond either end is refused."""
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await desk.create(expires_at=NOW_S + lifetime_s)

        assert refused.value.param == "expires_at"

    async def test_without_a_deadline_a_session_lives_a_day(self, desk: Desk) -> None:
        """Stripe's own default."""
        made = await desk.create(expires_at=None)

        assert made.expires_at == NOW_S + DAY_S

    async def test_a_replay_outlives_the_deadline_it_was_asked_with(self, desk: Desk) -> None:
        """The key's answer is given before its parameters are looked at again."""
        first = await desk.create(key=KEY, expires_at=NOW_S + 30 * 60)
        desk.clock.set(desk.clock.now().replace(hour=23))

        assert (await desk.create(key=KEY, expires_at=NOW_S + 30 * 60)).id == first.id


class TestLists:
    """What a list may be asked for."""

    @pytest.mark.parametrize(
        ("asked", "param"),
        [
            ({"limit": 0}, "limit"),
            ({"limit": 101}, "limit"),
            ({"created": {"since": 1}}, "created[since]"),
            ({"client_reference_id": KEY}, "client_reference_id"),
            ({"starting_after": "cs_test_unknown"}, "starting_after"),
        ],
    )
    async def test_what_no_list_knows_is_refused_by_name(self, desk: Desk, asked: Any, param: str) -> None:
        """So nobody believes in a filter that Stripe does not have."""
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await desk.client.v1.checkout.sessions.list_async(asked)

        assert refused.value.param == param
