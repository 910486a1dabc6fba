"""How much goes into one request, and how a request that failed is divided."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from otel_posthog.delivery.outbox import Item, take

# Bytes: requests are never planned smaller, however often a host refuses or a link stalls.
SMALLEST_BODY = 64 * 1024
_TOO_SLOW = 10.0  # seconds that a request may take before the next are smaller
_TARGET = 5.0  # seconds that the smaller ones should take
_FAST = 2.5  # seconds in which requests must be answered for the next to be larger
_FAST_REQUESTS = 8  # how many of these in a row
# Requests that may be spent on finding the events that PostHog refuses in one batch.
_MAX_PARTS = 256


class BodySize:
    """The size of requests in bytes, uncompressed: at most ``limit``, less where the host or the link takes less."""

    def __init__(self, limit: int) -> None:
        self._ceiling = self.bytes = limit
        self._fast = 0  # full requests in a row that were answered fast

    def refused(self, size: int) -> bool:
        """The host answered 413 to a request of ``size``, as a proxy on the way may. Whether smaller ones can help."""
        self._ceiling = min(self._ceiling, max(SMALLEST_BODY, size // 2))
        self.bytes = min(self.bytes, self._ceiling)
        return size > self.bytes

    def answered(self, size: int, seconds: float) -> None:
        """An answer came after ``seconds``."""
        if seconds > _TOO_SLOW:
            self._reduce_to(int(size * _TARGET / seconds))
        elif seconds < _FAST and size > self.bytes // 2:
            self._fast += 1
            if self._fast >= _FAST_REQUESTS:
                self._fast = 0
                self.bytes = min(self._ceiling, self.bytes * 2)

    def timed_out(self, size: int) -> None:
        """No answer came in time."""
        self._reduce_to(size // 2)

    def _reduce_to(self, size: int) -> None:
        self._fast = 0
        self.bytes = min(self.bytes, max(SMALLEST_BODY, size))


@dataclass(slots=True)
class Search:
    """Shared by a batch and its parts."""

    requests_left: int = _MAX_PARTS


@dataclass(slots=True, eq=False)
class Batch:
    """The events of one request, over all its attempts.

    ``not_before`` and ``asked_until`` (the server's ``Retry-After``) are moments of the monotonic clock.
    ``successes`` counts the sender's requests that had succeeded when this batch first failed.
    """

    items: list[Item]
    created_at: str
    search: Search = field(default_factory=Search)
    depth: int = 0  # of the parts without any sign that the host is well
    request_id: str = field(default_factory=lambda: str(uuid4()))
    attempt: int = 1
    not_before: float = 0.0
    asked_until: float = 0.0
    successes: int | None = None

    @property
    def size(self) -> int:
        """Bytes of the events."""
        return sum(item.size + 1 for item in self.items)

    def halves(self) -> list[Batch]:
        """Two batches of half the events each, if more requests may be spent on them."""
        middle = len(self.items) // 2
        return self._parts([self.items[:middle], self.items[middle:]]) if middle else []

    def of_size(self, max_events: int, max_bytes: int) -> list[Batch]:
        """Batches of at most so many bytes each."""
        queue, parts = deque(self.items), []
        while queue:
            parts.append(take(queue, max_events, max_bytes))
        return self._parts(parts, cost=0)

    def _parts(self, parts: Sequence[list[Item]], cost: int = 1) -> list[Batch]:
        if cost * len(parts) > self.search.requests_left:
            return []
        self.search.requests_left -= cost * len(parts)
        return [
            Batch(
                items,
                self.created_at,
                self.search,
                self.depth + 1,
                not_before=self.not_before,
                asked_until=self.asked_until,
                successes=self.successes,
            )
            for items in parts
        ]
