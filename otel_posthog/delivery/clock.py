"""Time, waits and threads behind one interface, so that tests need neither waiting nor threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Protocol


class Clock(Protocol):
    """What delivery needs of the machine."""

    def monotonic(self) -> float:
        """Seconds that never jump; for waits and ages."""

    def time(self) -> float:
        """Unix time in seconds; it may be wrong or jump."""

    def wait(self, condition: threading.Condition, timeout: float | None) -> None:
        """Wait for a notification, for ``timeout`` seconds at most. The condition's lock is held."""

    def start(self, run: Callable[[], None]) -> threading.Thread | None:
        """Run a function on a daemon thread; ``None`` if no thread can be started."""


class SystemClock:
    """The machine's own."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()

    def wait(self, condition: threading.Condition, timeout: float | None) -> None:
        condition.wait(None if timeout is None else min(timeout, threading.TIMEOUT_MAX))

    def start(self, run: Callable[[], None]) -> threading.Thread | None:
        thread = threading.Thread(target=run, name="otel-posthog-sender", daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError):  # the interpreter shuts down, or the machine has no thread left
            return None
        return thread


def rfc3339(unix_time: float) -> str:
    """UTC with milliseconds and ``Z``; a time no calendar has becomes the epoch."""
    try:
        moment = datetime.fromtimestamp(unix_time, timezone.utc)
    except (ValueError, OverflowError, OSError):
        moment = datetime.fromtimestamp(0, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
