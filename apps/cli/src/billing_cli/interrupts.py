"""Being asked to end: SIGTERM and a closed terminal mean what Ctrl-C means."""

import signal
from types import FrameType


class Interrupts:
    """Makes every request to end arrive as `KeyboardInterrupt`, and remembers that one came."""

    def __init__(self) -> None:
        """This will take over SIGTERM and SIGHUP; call it on the main thread."""
        # An exception raised by a signal can get lost, inside a weak reference's callback say; this cannot.
        self.asked_to_end = False
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._as_ctrl_c)

    def _as_ctrl_c(self, _number: int, _frame: FrameType | None) -> None:
        self.asked_to_end = True
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so shells start what runs in the background
            raise KeyboardInterrupt
        # Through SIGINT's own handler: while asyncio runs it cancels the main task, which is orderly.
        signal.raise_signal(signal.SIGINT)
