"""Who and which: distinct_id, person profile, event uuid and timestamp."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone

from otel_posthog._distinct_ids import usable
from otel_posthog._model import Operation

# A namespace of our own, so that ids derived here meet nobody else's.
_NAMESPACE = uuid.UUID("9f1c3d2e-5f0b-5a57-8a43-6d7c1f0e2b94")


def distinct_id_of(operation: Operation, trace_id: str, *fallbacks: str | None) -> tuple[str, bool]:
    """The distinct_id and whether it is a known person's.

    Order: what the span says, then the fallbacks. Else an anonymous id: one per session, else the trace id.
    """
    for candidate in (operation.user, *fallbacks):
        known = usable(candidate)
        if known is not None:
            return known, True
    if operation.session:
        return stable_uuid("session", operation.session), False
    return trace_id or str(uuid.uuid4()), False


def event_uuid(trace_id: str, span_id: str) -> str:
    """The same span gives the same event: PostHog de-duplicates on the uuid, and evaluations point to it."""
    return stable_uuid(trace_id, span_id)


def stable_uuid(*parts: str) -> str:
    """The same parts give the same uuid."""
    return str(uuid.uuid5(_NAMESPACE, ":".join(parts)))


def timestamp_of(unix_nano: int) -> str:
    """RFC 3339 in UTC with microseconds, the precision that PostHog stores."""
    seconds, nanos = divmod(unix_nano, 1_000_000_000)
    try:
        moment = datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, ValueError, OSError):  # a broken clock costs the time, not the event
        moment = datetime.now(timezone.utc)
    return f"{moment.isoformat()[:19]}.{nanos // 1000:06d}Z"
