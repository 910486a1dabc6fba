"""SpanView: one read-only view of a finished span, whatever it came from; the source of all mapping."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import format_span_id, format_trace_id


@dataclass(slots=True)
class EventView:
    """A span event, or a log record that belongs to the span.

    ``body`` is a log record's body (any JSON value), ``None`` for span events.
    """

    name: str
    attributes: Mapping[str, Any]
    body: Any = None
    time_unix_nano: int | None = None


@dataclass(slots=True)
class SpanView:
    """A finished span. Ids are lowercase hex, times are nanoseconds since the Unix epoch.

    ``status_code`` is ``UNSET``, ``OK`` or ``ERROR``; ``kind`` is ``INTERNAL``, ``CLIENT``…,
    or ``LOG_RECORD``;
    ``logs`` are the log records written with this span's ids, in the order they were emitted.
    """

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_span_id: str | None
    parent_is_remote: bool
    start_unix_nano: int
    end_unix_nano: int
    status_code: str
    status_message: str | None
    attributes: Mapping[str, Any]
    events: Sequence[EventView]
    scope_name: str
    scope_version: str
    resource: Mapping[str, Any]
    logs: Sequence[EventView] = field(default=())
    _names: str | None = field(default=None, init=False, repr=False)

    def has(self, *prefixes: str) -> bool:
        """Whether an attribute's name starts with one of these. All names are one text: a search in C for each prefix
        instead of a loop over the names for each reader."""
        if self._names is None:
            self._names = "\n" + "\n".join(self.attributes)
        names = self._names
        return any("\n" + prefix in names for prefix in prefixes)


LOG_RECORD = "LOG_RECORD"


def view_of_record(event: EventView, trace_id: str, span_id: str, resource: Mapping[str, Any]) -> SpanView:
    """The view of a log record that is an event of its own: as a span without duration below the one it is about."""
    at = event.time_unix_nano or time.time_ns()
    return SpanView(
        name=event.name,
        kind=LOG_RECORD,
        trace_id=trace_id,
        span_id=secrets.token_hex(8),
        parent_span_id=span_id or None,
        parent_is_remote=False,
        start_unix_nano=at,
        end_unix_nano=at,
        status_code="UNSET",
        status_message=None,
        attributes=event.attributes,
        events=(),
        scope_name="",
        scope_version="",
        resource=resource,
    )


def view_of(span: ReadableSpan, logs: Sequence[EventView] = ()) -> SpanView:
    """The view of an SDK span. Attributes are taken by reference, nothing is decoded."""
    context, parent, scope = span.get_span_context(), span.parent, span.instrumentation_scope
    start = span.start_time or 0
    return SpanView(
        name=span.name or "",
        kind=span.kind.name,
        trace_id=format_trace_id(context.trace_id) if context else "",
        span_id=format_span_id(context.span_id) if context else "",
        parent_span_id=format_span_id(parent.span_id) if parent else None,
        parent_is_remote=bool(parent and parent.is_remote),
        start_unix_nano=start,
        end_unix_nano=span.end_time or start,
        status_code=span.status.status_code.name,
        status_message=span.status.description,
        attributes=span.attributes or {},
        events=[EventView(e.name, e.attributes or {}, None, e.timestamp) for e in span.events],
        scope_name=(scope.name if scope else "") or "",
        scope_version=(scope.version if scope else "") or "",
        resource=span.resource.attributes if span.resource else {},
        logs=logs,
    )
