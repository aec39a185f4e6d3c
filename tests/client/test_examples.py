"""What the page about the client, its README and its docstrings show is what happens, on a real service."""

import ast
import doctest
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from tests.client.conftest import Service, token
from tests.documents.pages import Claim

import billing_client
from billing_client import AsyncBillingClient, BillingClient, conversation

CLAIMS = (
    Claim(page="docs/client.md", languages=("python",)),
    Claim(page="packages/billing-client/README.md", languages=("python",)),
)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.page)
async def test_every_block_runs(service: Service, merchant_id: str, claim: Claim) -> None:
    """From the top of the page to its end, in one namespace, as whoever reads it would type it."""
    names: dict[str, Any] = {"BILLING_URL": service.url, "token": token(merchant_id)}

    blocks = claim.blocks()

    assert blocks
    for block in blocks:
        code = compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if (pending := eval(code, names)) is not None:  # noqa: S307 - our own page; a coroutine where it awaits
            await pending


def documented() -> Iterator[tuple[str, Any]]:
    """Everything of the clients that has a docstring, in the order in which it stands there."""
    for kind in (BillingClient, AsyncBillingClient):
        yield kind.__name__, kind
        for name, member in vars(kind).items():
            if inspect.isfunction(member) and not name.startswith("_"):
                yield f"{kind.__name__}.{name}", member
    yield "Retries", conversation.Retries


def test_every_docstring_tells_the_truth(service: Service, merchant_id: str) -> None:
    """Their examples, one after the other, as one merchant; each method of the sync client has one."""
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    names: dict[str, Any] = {**vars(billing_client), "BILLING_URL": service.url, "token": token(merchant_id)}
    shown = set()
    with BillingClient(service.url, token=token(merchant_id), platform="sandbox") as billing:
        names["billing"] = billing
        for name, member in documented():
            for examples in finder.find(member, name, globs={}):
                # What one method's example makes, the next one's asks for; a class's example is by itself.
                examples.globs = dict(names) if inspect.isclass(member) else names
                shown |= {name} if examples.examples else set()
                runner.run(examples, clear_globs=False)

    assert runner.summarize(verbose=False).failed == 0
    methods = {name for name, _ in documented() if name.startswith("BillingClient.")}
    assert methods - shown == {"BillingClient.close"}
    assert shown - methods == {"BillingClient", "AsyncBillingClient", "Retries"}
