"""A line for each span: what became of it."""

from __future__ import annotations

from collections.abc import Callable

from otel_posthog._pipeline import Result
from otel_posthog._spans import SpanView
from otel_posthog.conventions import reader_of
from otel_posthog.events.identity import event_uuid


def describe(span: SpanView, events: dict[str, str], result: Result) -> str:
    """The line. ``events`` are names of events by their uuid. No content: names of spans may hold some."""
    reader = reader_of(span)
    where = f"{span.trace_id} {span.span_id} {span.scope_name or '(no scope)'}"
    event = events.get(event_uuid(span.trace_id, span.span_id))
    if event is not None:
        return f"{where}: {event}, read as {reader.name if reader is not None else 'a convention of your own'}"
    if reader is None:
        return f"{where}: no event, no AI attribute"
    reasons = ", ".join(sorted({drop.reason for drop in result.drops if drop.count})) or "a duplicate, or empty"
    return f"{where}: no event ({reasons}), read as {reader.name}"


def observer(write: Callable[[str], object]) -> Callable[[list[SpanView], Result], None]:
    """Writes the lines of each batch."""

    def observe(spans: list[SpanView], result: Result) -> None:
        events = {event.uuid: event.name for event in result.events}
        for span in spans:
            write(describe(span, events, result))

    return observe
