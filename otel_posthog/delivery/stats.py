"""The ledger: accepted = delivered + dropped (each with a reason) + pending, always."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

logger = logging.getLogger("otel_posthog")

_REPEAT_AFTER = 60.0  # seconds between two log records of the same kind


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

    Args:
        on_drop: called with event name, uuid and reason of each dropped event.
        on_request: called with the answer's status (or the reason for none) and the seconds of each request.
        monotonic: the clock by which log records are limited to one a minute for each kind.

    Both callbacks may raise, ``SystemExit`` included; that is logged.
    """

    def __init__(
        self,
        on_drop: OnDrop | None = None,
        on_request: OnRequest | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_drop, self._on_request, self._monotonic = on_drop, on_request, monotonic
        self._lock = threading.RLock()  # a signal handler may interrupt its holder
        self._accepted = self._delivered = self._retries = self._bytes = 0
        self._dropped: Counter[str] = Counter()
        self._requests: Counter[str] = Counter()
        self._logged: dict[str, float] = {}

    def accepted(self, count: int) -> None:
        """Count events handed over for delivery."""
        with self._lock:
            self._accepted += count

    def delivered(self, count: int) -> None:
        """Count events that PostHog accepted."""
        with self._lock:
            self._delivered += count

    def record_drop(
        self, reason: str, count: int, detail: str | None = None, events: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Count accepted events that will not be delivered; ``events`` are their names and uuids, where known.

        ``detail`` is logged once a minute for each reason; without it nothing is logged.
        """
        with self._lock:
            self._dropped[reason] += count
        if self._on_drop is not None:
            for name, uuid in events:
                try:
                    self._on_drop(name, uuid, reason)
                except (Exception, SystemExit) as error:
                    self.warn("on_drop", f"on_drop raised {type(error).__name__}")
        if detail is not None:
            noun = "event" if count == 1 else "events"
            self.warn(f"dropped:{reason}", f"{count} {noun} not sent to PostHog: {detail}")

    def request(self, status: str, size: int, retry: bool, seconds: float) -> None:
        """Count a request: its answer, the size of its body in bytes, whether it is a retry, its duration."""
        with self._lock:
            self._requests[status] += 1
            self._bytes += size
            self._retries += retry
        if self._on_request is not None:
            try:
                self._on_request(status, seconds)
            except (Exception, SystemExit) as error:
                self.warn("on_request", f"on_request raised {type(error).__name__}")

    def warn(self, kind: str, message: str, level: int = logging.WARNING) -> None:
        """Log, at most once a minute for each kind."""
        now = self._monotonic()
        with self._lock:
            last = self._logged.get(kind)
            if last is not None and now - last < _REPEAT_AFTER:
                return
            self._logged[kind] = now
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
