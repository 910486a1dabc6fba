"""Finished spans made to order, with ids and times that stay the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
START = 1_795_489_200_123_456_789  # 2026-11-24T03:00:00.123456789Z


def made_span(
    name: str = "chat gpt-4o",
    attributes: Mapping[str, Any] | None = None,
    *,
    events: Sequence[tuple[str, Mapping[str, Any]]] = (),
    trace_id: str = TRACE_ID,
    span_id: str = SPAN_ID,
    parent_id: str | None = None,
    parent_is_remote: bool = False,
    kind: SpanKind = SpanKind.CLIENT,
    scope: str = "test",
    resource: Mapping[str, Any] | None = None,
    status: StatusCode = StatusCode.UNSET,
    description: str | None = None,
    start: int = START,
    duration: float = 1.5,
) -> ReadableSpan:
    """A finished span; ``start`` in nanoseconds since the epoch, ``duration`` in seconds."""
    trace = int(trace_id, 16)
    parent = SpanContext(trace, int(parent_id, 16), parent_is_remote, TraceFlags(1)) if parent_id else None
    return ReadableSpan(
        name=name,
        context=SpanContext(trace, int(span_id, 16), False, TraceFlags(1)),
        parent=parent,
        resource=Resource(dict(resource or {})),
        attributes=dict(attributes or {}),
        events=[Event(event, dict(values), start + 1_000_000) for event, values in events],
        kind=kind,
        instrumentation_scope=InstrumentationScope(scope),
        status=Status(status, description),
        start_time=start,
        end_time=start + int(duration * 1e9),
    )
