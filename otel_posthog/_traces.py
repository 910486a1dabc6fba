"""The traces of this process while they live: open spans, spans that wait for the rest of their trace, and what is kept
of spans that ended.

A span is exported once no span of its trace is open, so that parents, user and duplicates are known, or ``hold``
seconds after it ended; spans still open then are read in their current state. All methods belong to one thread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from otel_posthog._context import CaptureContext, fallback_context
from otel_posthog._memory import Exported, light
from otel_posthog._sizes import size_of
from otel_posthog._spans import plain_dict, view_of
from otel_posthog._trace import NOT_AI, EvaluationRecord, SpanKey, TracedSpan
from otel_posthog.conventions import IDENTITY_NAMES

LATE = 60.0  # seconds for which an ended trace is kept for spans that start late
_MOST_CONTEXT_SPANS = 2_000  # ended spans kept as context, in one trace

# Approximate bytes in memory.
_OPEN_BYTES = 1_024
_CONTEXT_BYTES = 512


@dataclass(frozen=True, slots=True)
class EndedSpan:
    """An AI span that waits to be exported. ``size`` is about how many bytes it keeps in memory."""

    span: ReadableSpan
    context: CaptureContext | None
    size: int


# A span that is not an AI span and its capture context, an exported span, or what is kept of either in a long trace.
ContextSpan = tuple[ReadableSpan, "CaptureContext | None"] | Exported | TracedSpan


@dataclass(slots=True)
class TraceState:
    """One trace. Spans are keyed by their id."""

    open: dict[int, tuple[ReadableSpan, CaptureContext | None]] = field(default_factory=dict)
    adopted: set[int] = field(default_factory=set)  # open spans of another provider: their end is not reported
    ended: list[EndedSpan] = field(default_factory=list)
    evaluations: list[EvaluationRecord] = field(default_factory=list)
    waiting_since: float = 0.0
    context_spans: OrderedDict[int, ContextSpan] = field(default_factory=OrderedDict)  # ended, and not to be exported
    touched: float = 0.0
    size: int = 0  # bytes of what waits

    @property
    def waits(self) -> bool:
        """Whether anything waits to be exported."""
        return bool(self.ended or self.evaluations)


@dataclass(frozen=True, slots=True)
class ReadyTrace:
    """The part of a trace that is exported now."""

    trace_id: int
    state: TraceState
    ended: list[EndedSpan]
    evaluations: list[EvaluationRecord]


class Traces:
    """All traces. ``hold`` is in seconds, ``max_bytes`` bounds what open traces and waiting spans keep in memory."""

    def __init__(self, hold: float, max_bytes: int) -> None:
        self._hold, self._max_bytes = hold, max_bytes
        self._traces: OrderedDict[int, TraceState] = OrderedDict()  # by the last start
        self._finished: OrderedDict[int, TraceState] = OrderedDict()  # ended not long ago
        self._waiting: OrderedDict[int, TraceState] = OrderedDict()  # with something to export, by how long it waits
        self._complete: dict[int, TraceState] = {}  # of these, the ones without an open span
        self._adopting: set[int] = set()  # traces with spans of another provider
        # Open and waiting spans of instrumentations that record calls, by scope: the oldest first.
        self._calls: dict[str, OrderedDict[tuple[int, int], int]] = {}
        self._waiting_bytes = 0
        self._kept = 0  # bytes of open spans and context spans

    def __len__(self) -> int:
        return len(self._traces)

    def start(self, span: ReadableSpan, parent: Any, context: CaptureContext | None, now: float, is_call: bool) -> None:
        """A span has started. ``parent`` is the span of its OpenTelemetry context; ``is_call`` says that its
        instrumentation records model calls."""
        ids = span.get_span_context()
        if ids is None:
            return
        trace = self._state(ids.trace_id, now)
        trace.open[ids.span_id] = (span, context)
        self._complete.pop(ids.trace_id, None)
        self._kept += _OPEN_BYTES
        if is_call:
            scope = span.instrumentation_scope.name if span.instrumentation_scope else ""
            self._calls.setdefault(scope, OrderedDict())[ids.trace_id, ids.span_id] = span.start_time or 0
        if not isinstance(parent, ReadableSpan) or parent.end_time is not None:
            return
        above = parent.get_span_context()
        if above is not None and above.trace_id == ids.trace_id and above.span_id not in trace.open:
            # It started before the processor was added, or belongs to another provider.
            trace.open[above.span_id] = (parent, None)
            trace.adopted.add(above.span_id)
            self._adopting.add(ids.trace_id)
            self._kept += _OPEN_BYTES

    def end(self, span: ReadableSpan, is_exported: bool, now: float) -> None:
        """A span has ended; ``is_exported`` says whether it is an AI span that was sampled."""
        ids = span.get_span_context()
        if ids is None:
            return
        trace = self._traces.get(ids.trace_id)
        if trace is None:
            if not is_exported:
                return
            trace = self._state(ids.trace_id, now)
        known = trace.open.pop(ids.span_id, None)
        if known is None:  # forgotten, or started before the processor was added
            context = fallback_context()
        else:
            context = known[1]
            self._kept -= _OPEN_BYTES
        trace.touched = now
        if is_exported:
            self._wait(ids.trace_id, trace, EndedSpan(span, context, size_of(span)), now)
        else:
            self._forget_call(span)
            self._add_context(trace, ids.span_id, (span, context))
        self._check(ids.trace_id, trace)

    def evaluate(self, record: EvaluationRecord, now: float) -> None:
        """A log record that is an event of its own; it leaves with the spans of its trace."""
        trace_id = int(record.trace_id or "0", 16)
        trace = self._state(trace_id, now)
        if not trace.waits:
            trace.waiting_since = now
        trace.evaluations.append(record)
        self._waiting[trace_id] = trace
        self._check(trace_id, trace)

    def take(self, now: float, keep: Callable[[int], bool], *, everything: bool = False) -> list[ReadyTrace]:
        """What is to be exported: complete traces, spans that have waited for ``hold`` seconds, and, beyond the bound
        of memory, those that have waited longest. ``keep(trace_id)`` says of a trace with open spans that it is worth
        waiting for its end."""
        self._close_adopted()
        if everything:
            ready = [self._take(trace_id, trace) for trace_id, trace in list(self._waiting.items())]
        else:
            ready = self._take_complete(now) + self._take_overdue(now, keep)
        if self._waiting_bytes + self._kept > self._max_bytes:
            ready += self._relieve()
        for trace_id, trace in list(self._finished.items()):
            if now - trace.touched < LATE:
                break
            del self._finished[trace_id]
            self._kept -= _CONTEXT_BYTES * len(trace.context_spans)
        return ready

    def take_evaluations(self) -> list[ReadyTrace]:
        """Evaluations of traces without open spans."""
        return [self._take(trace_id, trace) for trace_id, trace in list(self._complete.items()) if not trace.ended]

    def _take_complete(self, now: float) -> list[ReadyTrace]:
        oldest_calls = {scope: next(iter(calls.values())) for scope, calls in self._calls.items() if calls}
        ready = []
        for trace_id, trace in list(self._complete.items()):
            # The other record of a call may lie in a trace that is still open: they leave together.
            waited = now - trace.waiting_since
            if waited >= 1.5 * self._hold or not self._may_have_other_record(trace, oldest_calls):
                ready.append(self._take(trace_id, trace))
        return ready

    def _take_overdue(self, now: float, keep: Callable[[int], bool]) -> list[ReadyTrace]:
        ready = []
        for trace_id, trace in list(self._waiting.items()):
            if now - trace.waiting_since < self._hold:
                break
            if trace.open and not keep(trace_id):
                ready.append(self._take(trace_id, trace))
        return ready

    def exported(self, ready: ReadyTrace, spans: Iterable[Exported]) -> None:
        """The events of these spans have been made: keep what later spans of the trace need."""
        trace = ready.state
        for exported in spans:
            self._add_context(trace, int(exported.span.span_id, 16), exported)
        if trace.open:
            self._lighten(trace)
        self._check(ready.trace_id, trace)

    def _state(self, trace_id: int, now: float) -> TraceState:
        trace = self._traces.get(trace_id)
        if trace is None:
            # A span may start after its trace has ended (a background task).
            trace = self._finished.pop(trace_id, None) or TraceState()
            self._traces[trace_id] = trace
        trace.touched = now
        return trace

    def _check(self, trace_id: int, trace: TraceState) -> None:
        """Note that a trace is complete or has ended."""
        if trace.open:
            self._complete.pop(trace_id, None)
        elif trace.waits:
            self._complete[trace_id] = trace
        else:
            self._finish(trace_id, trace)

    def _wait(self, trace_id: int, trace: TraceState, ended: EndedSpan, now: float) -> None:
        if not trace.waits:
            trace.waiting_since = now
        trace.ended.append(ended)
        trace.size += ended.size
        self._waiting[trace_id] = trace
        self._waiting_bytes += ended.size

    def _take(self, trace_id: int, trace: TraceState) -> ReadyTrace:
        ready = ReadyTrace(trace_id, trace, trace.ended, trace.evaluations)
        for ended in trace.ended:
            self._forget_call(ended.span)
        self._waiting_bytes -= trace.size
        trace.ended, trace.evaluations, trace.size = [], [], 0
        del self._waiting[trace_id]
        self._complete.pop(trace_id, None)
        return ready

    def _forget_call(self, span: ReadableSpan) -> None:
        if not self._calls:
            return
        ids, scope = span.get_span_context(), span.instrumentation_scope
        calls = self._calls.get(scope.name if scope else "")
        if ids is not None and calls is not None:
            calls.pop((ids.trace_id, ids.span_id), None)

    def _may_have_other_record(self, trace: TraceState, oldest_calls: Mapping[str, int]) -> bool:
        """Whether a call of another instrumentation, open or waiting, started before a call of this trace."""
        if len(oldest_calls) < 2:
            return False
        for ended in trace.ended:
            scope = ended.span.instrumentation_scope.name if ended.span.instrumentation_scope else ""
            if scope in oldest_calls and ended.span.parent is None:
                start = ended.span.start_time or 0
                if any(oldest < start for other, oldest in oldest_calls.items() if other != scope):
                    return True
        return False

    def _finish(self, trace_id: int, trace: TraceState) -> None:
        """A trace has ended. It is kept for a while if spans that start late may need it."""
        self._traces.pop(trace_id, None)
        kept = trace.context_spans
        self._kept -= _CONTEXT_BYTES * len(kept)
        if all(isinstance(found, tuple) for found in kept.values()):
            # A trace without an event: only spans that name a user matter later.
            trace.context_spans = OrderedDict((i, found) for i, found in kept.items() if _names_somebody(found))
        if trace.context_spans:
            self._lighten(trace)
            self._kept += _CONTEXT_BYTES * len(trace.context_spans)
            self._finished[trace_id] = trace

    def _add_context(self, trace: TraceState, span_id: int, traced: ContextSpan) -> None:
        if span_id not in trace.context_spans:
            self._kept += _CONTEXT_BYTES
        trace.context_spans[span_id] = traced
        if len(trace.context_spans) > _MOST_CONTEXT_SPANS:
            trace.context_spans.popitem(last=False)
            self._kept -= _CONTEXT_BYTES

    def _lighten(self, trace: TraceState) -> None:
        """Keep only ids, times, kind and identity of the context spans."""
        for span_id, found in trace.context_spans.items():
            if isinstance(found, tuple):
                trace.context_spans[span_id] = TracedSpan(light(view_of(found[0])), NOT_AI, found[1])
            elif isinstance(found, Exported):
                trace.context_spans[span_id] = found.as_context()

    def _close_adopted(self) -> None:
        """Notice the end of spans of another provider, which does not report it."""
        for trace_id in list(self._adopting):
            trace = self._traces.get(trace_id)
            if trace is not None:
                self._close_adopted_in(trace)
                self._check(trace_id, trace)
            if trace is None or not trace.adopted:
                self._adopting.discard(trace_id)

    def _close_adopted_in(self, trace: TraceState) -> None:
        for span_id in list(trace.adopted):
            known = trace.open.get(span_id)
            if known is None or known[0].end_time is not None:
                trace.adopted.discard(span_id)
                if known is not None:
                    del trace.open[span_id]
                    self._kept -= _OPEN_BYTES
                    self._add_context(trace, span_id, known)

    def _relieve(self) -> list[ReadyTrace]:
        """Back below the bound: forget ended traces, export what waits, then forget the traces that were touched least
        lately."""
        while self._finished and self._waiting_bytes + self._kept > self._max_bytes:
            _, trace = self._finished.popitem(last=False)
            self._kept -= _CONTEXT_BYTES * len(trace.context_spans)
        ready = []
        while self._waiting and self._waiting_bytes + self._kept > self._max_bytes:
            trace_id = next(iter(self._waiting))
            ready.append(self._take(trace_id, self._waiting[trace_id]))
        if self._kept > self._max_bytes:
            for trace_id, trace in sorted(self._traces.items(), key=lambda item: item[1].touched):
                if self._kept <= self._max_bytes:
                    break
                if not trace.waits:
                    del self._traces[trace_id]
                    self._kept -= _OPEN_BYTES * len(trace.open) + _CONTEXT_BYTES * len(trace.context_spans)
        return ready


def _names_somebody(found: ContextSpan) -> bool:
    if not isinstance(found, tuple):
        return True
    return found[1] is not None or not IDENTITY_NAMES.isdisjoint(plain_dict(found[0].attributes))


def context_of(
    ready: ReadyTrace, parse: Callable[[ReadableSpan, CaptureContext | None], TracedSpan]
) -> Iterator[TracedSpan]:
    """The spans of a trace that tell where those to export belong: ended ones, and the open ancestors.

    ``parse`` reads a span that is not exported now.
    """
    trace = ready.state
    for found in trace.context_spans.values():
        if isinstance(found, tuple):
            yield TracedSpan(view_of(found[0]), NOT_AI, found[1])
        else:
            yield found.as_context() if isinstance(found, Exported) else found
    for span, context in _open_ancestors(ready) if trace.open else ():
        yield parse(span, context)


def _open_ancestors(ready: ReadyTrace) -> Iterator[tuple[ReadableSpan, CaptureContext | None]]:
    trace = ready.state
    parents = {span_id: _parent_id(span) for span_id, (span, _) in trace.open.items()}
    parents |= {span_id: _parent_id(found) for span_id, found in trace.context_spans.items()}
    for ended in ready.ended:
        ids = ended.span.get_span_context()
        if ids is not None:
            parents[ids.span_id] = _parent_id(ended.span)
    seen: set[int] = set()
    for ended in ready.ended:
        current = _parent_id(ended.span)
        while current and current not in seen:
            seen.add(current)
            if current in trace.open:
                yield trace.open[current]
            current = parents.get(current, 0)


def _parent_id(found: ReadableSpan | ContextSpan) -> int:
    if isinstance(found, tuple):
        found = found[0]
    if isinstance(found, ReadableSpan):
        return found.parent.span_id if found.parent is not None else 0
    return int(found.span.parent_span_id or "0", 16)


def key_of(span: ReadableSpan) -> SpanKey:
    """The span's key in a batch."""
    ids = span.get_span_context()
    return (f"{ids.trace_id:032x}", f"{ids.span_id:016x}") if ids is not None else ("", "")
