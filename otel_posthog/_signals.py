"""SIGTERM: spans of the last seconds are delivered before the process ends.

Python runs no ``atexit`` function when a signal ends the process, and servers that handle SIGTERM gracefully (uvicorn,
hypercorn) end by raising it again once they have stopped.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_LONGEST = 5.0  # seconds that a flush may delay the end of the process


def install(flush: Callable[[float], object], hurry: Callable[[], object]) -> bool:
    """Install a handler for SIGTERM that chains to the one that was there; ``False`` where that is not possible.

    Where the default would end the process, ``flush(seconds)`` runs before. Where the app or a server handles the
    signal, ``hurry`` runs: the process is about to end, and events should leave as they come.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    previous = signal.getsignal(signal.SIGTERM)
    if previous is None or previous == signal.SIG_IGN:  # a handler that Python cannot chain to, or none is wanted
        return False

    def handle(number: int, frame: FrameType | None) -> Any:
        if callable(previous):
            hurry()
            return previous(number, frame)
        flush(_LONGEST)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return None

    signal.signal(signal.SIGTERM, handle)
    return True
