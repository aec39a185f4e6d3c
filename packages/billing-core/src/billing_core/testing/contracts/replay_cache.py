"""The contract of the fast path for repeated requests."""

import asyncio
from dataclasses import replace

from billing_core.domain.idempotency import Answer
from billing_core.ports.idempotency import RememberedAnswer, ReplayCache
from billing_core.testing.builders import a_request_key


class ReplayCacheContract:
    """Every promise of `ReplayCache`. Give the fixture `replay_cache`, in working order."""

    async def test_an_answer_comes_back_as_it_was_put(self, replay_cache: ReplayCache) -> None:
        """Outcome, document and fingerprint, byte for byte."""
        key = a_request_key("m:1")
        remembered = _remembered(b'{"\xc3\xa9": "\\u0000"}\x00\xff')

        await replay_cache.put(key, remembered)

        assert await replay_cache.get(key) == remembered

    async def test_an_unknown_key_is_none(self, replay_cache: ReplayCache) -> None:
        """Nothing was remembered, so nothing is told."""
        assert await replay_cache.get(a_request_key("merchant-1")) is None

    async def test_a_key_counts_within_its_merchant_and_route(self, replay_cache: ReplayCache) -> None:
        """However the parts are cut, no two keys are mistaken for each other."""
        key = a_request_key("m:1", route="POST /a", key="b:c")
        await replay_cache.put(key, _remembered())

        others = [
            replace(key, merchant_id="m"),
            replace(key, merchant_id="m", key="1:b:c"),
            replace(key, route="POST /a:b", key="c"),
            replace(key, merchant_id="m:1:POST /a", route="b", key="c"),
            replace(key, key="B:C"),
        ]

        assert [await replay_cache.get(other) for other in others] == [None] * len(others)

    async def test_the_last_answer_put_is_the_one_remembered(self, replay_cache: ReplayCache) -> None:
        """Putting again replaces."""
        key = a_request_key("merchant-1")
        await replay_cache.put(key, _remembered(b"1"))

        await replay_cache.put(key, _remembered(b"2"))

        assert await replay_cache.get(key) == _remembered(b"2")

    async def test_what_is_forgotten_is_gone_and_nothing_else(self, replay_cache: ReplayCache) -> None:
        """Forgetting names the keys; one that was never put is no error."""
        gone, kept, never = (a_request_key(f"merchant-{number}") for number in range(3))
        await replay_cache.put(gone, _remembered())
        await replay_cache.put(kept, _remembered())

        await replay_cache.forget([gone, never])
        await replay_cache.forget([])

        assert [await replay_cache.get(key) for key in (gone, kept)] == [None, _remembered()]

    async def test_any_visible_ascii_key_of_full_length_is_remembered(self, replay_cache: ReplayCache) -> None:
        """Keys are 1-255 visible ASCII characters, whatever the store uses as separators."""
        visible = "".join(chr(code) for code in range(0x21, 0x7F))
        key = a_request_key("merchant-1", key=(visible * 3)[:255])

        await replay_cache.put(key, _remembered())

        assert await replay_cache.get(key) == _remembered()

    async def test_many_at_once_do_not_mix(self, replay_cache: ReplayCache) -> None:
        """Each request finds its own answer."""
        keys = [a_request_key(f"merchant-{number}") for number in range(64)]
        answers = [_remembered(str(number).encode()) for number in range(64)]

        await asyncio.gather(*(replay_cache.put(key, answer) for key, answer in zip(keys, answers, strict=True)))
        read = await asyncio.gather(*(replay_cache.get(key) for key in keys))

        assert list(read) == answers


def _remembered(document: bytes = b"{}") -> RememberedAnswer:
    return RememberedAnswer(fingerprint="f" * 64, answer=Answer(outcome="created", document=document))
