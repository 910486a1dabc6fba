"""The traces of this process while they live: which spans are open, which have ended, and what waits to be sent.

A span is sent when its trace has nothing open any more, so that its parents, its user and a second record of the same
call are known. It waits ``hold`` seconds at the most; what is still open then is looked at as it is.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace

from opentelemetry.sdk.trace import ReadableSpan

from otel_posthog._context import CaptureContext, if_unknown
from otel_posthog._spans import SpanView, view_of
from otel_posthog.logs import size_of_value
from otel_posthog.stages import Node, identity_of

MOST_TRACES = 10_000  # live traces; at the bound the one that was touched least lately is forgotten
MOST_OPEN = 10_000  # open spans of one trace; then the one that started first is not waited for
MOST_ENDED = 2_000  # ended spans remembered of one trace, for those that are still to come
FORGET_AFTER = 3_600.0  # seconds without a start or an end; a span that never ends leaks nothing


@dataclass(slots=True)
class _Trace:
    open: dict[int, ReadableSpan] = field(default_factory=dict)
    # Spans that are not sent stay as they are; of those that were sent, only what says where others belong.
    ended: OrderedDict[int, ReadableSpan | Node] = field(default_factory=OrderedDict)
    waiting: list[ReadableSpan | SpanView] = field(default_factory=list)
    waiting_since: float = 0.0
    size: int = 0  # bytes of what waits, about
    touched: float = 0.0
    ambient: dict[int, CaptureContext] = field(default_factory=dict)
    heavy: list[int] = field(default_factory=list)  # of the ended: whole spans, of which little is wanted
    seen: set[int] = field(default_factory=set)  # open spans whose start nobody told of


@dataclass(frozen=True, slots=True)
class Released:
    """Spans of one trace that may be sent now, and log records that are events of their own."""

    spans: list[ReadableSpan | SpanView]
    trace: _Trace
    size: int  # bytes, about


class LiveTraces:
    """Thread-safe. ``hold`` is in seconds; at most ``most_waiting`` spans and about ``most_bytes`` wait, then they are
    released at once."""

    def __init__(self, hold: float, most_waiting: int, most_bytes: int) -> None:
        self._hold, self._most_waiting, self._most_bytes = hold, most_waiting, most_bytes
        self.after_fork()

    def after_fork(self) -> None:
        """In a child: the spans of its parent are for the parent to send."""
        self._lock = threading.Condition()  # may be entered again: a signal handler may come in between
        self._traces: OrderedDict[int, _Trace] = OrderedDict()
        self.waiting = self._bytes = 0

    @property
    def is_held_here(self) -> bool:
        """Whether this very thread has the lock: a signal handler may have interrupted it."""
        return is_held_here(self._lock)

    def started(self, span: ReadableSpan, parent: ReadableSpan | None, ambient: CaptureContext | None = None) -> None:
        """A span has started. ``parent`` is its parent if that is a span of this process that records."""
        context = span.get_span_context()
        if context is None:
            return
        with self._lock:
            trace = self._traces.get(context.trace_id)
            if trace is None:
                trace = self._traces[context.trace_id] = _Trace()
                if len(self._traces) > MOST_TRACES:
                    self._forget_one()
            trace.open[context.span_id] = span
            if ambient is not None:
                trace.ambient[context.span_id] = ambient
            if len(trace.open) > MOST_OPEN:
                oldest = next(iter(trace.open))
                del trace.open[oldest]
                trace.ambient.pop(oldest, None)
                if (unknown := if_unknown()) is not None:
                    trace.ambient[oldest] = unknown
            trace.touched = time.monotonic()
            above = parent.get_span_context() if parent is not None else None
            if parent is None or above is None or parent.end_time is not None:
                return
            if above.trace_id == context.trace_id and above.span_id not in trace.open:
                trace.open[above.span_id] = parent  # it started before the processor was added, or is another's
                trace.seen.add(above.span_id)

    def ended(self, span: ReadableSpan, is_sent: bool) -> Released | None:
        """A span has ended; what that releases. ``is_sent`` says whether it is for sending at all."""
        context = span.get_span_context()
        if context is None:
            return None
        with self._lock:
            trace = self._traces.get(context.trace_id)
            if trace is None:  # forgotten, or started before anybody listened
                unknown = if_unknown()
                ambient = {} if unknown is None else {context.span_id: unknown}
                return Released([span], _Trace(ambient=ambient), size_of(span)) if is_sent else None
            trace.open.pop(context.span_id, None)
            trace.touched = time.monotonic()
            if is_sent:
                self._wait(trace, span)
            else:
                _remember(trace, context.span_id, span)
            if not trace.open:
                del self._traces[context.trace_id]
                return self._release(trace)
            return self._release(trace) if self._is_full() else None

    def recorded(self, record: SpanView, ambient: CaptureContext | None = None) -> Released | None:
        """A log record that is an event of its own; it waits with the spans of its trace."""
        with self._lock:
            trace = self._traces.get(int(record.trace_id or "0", 16))
            alone = trace is None or not trace.open
            trace = trace or _Trace()
            if ambient is not None:
                trace.ambient[int(record.span_id, 16)] = ambient
            if alone:
                return Released([record], trace, size_of(record))
            self._wait(trace, record)
            return self._release(trace) if self._is_full() else None

    def due(self, everything: bool = False) -> list[Released]:
        """What has waited long enough, or ``everything`` that waits."""
        now = time.monotonic()
        found = []
        with self._lock:
            for trace_id, trace in list(self._traces.items()):
                _close_what_has_ended(trace)
                _lighten(trace)
                if trace.waiting and (everything or not trace.open or now - trace.waiting_since >= self._hold):
                    found.append(self._release(trace))
                if not trace.open or now - trace.touched > FORGET_AFTER:
                    del self._traces[trace_id]
        return [released for released in found if released is not None]

    def ambient(self, released: Released) -> dict[int, CaptureContext]:
        """What was around the spans of the trace when they started, by span id."""
        with self._lock:
            return dict(released.trace.ambient)

    def relatives(self, released: Released) -> list[ReadableSpan | Node]:
        """What is known of the other spans of the trace."""
        with self._lock:
            trace = released.trace
            waiting = (span for span in trace.waiting if isinstance(span, ReadableSpan))
            return [*trace.ended.values(), *waiting, *trace.open.values()]

    def sent(self, released: Released, nodes: list[Node]) -> None:
        """The spans have been sent, as these nodes: keep what spans to come want to know of them."""
        with self._lock:
            if released.trace.open:
                for node in nodes:
                    _remember(released.trace, int(node.view.span_id, 16), node)

    def _wait(self, trace: _Trace, span: ReadableSpan | SpanView) -> None:
        if not trace.waiting:
            trace.waiting_since = time.monotonic()
        trace.waiting.append(span)
        size = size_of(span)
        trace.size += size
        self.waiting += 1
        self._bytes += size

    def _is_full(self) -> bool:
        # At half: then the queue, which has the same bounds, takes all of it.
        return self.waiting * 2 > self._most_waiting or self._bytes * 2 > self._most_bytes

    def _release(self, trace: _Trace) -> Released | None:
        spans, trace.waiting = trace.waiting, []
        size, trace.size = trace.size, 0
        self.waiting -= len(spans)
        self._bytes -= size
        return Released(spans, trace, size) if spans else None

    def _forget_one(self) -> None:
        """The oldest trace that nothing waits in: those with something waiting are released by age."""
        oldest = next((trace_id for trace_id, trace in self._traces.items() if not trace.waiting), None)
        if oldest is not None:
            del self._traces[oldest]


def _close_what_has_ended(trace: _Trace) -> None:
    """Of spans of another provider, which were only seen as parents, nobody says when they end."""
    for span_id in list(trace.seen):
        span = trace.open.get(span_id)
        if span is None:
            trace.seen.discard(span_id)
        elif span.end_time is not None:
            trace.seen.discard(span_id)
            _remember(trace, span_id, trace.open.pop(span_id))


def _lighten(trace: _Trace) -> None:
    """Of spans that are not sent keep only where they are and whose. Done here, off the app's threads."""
    heavy, trace.heavy = trace.heavy, []
    for span_id in heavy:
        span = trace.ended.get(span_id)
        if isinstance(span, ReadableSpan):
            view = view_of(span)
            light = replace(view, attributes=identity_of(view.attributes), events=(), resource={})
            trace.ended[span_id] = Node(light, None, ambient=trace.ambient.get(span_id))


def _remember(trace: _Trace, span_id: int, span: ReadableSpan | Node) -> None:
    trace.ended[span_id] = span
    if not isinstance(span, Node):
        trace.heavy.append(span_id)
    if len(trace.ended) > MOST_ENDED:
        trace.ambient.pop(trace.ended.popitem(last=False)[0], None)


_SCALARS = frozenset((int, float, bool, type(None)))
_OVERHEAD = 2048  # bytes that a span has beside its texts, about


def size_of(span: ReadableSpan | SpanView) -> int:
    """Bytes that a span keeps in memory, about: what counts is its texts."""
    size = _OVERHEAD
    for holder in (span, *span.events):
        attributes = holder.attributes or {}
        # The SDK's mapping copies its dict in C; iterating it would cost a Python call per key, in the app's thread.
        copy = getattr(attributes, "copy", None)
        for value in (attributes if copy is None else copy()).values():
            kind = type(value)
            if kind is str:
                size += len(value)
            elif kind not in _SCALARS:
                size += size_of_value(value)
    return size


def is_held_here(condition: threading.Condition) -> bool:
    """Whether this thread has acquired the condition: only then may it notify."""
    try:
        condition.notify(0)
    except RuntimeError:
        return False
    return True
