"""The values that pass through the pipeline: a batch of spans in, events and drops out. All are frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from otel_posthog._context import CaptureContext
from otel_posthog._model import Json, Operation
from otel_posthog._spans import SpanView

# Trace id and span id, lowercase hex: a span id is unique within its trace only.
SpanKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Skipped:
    """Why a span has no event. ``not_ai`` is the normal case; the others are settings or errors."""

    reason: Literal["not_ai", "filtered", "capture_spans", "sampled", "mapping_failed"]


NOT_AI = Skipped("not_ai")


@dataclass(frozen=True, slots=True)
class TracedSpan:
    """A span, what its reader made of it, and the capture context in which it started.

    ``exported``: its event has been sent, so it gives context to other spans and no longer changes.
    """

    span: SpanView
    outcome: Operation | Skipped
    context: CaptureContext | None = None
    exported: bool = False

    @property
    def key(self) -> SpanKey:
        """Identifies the span."""
        return self.span.trace_id, self.span.span_id

    @property
    def operation(self) -> Operation | None:
        """What the event says, ``None`` if the span has no event."""
        return self.outcome if type(self.outcome) is Operation else None


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose span it is. ``properties`` are those of :func:`otel_posthog.context`."""

    user: str | None = None
    session: str | None = None
    groups: Mapping[str, Json] | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)


NOBODY = Identity()


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event stands in PostHog's tree. ``parent_id`` is the span id of the nearest span with an event, ``None``
    for a root.

    ``emits_trace_event``: the trace takes name and state from this span, whose own event cannot say so because the span
    is not the root of its trace.
    """

    trace_id: str
    parent_id: str | None = None
    emits_trace_event: bool = False


@dataclass(frozen=True, slots=True)
class EvaluationRecord:
    """A log record that is an event of its own: ``gen_ai.evaluation.result``, feedback or a metric.

    ``span_id`` is the span it is about, ``""`` for the whole trace; ``id`` is the record's own, for the event's uuid.
    """

    id: str
    name: str
    attributes: Mapping[str, Any]
    trace_id: str
    span_id: str
    time_unix_nano: int
    resource: Mapping[str, Any] = field(default_factory=dict)
    context: CaptureContext | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Spans whose events are made together, so that duplicates and ancestors are recognised.

    Args:
        spans: finished spans, their log records attached.
        contexts: the capture context in which each span started.
        context_spans: spans of the same traces that are not exported now: open ancestors, spans that are not AI spans,
            spans whose event has left already.
        evaluations: log records that are events of their own.
        complete: whether this process knows all its spans of these traces. A parent that is not at hand then has no
            event anywhere; otherwise another export may bring it.
    """

    spans: Sequence[SpanView] = ()
    contexts: Mapping[SpanKey, CaptureContext] = field(default_factory=dict)
    context_spans: Sequence[TracedSpan] = ()
    evaluations: Sequence[EvaluationRecord] = ()
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Drop:
    """Spans without an event, and why. ``error`` is set if it is a fault and not a setting."""

    reason: str
    count: int = 1
    error: BaseException | None = None
