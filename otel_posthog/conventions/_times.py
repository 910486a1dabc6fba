"""Times that libraries write as ISO 8601 texts."""

from __future__ import annotations

from datetime import datetime

from otel_posthog._spans import SpanView


def seconds_into(span: SpanView, written: str) -> float | None:
    """The seconds from the start of a span to a moment, ``None`` if the text is no time or the moment lies outside the
    span: some libraries write local times without a zone (Haystack)."""
    try:
        moment = datetime.fromisoformat(written.strip('"').replace("Z", "+00:00")).timestamp() * 1e9
    except (ValueError, OverflowError, OSError):
        return None
    if not span.start_unix_nano <= moment <= span.end_unix_nano:
        return None
    return round((moment - span.start_unix_nano) / 1e9, 6)
