"""The ledger: accepted = delivered + dropped (each with a reason) + pending, always."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

logger = logging.getLogger("otel_posthog")

_REPEAT_AFTER = 60.0  # seconds between two warnings of the same kind


@dataclass(frozen=True, slots=True)
class Stats:
    """A snapshot of the counters.

    ``accepted``, ``delivered``, ``pending`` and the values of ``dropped`` (by reason) count events;
    ``requests`` counts answers by status (``"200"``, or the reason where none came), ``bytes_sent`` the request
    bodies on the wire, ``retries`` repeated requests.
    """

    accepted: int = 0
    delivered: int = 0
    pending: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)
    retries: int = 0
    bytes_sent: int = 0


class Ledger:
    """Thread-safe counters, and the rate-limited log that goes with them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accepted = self._delivered = self._retries = self._bytes = 0
        self._dropped: Counter[str] = Counter()
        self._requests: Counter[str] = Counter()
        self._warned: dict[str, float] = {}

    def accepted(self, count: int) -> None:
        """Events handed over for delivery."""
        with self._lock:
            self._accepted += count

    def delivered(self, count: int) -> None:
        """Events that PostHog has taken."""
        with self._lock:
            self._delivered += count

    def dropped(self, count: int, reason: str, detail: str | None) -> None:
        """Events that are lost, and why; logged once a minute for each reason, unless there is no ``detail``."""
        with self._lock:
            self._dropped[reason] += count
        if detail is None:
            return
        noun = "event" if count == 1 else "events"
        self.warn(f"dropped:{reason}", f"{count} {noun} not sent to PostHog: {detail}")

    def request(self, status: str, size: int, retry: bool) -> None:
        """A request that was sent: its answer, the size of its body in bytes, whether it repeats an earlier one."""
        with self._lock:
            self._requests[status] += 1
            self._bytes += size
            self._retries += retry

    def warn(self, kind: str, message: str, level: int = logging.WARNING) -> None:
        """Log, at most once a minute for each kind."""
        now = time.monotonic()
        with self._lock:
            last = self._warned.get(kind)
            if last is not None and now - last < _REPEAT_AFTER:
                return
            self._warned[kind] = now
        logger.log(level, "%s", message)

    def stats(self) -> Stats:
        """The counters as they are now."""
        with self._lock:
            dropped = dict(self._dropped)
            return Stats(
                accepted=self._accepted,
                delivered=self._delivered,
                pending=self._accepted - self._delivered - sum(dropped.values()),
                dropped=dropped,
                requests=dict(self._requests),
                retries=self._retries,
                bytes_sent=self._bytes,
            )
