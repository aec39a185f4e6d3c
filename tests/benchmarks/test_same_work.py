"""The floors and the first builds do the work ours does: the same rows with the same columns, and the same documents.

What cannot be the same, ids and moments, is replaced by its kind; everything else is compared as it is.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
import redis.asyncio
from benchmarks.http_service import Service
from benchmarks.load import LOOPBACK
from benchmarks.merchants import add_merchants
from benchmarks.stage import Stage, Theatre, open_theatre
from benchmarks.workloads.http import PACKS, PAGE

from benchmarks import http_service

CONTESTANTS = {
    "ours": http_service.ours,
    "floor": http_service.floor,
    "first build": http_service.first_build,
}
HEADERS = ("location", "idempotency-replayed", "content-type")
KINDS = {
    "<uuid>": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "<moment>": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)",
    "<merchant>": r"merchant-[0-9a-f]{12}-\d+",
    "<reference>": r"sbx_[0-9a-f]{32,48}|CP-[0-9A-F]{20}",
    "<hash>": r"\b[0-9a-f]{64}\b",
    "<trace>": r"00-[0-9a-f]{32}-[0-9a-f]{16}-00",
    "<cursor>": r"\b[A-Za-z0-9_-]{22}\b",
    "<place>": rf"http://{LOOPBACK}:\d+",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a service did for one merchant, with every id and moment replaced by its kind."""

    rows: Mapping[str, Any]
    remembered: int
    answers: Mapping[str, Any]


@pytest.mark.parametrize("other", ["floor", "first build"])
class TestSameWork:
    """Each contestant is compared with ours."""

    async def test_the_same_rows_and_answers_come_of_the_same_requests(self, tmp_path: Path, other: str) -> None:
        """Two purchases, a replay and readings leave the same rows in every table and entries in Redis, and are
        answered alike."""
        async with open_theatre(tmp_path, quick=True) as theatre:
            ours, theirs = await _work(theatre, "ours"), await _work(theatre, other)

        assert theirs.rows == ours.rows
        assert theirs.answers == ours.answers
        assert theirs.remembered == ours.remembered


async def _work(theatre: Theatre, name: str) -> Work:
    async with theatre.stage(name) as stage, CONTESTANTS[name](stage) as service:
        (new,) = await add_merchants(stage, 1)
        (old,) = await add_merchants(stage, 1, purchases=60, trials=True)
        answers = {
            **{f"create {pack}": _raw(service, service.purchase(new, pack, f"key-of-{pack}")) for pack in PACKS[:2]},
            "replay": _raw(service, service.purchase(new, "small", "key-of-small")),
            "overview of a buyer": _raw(service, service.get("/api/billing", new)),
            "overview": _raw(service, service.get("/api/billing", old)),
            "page": _raw(service, service.get(PAGE, old)),
            "short page": _raw(service, service.get(PAGE, new)),
        }
        told = {what: await answer for what, answer in answers.items()}
        return Work(rows=await _rows(stage, new), remembered=await _remembered(stage), answers=told)


async def _raw(service: Service, request: bytes) -> Any:
    """This will send a ready-made request with a client, and give what matters of the answer."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, target, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    async with httpx2.AsyncClient(base_url=f"http://{LOOPBACK}:{service.port}") as client:
        answer = await client.request(method, target, headers=headers, content=body)
    heads = {name: answer.headers.get(name) for name in HEADERS}
    return _alike({"status": answer.status_code, "heads": heads, "document": answer.json()})


async def _rows(stage: Stage, merchant_id: str) -> Mapping[str, Any]:
    connection = await asyncpg.connect(stage.urls.postgres)
    try:
        tables = await connection.fetch(
            "select table_name from information_schema.columns"
            " where table_schema = 'public' and column_name = 'merchant_id'"
        )
        written = {}
        for (table,) in tables:
            rows = await connection.fetch(
                f"select to_jsonb(t) as row from {table} t where merchant_id = $1 order by t::text",  # noqa: S608
                merchant_id,
            )
            written[table] = sorted(json.dumps(_alike(json.loads(row["row"])), sort_keys=True) for row in rows)
        return written
    finally:
        await connection.close()


async def _remembered(stage: Stage) -> int:
    async with redis.asyncio.from_url(str(stage.urls.redis)) as client:
        return int(await client.dbsize())


def _alike(value: Any) -> Any:
    """The value with every id and moment replaced by its kind, and every document inside it read."""
    if isinstance(value, dict):
        return {name: _alike(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_alike(each) for each in value]
    if not isinstance(value, str):
        return value
    if value.startswith("\\x"):  # bytes
        return _alike(json.loads(bytes.fromhex(value[2:])))
    if offer := re.fullmatch(r"(.*\?offer=)[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+", value):
        payload = json.loads(base64.urlsafe_b64decode(offer[2] + "=="))
        return [_alike(offer[1]), _alike(payload)]
    for kind, pattern in KINDS.items():
        value = re.sub(pattern, kind, value)
    return value
