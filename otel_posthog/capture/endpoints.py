"""PostHog's capture endpoints: path, limits and request body of each.

Limits read from PostHog's capture service and documentation, November 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from otel_posthog.capture.batches import Encoded

BODY_LIMIT = 20 * 1024 * 1024  # bytes, decompressed: 413 for the request
EVENT_LIMIT = 983_040  # bytes of one event on the v0 endpoints: 413 for the whole request
ENVELOPE = 1024  # bytes kept free for what stands around the events


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``body`` builds a request body from the API key, the events and ``sent_at`` (RFC 3339, UTC)."""

    name: str
    path: str
    max_event_bytes: int
    max_events: int | None
    body: Callable[[str, Sequence[Encoded], str], bytes]


def _batch_body(api_key: str, events: Sequence[Encoded], sent_at: str) -> bytes:
    head = orjson.dumps({"api_key": api_key, "sent_at": sent_at})[:-1]
    return b"".join((head, b',"batch":[', b",".join(event.body for event in events), b"]}"))


def _event_body(api_key: str, events: Sequence[Encoded], sent_at: str) -> bytes:
    (event,) = events
    head = orjson.dumps({"api_key": api_key, "sent_at": sent_at})[:-1]
    return head + b"," + event.body[1:]


ENDPOINTS = {
    "batch": Endpoint("batch", "/batch/", EVENT_LIMIT, None, _batch_body),
    "event": Endpoint("event", "/i/v0/e/", EVENT_LIMIT, 1, _event_body),
}
