"""The ledger: accepted = delivered + dropped (each with a reason) + pending, always."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

logger = logging.getLogger("otel_posthog")

_REPEAT_AFTER = 60.0  # seconds between two warnings of the same kind


@dataclass(frozen=True, slots=True)
class Stats:
    """A snapshot of the counters.

    ``accepted``, ``delivered``, ``pending`` and the values of ``dropped`` (by reason) count events;
    ``requests`` counts answers by status (``"200"``, or the reason where none came), ``bytes_sent`` the request
    bodies on the wire, ``retries`` repeated requests. ``spooled`` and ``spool_bytes`` are what of the pending events
    is on disk, ``queued`` the spans that have ended and are not events yet.
    """

    accepted: int = 0
    delivered: int = 0
    pending: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)
    retries: int = 0
    bytes_sent: int = 0
    spooled: int = 0
    spool_bytes: int = 0
    queued: int = 0


OnDrop = Callable[[str, str, str], object]
OnRequest = Callable[[str, float], object]


class Ledger:
    """Thread-safe counters, and the rate-limited log that goes with them.

    ``on_drop`` is called with event name, uuid and reason of each event that is lost, ``on_request`` with the answer
    and the seconds of each request.
    """

    def __init__(self, on_drop: OnDrop | None = None, on_request: OnRequest | None = None) -> None:
        self._on_drop = on_drop
        self.on_request = on_request
        self.after_fork()

    def after_fork(self) -> None:
        """In a child: its own counters, and no lock that was held when it was forked."""
        self._lock = threading.RLock()  # a signal handler may come in between
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

    def record_drop(
        self, reason: str, count: int, detail: str | None = None, events: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Events that are lost, and why; logged once a minute for each reason, unless there is no ``detail``.

        ``events`` are their names and uuids, where they are known.
        """
        with self._lock:
            self._dropped[reason] += count
        if self._on_drop is not None:
            for name, uuid in events:
                try:
                    self._on_drop(name, uuid, reason)
                except Exception as error:
                    self.warn("on_drop", f"on_drop raised {type(error).__name__}")
        if detail is None:
            return
        noun = "event" if count == 1 else "events"
        self.warn(f"dropped:{reason}", f"{count} {noun} not sent to PostHog: {detail}")

    def request(self, status: str, size: int, retry: bool, seconds: float = 0.0) -> None:
        """A request that was sent: its answer, the size of its body in bytes, whether it repeats an earlier one, and
        how long it took."""
        with self._lock:
            self._requests[status] += 1
            self._bytes += size
            self._retries += retry
        if self.on_request is not None:
            self.on_request(status, seconds)

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
