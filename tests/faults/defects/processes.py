"""Seeded defects of whole processes: `python -m tests.faults.defects.processes` runs the app `CHAOS_APP` names, broken.

The chaos harness starts its processes through this module. Where `CHAOS_DEFECT` names one of `catalogue.REAL` or
`catalogue.WALLS`, the process is built wrong in that way before it begins. Nothing of the product knows of it.
"""

import os
import runpy
import signal

from tests.faults.defects.defect import build_wrong

from billing_adapters.embedded.processes import LIBC, LINUX, PR_SET_PDEATHSIG

APP = "CHAOS_APP"
DEFECT = "CHAOS_DEFECT"


def main() -> None:
    """This will run the app named by the environment as `python -m` would, broken where that is asked for."""
    end_with_parent()
    break_as_told()
    runpy.run_module(os.environ[APP], run_name="__main__", alter_sys=True)


def break_as_told() -> None:
    """This will build this process wrong in the way the environment names, if it names one."""
    if not (name := os.environ.get(DEFECT)):
        return
    from tests.faults.defects.catalogue import DEFECTS  # it imports whatever is broken, which costs each process time

    broken = DEFECTS[name].real or DEFECTS[name].wall
    assert broken is not None
    build_wrong(broken)


def end_with_parent() -> None:
    """This will have the kernel (Linux only) kill this process when its parent dies, even while it is stopped."""
    if LINUX:
        LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))


if __name__ == "__main__":
    main()
