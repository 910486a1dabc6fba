"""Ids of an event: distinct_id, uuid and timestamp."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime, timezone
from functools import lru_cache

from otel_posthog._distinct_ids import usable

# A namespace of our own, so that derived ids collide with nobody else's.
_NAMESPACE = uuid.UUID("9f1c3d2e-5f0b-5a57-8a43-6d7c1f0e2b94").bytes


def distinct_id_of(user: str | None, session: str | None, trace_id: str, *fallbacks: str | None) -> tuple[str, bool]:
    """The distinct_id, and whether it is a known person's.

    Order: the user, then the fallbacks. Otherwise an anonymous id: one per session, else the trace id.
    """
    for candidate in (user, *fallbacks):
        known = usable(candidate)
        if known is not None:
            return known, True
    if session:
        return stable_uuid("session", session), False
    return trace_id or str(uuid.uuid4()), False


def event_uuid(trace_id: str, span_id: str) -> str:
    """The same span gives the same event: PostHog de-duplicates by uuid, and evaluations refer to it."""
    return stable_uuid(trace_id, span_id)


def stable_uuid(*parts: str) -> str:
    """A version 5 uuid (RFC 4122 4.3) of the parts. Written out, because :func:`uuid.uuid5` costs twice as much."""
    digest = bytearray(hashlib.sha1(_NAMESPACE + ":".join(parts).encode("utf-8", "replace")).digest()[:16])  # noqa: S324
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def timestamp_of(unix_nano: int) -> str:
    """RFC 3339 in UTC with microseconds, the precision that PostHog stores."""
    seconds, nanos = divmod(unix_nano, 1_000_000_000)
    return f"{_second(seconds)}.{nanos // 1000:06d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).isoformat()[:19]
    except (OverflowError, ValueError, OSError):  # a broken clock costs the time, not the event
        return datetime.now(timezone.utc).isoformat()[:19]
