"""`python -m billing_cli.child MODULE`: runs an app that ends with the command that started it.

Its standard input is a pipe nobody writes to. When the other end closes, however the starting process ended (SIGKILL
included), the app is asked to stop, and ended if it does not. This holds on Linux and macOS alike, and the apps need
not know of it.
"""

import os
import runpy
import signal
import sys
import threading
import time

STDIN = 0
STOP_GRACE_S = 5.0


def main() -> None:
    """This will run the module named on the command line as `python -m` would, on the leash."""
    threading.Thread(target=_end_with_parent, name="leash", daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    while os.read(STDIN, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_GRACE_S)
    os._exit(1)  # it did not stop in time; nobody is left who could insist


if __name__ == "__main__":
    main()
