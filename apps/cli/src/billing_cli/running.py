"""Running what a command does: async to its end, and every refusal as one sentence with its code."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import typer

from billing_cli.terminal import say

INTERRUPTED = 130
T = TypeVar("T")


def run(act: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """This will run an async act to its end and return its result (Typer itself would never run it).

    Raises `typer.Exit` 1 where it is refused or fails, after saying why on stderr.
    """
    with refusals():
        return asyncio.run(act())


@contextmanager
def refusals() -> Iterator[None]:
    """This will turn what goes wrong in its block into one sentence on stderr and exit code 1; Ctrl-C into 130."""
    from billing_adapters.embedded import EmbeddedServersError
    from billing_core.errors import BillingError, PlatformError

    try:
        yield
    except PlatformError as trouble:
        from billing_cli.platform_trouble import sentence

        say(sentence(trouble))
        raise typer.Exit(1) from None
    except BillingError as refusal:
        say(f"{refusal.code}: {refusal}")
        raise typer.Exit(1) from None
    except EmbeddedServersError as trouble:
        say(f"EMBEDDED_SERVERS: {trouble}")
        raise typer.Exit(1) from None
    except (typer.Exit, typer.BadParameter, typer.Abort):
        raise
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise typer.Exit(0) from None
    except Exception as fault:
        if os.environ.get("BILLING_LOG_LEVEL") == "debug":
            raise
        say(f"UNEXPECTED: {type(fault).__name__}: {fault} (BILLING_LOG_LEVEL=debug shows where)")
        raise typer.Exit(1) from None
