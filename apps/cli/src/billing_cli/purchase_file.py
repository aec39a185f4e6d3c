"""Purchases as files: one row each, the same columns in every format."""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

from billing_cli.errors import ExtraMissing
from billing_cli.whole_file import appearing_whole
from billing_core.domain.events import rfc3339
from billing_core.domain.purchases import Purchase
from billing_core.ports.reports import StoredPurchase

Write: TypeAlias = Callable[[Sequence[StoredPurchase]], None]
Kind = Literal["text", "int", "bool", "moment"]

ROW_GROUP = 50_000  # rows that a reader of Parquet takes at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its name, what it holds, and where that stands in a purchase."""

    name: str
    kind: Kind
    of: Callable[[Purchase], Any]


def _text(name: str, of: Callable[[Purchase], str | None]) -> Column:
    return Column(name=name, kind="text", of=of)


def _int(name: str, of: Callable[[Purchase], int | None]) -> Column:
    return Column(name=name, kind="int", of=of)


def _bool(name: str, of: Callable[[Purchase], bool]) -> Column:
    return Column(name=name, kind="bool", of=of)


def _moment(name: str, of: Callable[[Purchase], datetime | None]) -> Column:
    return Column(name=name, kind="moment", of=of)


COLUMNS = (
    _text("id", lambda each: str(each.purchase_id)),
    _text("merchant_id", lambda each: each.merchant_id),
    _text("platform", lambda each: each.platform),
    _text("platform_account_id", lambda each: each.platform_account_id),
    _text("platform_reference", lambda each: each.platform_reference),
    _text("reference", lambda each: each.short_reference),
    _text("pack", lambda each: each.offer.pack),
    _text("catalog_version", lambda each: each.offer.catalog_version),
    _int("credits", lambda each: each.offer.credits),
    _int("bonus_credits", lambda each: each.offer.bonus_credits),
    _int("amount_minor", lambda each: each.offer.price.amount_minor),
    _text("currency", lambda each: each.offer.price.currency),
    _text("amount", lambda each: each.offer.price.amount),
    _text("status", lambda each: each.status.value),
    _bool("test", lambda each: each.test),
    _bool("late", lambda each: each.late),
    _bool("needs_review", lambda each: each.needs_review),
    _text("review_reason", lambda each: each.review.reason),
    _int("paid_minor", lambda each: each.paid_minor),
    _int("refunded_minor", lambda each: each.refunded_minor),
    _text("dispute", lambda each: each.dispute.value),
    _int("credits_reversed", lambda each: each.credits_reversed),
    _moment("created_at", lambda each: each.created_at),
    _moment("expires_at", lambda each: each.expires_at),
    _moment("completed_at", lambda each: each.completed_at),
    _moment("ended_at", lambda each: each.ended_at),
)
NAMES = (*(column.name for column in COLUMNS), "archived")


def must_be_writable(format_: str) -> None:
    """This will check that the format can be written here. Raises ExtraMissing."""
    if format_ == "parquet" and find_spec("pyarrow") is None:
        raise ExtraMissing("Parquet", "pyarrow", "parquet")


@contextmanager
def open_file(format_: str, out: Path | None) -> Iterator[Write]:
    """This will give a function that writes purchases into the file (None: stdout). A file is there when the block
    ends without trouble, whole; until then what was there before stays. Raises CannotWrite."""
    if out is None:
        with FORMATS[format_](sys.stdout) as write:
            yield write
        return
    with appearing_whole(out, binary=format_ == "parquet") as file, FORMATS[format_](file) as write:
        yield write


@contextmanager
def _csv(file: IO[Any]) -> Iterator[Write]:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(NAMES)

    def write(purchases: Sequence[StoredPurchase]) -> None:
        writer.writerows([_for_csv(value) for value in _values(each)] for each in purchases)

    yield write


@contextmanager
def _json_lines(file: IO[Any]) -> Iterator[Write]:
    def write(purchases: Sequence[StoredPurchase]) -> None:
        for each in purchases:
            row = dict(zip(NAMES, map(_for_json, _values(each)), strict=True))
            file.write(json.dumps(row, ensure_ascii=False) + "\n")

    yield write


@contextmanager
def _parquet(file: IO[Any]) -> Iterator[Write]:
    import pyarrow as pa
    from pyarrow import parquet

    types = {"text": pa.string(), "int": pa.int64(), "bool": pa.bool_(), "moment": pa.timestamp("us", tz="UTC")}
    kinds: Sequence[Kind] = (*(column.kind for column in COLUMNS), "bool")
    schema = pa.schema([(name, types[kind]) for name, kind in zip(NAMES, kinds, strict=True)])
    waiting: list[Any] = []
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_batches(waiting, schema))
            waiting.clear()

        def write(purchases: Sequence[StoredPurchase]) -> None:
            columns = zip(*map(_values, purchases), strict=True)
            arrays = [pa.array(values, type=field.type) for values, field in zip(columns, schema, strict=True)]
            waiting.append(pa.record_batch(arrays, schema=schema))
            if sum(batch.num_rows for batch in waiting) >= ROW_GROUP:
                flush()

        yield write
        if waiting:
            flush()


FORMATS: dict[str, Callable[[IO[Any]], AbstractContextManager[Write]]] = {
    "csv": _csv,
    "jsonl": _json_lines,
    "parquet": _parquet,
}


def _values(stored: StoredPurchase) -> Sequence[Any]:
    """The purchase in the order of NAMES."""
    return (*(column.of(stored.purchase) for column in COLUMNS), stored.archived)


def _for_csv(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else _for_json(value)


def _for_json(value: Any) -> Any:
    return rfc3339(value) if isinstance(value, datetime) else value
