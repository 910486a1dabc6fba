"""The trace window: what has come of a trace waits a moment for its parents and for log records with content.

Over OTLP, children are exported before their parents, and log records apart from their spans. A trace is ready once
every parent is known and no span waits for content, or ``seconds`` after its first part came. Where content is off no
log records come: after some spans without any, none are awaited until one comes. What is kept of traces that were ready
lets later spans find their ancestors. All methods belong to one thread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from otel_posthog._memory import Exported, light
from otel_posthog._spans import EventView, SpanView
from otel_posthog._trace import NOT_AI, SpanKey, TracedSpan
from otel_posthog.bridge._ticket import Ticket

# Bytes that these take in memory beside their content, about.
_SPAN_BYTES = 2_048
_LOG_BYTES = 1_024
_CONTEXT_BYTES = 1_024

# Attributes that hold the messages of a model call; where a span has none, a log record may bring them.
_CONTENT = (
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.tool.call.",
    "gen_ai.embeddings.",
)
_FROM_LOGS = ("gen_ai.request.model", "gen_ai.operation.name")


@dataclass(slots=True)
class WaitingTrace:
    """A trace in the window. ``owners`` are the requests that its parts came with."""

    since: float
    spans: dict[str, SpanView] = field(default_factory=dict)
    logs: dict[str, list[EventView]] = field(default_factory=dict)
    owners: list[Ticket] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)  # parents that have not come
    awaits_logs: set[str] = field(default_factory=set)
    size: int = 0

    def views(self) -> list[SpanView]:
        """The spans with their log records."""
        for span_id, records in self.logs.items():
            if (span := self.spans.get(span_id)) is not None:
                span.logs = records
        return list(self.spans.values())

    @property
    def unclaimed_logs(self) -> int:
        """Log records whose span has not come."""
        return sum(len(records) for span_id, records in self.logs.items() if span_id not in self.spans)


class TraceWindow:
    """Groups spans and log records by trace.

    ``max_bytes`` bounds what waits, and again what is kept afterwards; once ``most_in_vain`` spans in a row have waited
    for log records that did not come, none are awaited.
    """

    def __init__(self, seconds: float, max_bytes: int, most_in_vain: float) -> None:
        self._seconds, self._max_bytes, self._most_in_vain = seconds, max_bytes, most_in_vain
        self._waiting: OrderedDict[str, WaitingTrace] = OrderedDict()  # oldest first
        self._changed: dict[str, None] = {}
        self._kept: OrderedDict[str, dict[str, TracedSpan]] = OrderedDict()
        self._kept_spans = 0
        self._in_vain = 0
        self.bytes = 0
        self.traces = 0

    def add_span(self, span: SpanView, size: int, owner: Ticket | None, now: float) -> None:
        """Take a span; the same one again replaces the first. ``size`` in bytes."""
        trace = self._trace(span.trace_id, owner, now)
        span_id, parent = span.span_id, span.parent_span_id
        trace.spans[span_id] = span
        trace.missing.discard(span_id)
        if parent is not None and parent not in trace.spans and parent not in self._kept.get(span.trace_id, ()):
            trace.missing.add(parent)
        expects_logs = self._in_vain < self._most_in_vain and span_id not in trace.logs
        if expects_logs and span.has(*_FROM_LOGS) and not span.has(*_CONTENT):
            trace.awaits_logs.add(span_id)
        self._grow(trace, _SPAN_BYTES + size)

    def add_log(self, key: SpanKey, record: EventView, size: int, owner: Ticket | None, now: float) -> None:
        """Take a log record that belongs to a span."""
        self._in_vain = 0
        trace = self._trace(key[0], owner, now)
        trace.logs.setdefault(key[1], []).append(record)
        trace.awaits_logs.discard(key[1])
        if key[1] not in trace.spans:
            trace.missing.add(key[1])
        self._grow(trace, _LOG_BYTES + size)

    def take_ready(self, now: float, everything: bool = False) -> list[WaitingTrace]:
        """Remove what is ready: complete traces, those whose time is up, and the oldest beyond the bound."""
        ready = [
            trace_id
            for trace_id in self._changed
            if not (self._waiting[trace_id].missing or self._waiting[trace_id].awaits_logs)
        ]
        self._changed.clear()
        taken = [self._remove(trace_id) for trace_id in ready]
        while self._waiting:
            trace_id, oldest = next(iter(self._waiting.items()))
            if not everything and now < oldest.since + self._seconds and self.bytes <= self._max_bytes:
                break
            taken.append(self._remove(trace_id))
        return taken

    @property
    def next_deadline(self) -> float | None:
        """The moment at which the oldest trace is ready, ``None`` if there is none."""
        return next(iter(self._waiting.values())).since + self._seconds if self._waiting else None

    def context_of(self, traces: Iterable[str]) -> list[TracedSpan]:
        """Spans of these traces whose events have been made."""
        return [traced for trace_id in traces for traced in self._kept.get(trace_id, {}).values()]

    def keep(self, spans: Sequence[SpanView], exported: Sequence[Exported]) -> None:
        """Remember spans as the context of those to come, without their content."""
        made = {(one.span.trace_id, one.span.span_id): one for one in exported}
        for span in spans:
            known = made.get((span.trace_id, span.span_id))
            kept = self._kept.setdefault(span.trace_id, {})
            self._kept.move_to_end(span.trace_id)
            self._kept_spans += span.span_id not in kept
            kept[span.span_id] = TracedSpan(light(span), NOT_AI) if known is None else known.as_context()
        while self._kept_spans * _CONTEXT_BYTES > self._max_bytes:
            self._kept_spans -= len(self._kept.popitem(last=False)[1])

    def _trace(self, trace_id: str, owner: Ticket | None, now: float) -> WaitingTrace:
        trace = self._waiting.get(trace_id)
        if trace is None:
            trace = self._waiting[trace_id] = WaitingTrace(now)
            self.traces += 1
        self._changed[trace_id] = None
        if owner is not None and (not trace.owners or trace.owners[-1] is not owner):
            trace.owners.append(owner)
            owner.parts += 1
        return trace

    def _grow(self, trace: WaitingTrace, size: int) -> None:
        trace.size += size
        self.bytes += size

    def _remove(self, trace_id: str) -> WaitingTrace:
        trace = self._waiting.pop(trace_id)
        self.traces -= 1
        self.bytes -= trace.size
        self._in_vain += len(trace.awaits_logs)
        return trace
