"""Shopify's connections: a list read page by page, forwards or backwards, by cursor."""

import base64
from collections.abc import Sequence
from typing import Any

from graphql import GraphQLError

Node = dict[str, Any]


def page_of(
    nodes: Sequence[Node],
    *,
    largest: int,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
) -> Node:
    """The asked page of `nodes` as a connection: `edges`, `nodes`, `pageInfo`. Raises GraphQLError for a bad page."""
    size = _size(first, last, largest)
    cursors = [_cursor(node) for node in nodes]
    start = cursors.index(_known(after, cursors)) + 1 if after is not None else 0
    end = cursors.index(_known(before, cursors)) if before is not None else len(nodes)
    if first is not None:
        end = min(end, start + size)
    else:
        start = max(start, end - size)
    return _connection(nodes, cursors, start, max(start, end))


def _connection(nodes: Sequence[Node], cursors: Sequence[str], start: int, end: int) -> Node:
    shown, marks = nodes[start:end], cursors[start:end]
    return {
        "edges": [{"cursor": mark, "node": node} for mark, node in zip(marks, shown, strict=True)],
        "nodes": shown,
        "pageInfo": {
            "hasNextPage": end < len(nodes),
            "hasPreviousPage": start > 0,
            "startCursor": marks[0] if marks else None,
            "endCursor": marks[-1] if marks else None,
        },
    }


def _size(first: int | None, last: int | None, largest: int) -> int:
    if (first is None) == (last is None):
        raise GraphQLError("you must provide one of first or last")
    size = first if first is not None else last
    if size is None or not 0 < size <= largest:
        raise GraphQLError(f"a page has from 1 to {largest} elements")
    return size


def _cursor(node: Node) -> str:
    return base64.urlsafe_b64encode(node["id"].encode()).decode()


def _known(cursor: str, cursors: Sequence[str]) -> str:
    if cursor not in cursors:
        raise GraphQLError(f"'{cursor}' is not a valid cursor")
    return cursor
