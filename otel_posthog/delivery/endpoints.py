"""PostHog's capture endpoints: path, limits, headers and request body of each, and which one is used.

Limits and headers read from PostHog's capture service and documentation, November 2026.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import orjson

from otel_posthog._version import __version__
from otel_posthog.delivery.batches import Encoded

BODY_LIMIT = 20 * 1024 * 1024  # bytes, decompressed: 413 for the request
EVENT_LIMIT = 983_040  # bytes of one event on the analytics endpoints: 413 for the whole request on v0
AI_EVENT_LIMIT = 8 * 1024 * 1024  # bytes of one event on the AI endpoints
ENVELOPE = 1024  # bytes kept free for what stands around the events

RECHECK = 3600.0  # seconds until an endpoint that was not served is tried again


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``version`` is that of the contract: 0 answers for the whole request, 1 for each event."""

    name: str
    path: str
    version: int
    max_event_bytes: int
    max_events: int | None = None

    def body(
        self, api_key: str, events: Sequence[Encoded], created_at: str, sent_at: str, historical: bool = False
    ) -> bytes:
        """A request body; the times are RFC 3339 in UTC. ``historical`` marks a batch as a migration of old events."""
        head: dict[str, str | bool] = (
            {"created_at": created_at} if self.version else {"api_key": api_key, "sent_at": sent_at}
        )
        if self.max_events == 1:
            (event,) = events
            return orjson.dumps(head)[:-1] + b"," + event.body[1:]
        if historical:
            head["historical_migration"] = True
        return b"".join((orjson.dumps(head)[:-1], b',"batch":[', b",".join(event.body for event in events), b"]}"))

    def headers(self, api_key: str, attempt: int, request_id: str, sent_at: str) -> dict[str, str]:
        """The headers; ``attempt`` counts from 1, and ``request_id`` stays the same over all of them."""
        headers = {"Content-Type": "application/json", "User-Agent": f"otel-posthog/{__version__}"}
        if self.version == 1:
            headers |= {
                "Authorization": f"Bearer {api_key}",
                "PostHog-Sdk-Info": f"otel-posthog/{__version__}",
                "PostHog-Attempt": str(attempt),
                "PostHog-Request-Id": request_id,
                "PostHog-Request-Timestamp": sent_at,
            }
        return headers


_AI = Endpoint("ai", "/i/v0/ai/batch/", 0, AI_EVENT_LIMIT)
_BATCH = Endpoint("batch", "/batch/", 0, EVENT_LIMIT)
_EVENT = Endpoint("event", "/i/v0/e/", 0, EVENT_LIMIT - ENVELOPE, max_events=1)  # key and time are in the event
_V1_AI = Endpoint("v1", "/i/v1/ai/events", 1, AI_EVENT_LIMIT)
_V1 = Endpoint("v1-analytics", "/i/v1/analytics/events", 1, EVENT_LIMIT)

# By setting: the endpoints in the order in which they are tried.
CHAINS = {
    "auto": (_AI, _BATCH),
    "ai": (_AI,),
    "batch": (_BATCH,),
    "v1": (_V1_AI, _V1),
    "event": (_EVENT,),
}


class Route:
    """The endpoint in use: the first of its chain that the host serves.

    A host that does not serve one answers 404 or 405. That is remembered for :data:`RECHECK` seconds.
    """

    def __init__(self, setting: str) -> None:
        self._chain = CHAINS[setting]
        self._lock = threading.RLock()
        self._place = 0
        self._since = 0.0

    def current(self) -> Endpoint:
        """The endpoint to send to now."""
        with self._lock:
            if self._place and time.monotonic() - self._since > RECHECK:
                self._place = 0
            return self._chain[self._place]

    def next_after(self, endpoint: Endpoint) -> Endpoint | None:
        """What to use where ``endpoint`` is not served; ``None`` if there is nothing else."""
        with self._lock:
            place = self._chain.index(endpoint) + 1
            if place == len(self._chain):
                return None
            if place > self._place:
                self._place, self._since = place, time.monotonic()
            return self._chain[place]

    def after_fork(self) -> None:
        """In a child: no lock that was held when it was forked."""
        self._lock = threading.RLock()


def utc_now() -> str:
    """RFC 3339 with milliseconds and ``Z``."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
