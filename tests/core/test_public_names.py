"""What importing the core costs others: next to nothing before a name is used, and pydantic alone then."""

import subprocess
import sys
from pathlib import Path

import pytest

import billing_core

# pydantic, and what it is made of.
PYDANTIC = {"annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"}
PROGRAM = """
import sys
before = set(sys.modules)
import billing_core
{use}
loaded = {{name.partition(".")[0] for name in set(sys.modules) - before}} - set(sys.stdlib_module_names)
print(*(name for name in loaded if not name.startswith("_sysconfigdata")))  # the standard library's, named by platform
"""


def loaded_by(use: str) -> set[str]:
    """The packages beside the standard library that a fresh process loads."""
    program = PROGRAM.format(use=use)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", billing_core.__all__)
def test_every_public_name_is_found(name: str) -> None:
    """And it is the one of the module that makes it."""
    found = getattr(billing_core, name)

    assert found.__name__ == name
    assert found.__module__.startswith("billing_core.")
    assert name in dir(billing_core)


def test_a_name_that_is_not_public_is_refused() -> None:
    """As in any module."""
    with pytest.raises(AttributeError, match="has no attribute 'Purchases'"):
        _ = billing_core.Purchases  # type: ignore[attr-defined]


def test_importing_the_core_loads_nothing_else() -> None:
    """Not even pydantic: that comes with the first name."""
    assert loaded_by("") == {"billing_core"}


def test_using_the_core_loads_pydantic_alone() -> None:
    """Every module but those of the test kit."""
    folder = Path(billing_core.__file__).parent
    files = [path.relative_to(folder.parent) for path in folder.rglob("*.py") if path.name != "__init__.py"]
    modules = [".".join(path.with_suffix("").parts) for path in files if "testing" not in path.parts]

    assert len(modules) > 30
    assert loaded_by("\n".join(f"import {module}" for module in modules)) == {"billing_core", *PYDANTIC}
