"""How often a process that lives long looks for garbage."""

import gc
from typing import Final

LOOKED_FOR_EVERY: Final = 50_000


def collect_garbage_seldom() -> None:
    """This will leave what was loaded to start with alone, for it stays, and look through what is new seldom: what a
    batch or a request makes is small values without rings, gone with it. Looking through them every 700 took a tenth
    of a process's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(LOOKED_FOR_EVERY)
