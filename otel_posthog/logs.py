"""PostHogLogRecordProcessor: message content that instrumentations write in log records, kept for its span, and
evaluations, which are events of their own.

The official instrumentations emit these records before ``span.end()``, with the span's ids; so they only have to be
remembered until their span is exported.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.context import create_key, get_value
from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.trace import TraceFlags, format_span_id, format_trace_id

from otel_posthog._context import CaptureContext, ambient_of
from otel_posthog._spans import EventView, SpanView, view_of_record
from otel_posthog.conventions import EVALUATION_EVENTS

# A list in the current context under this key is told the names of the evaluations that were taken.
HEARD = create_key("otel_posthog.heard")

_MOST_SPANS = 50_000  # spans whose records wait for them; the oldest goes first
_MOST_BYTES = 64 * 1024 * 1024  # of their texts, about; likewise
_MOST_RECORDS = 1024  # records of one span


class LogRecords:
    """Log records by span, until the span takes them.

    Bounded in spans and in bytes, about: at a bound the oldest span's records go.
    """

    def __init__(self, most_spans: int = _MOST_SPANS, most_bytes: int = _MOST_BYTES) -> None:
        self._most_spans, self._most_bytes = most_spans, most_bytes
        self.on_evaluation: Callable[[SpanView, CaptureContext | None], None] | None = None
        self.on_evicted: Callable[[int], None] | None = None
        self.after_fork()

    def after_fork(self) -> None:
        """In a child: the records of its parent are the parent's."""
        self._lock = threading.RLock()  # a signal handler may come in between
        self._by_span: OrderedDict[tuple[int, int], list[EventView]] = OrderedDict()
        self._verdicts: list[tuple[SpanView, CaptureContext | None]] = []
        self._sizes: dict[tuple[int, int], int] = {}
        self._bytes = 0

    def add(self, trace_id: int, span_id: int, record: EventView) -> None:
        """Keep a record for the span with these ids."""
        key = (trace_id, span_id)
        with self._lock:
            records = self._by_span.get(key)
            if records is None:
                records = self._by_span[key] = []
            if len(records) >= _MOST_RECORDS:
                self._evict(1)
                return
            records.append(record)
            size = size_of_value(record.body) + size_of_value(record.attributes)
            self._sizes[key] = self._sizes.get(key, 0) + size
            self._bytes += size
            while len(self._by_span) > self._most_spans or (self._bytes > self._most_bytes and len(self._by_span) > 1):
                oldest, gone = self._by_span.popitem(last=False)
                self._bytes -= self._sizes.pop(oldest, 0)
                self._evict(len(gone))

    def add_evaluation(self, record: SpanView, ambient: CaptureContext | None) -> None:
        """Keep an evaluation, feedback or metric, or hand it on to who asked for it."""
        if self.on_evaluation is not None:
            self.on_evaluation(record, ambient)
            return
        with self._lock:
            self._verdicts.append((record, ambient))
            if len(self._verdicts) > _MOST_SPANS:
                del self._verdicts[0]
                self._evict(1)

    def _evict(self, count: int) -> None:
        if self.on_evicted is not None:
            self.on_evicted(count)

    def take_evaluations(self) -> list[tuple[SpanView, CaptureContext | None]]:
        """Evaluations, feedback and metrics that were kept; they are forgotten here."""
        if not self._verdicts:
            return []
        with self._lock:
            taken, self._verdicts = self._verdicts, []
            return taken

    def take(self, trace_id: int, span_id: int) -> Sequence[EventView]:
        """The records of a span, in the order in which they came; they are forgotten here."""
        if not self._by_span:
            return ()
        with self._lock:
            self._bytes -= self._sizes.pop((trace_id, span_id), 0)
            return self._by_span.pop((trace_id, span_id), ())


class PostHogLogRecordProcessor(LogRecordProcessor):
    """Remembers ``gen_ai.*`` log records for the exporter that shares ``records``; evaluations and feedback too.

    Add it to the LoggerProvider beside your own processors; it changes nothing and sends nothing itself.
    """

    def __init__(self, records: LogRecords) -> None:
        self._records = records

    def on_emit(self, log_record: Any) -> None:
        """Called by the SDK for every log record (``ReadWriteLogRecord``, before SDK 1.38 ``LogData``)."""
        try:
            record = log_record.log_record
            attributes: Mapping[str, Any] = record.attributes or {}
            name = getattr(record, "event_name", None) or attributes.get("event.name")
            if name in EVALUATION_EVENTS:
                self._records.add_evaluation(_view_of(name, log_record), ambient_of(None))
                heard = get_value(HEARD)
                if isinstance(heard, list):
                    heard.append(name)
            elif isinstance(name, str) and name.startswith("gen_ai.") and record.span_id and _is_sampled(record):
                self._records.add(record.trace_id or 0, record.span_id, EventView(name, attributes, record.body))
        except Exception:  # the app's logging must go on, whatever it logs
            return

    emit = on_emit  # the name before SDK 1.38

    def shutdown(self) -> None:
        """Nothing to close: the exporter owns the records."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing is buffered here."""
        return True


def _is_sampled(record: Any) -> bool:
    """A span that is not sampled never takes its records."""
    flags = record.trace_flags
    return flags is None or bool(flags & TraceFlags.SAMPLED)


def size_of_value(value: Any) -> int:
    """Bytes of the texts in a value, about."""
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(size_of_value, value.values()))
    return sum(map(size_of_value, value)) if isinstance(value, (list, tuple)) else 0


def _view_of(name: str, log_record: Any) -> SpanView:
    record = log_record.log_record
    resource = getattr(log_record, "resource", None) or getattr(record, "resource", None)  # the latter before SDK 1.38
    return view_of_record(
        EventView(name, record.attributes or {}, record.body, record.timestamp or record.observed_timestamp),
        format_trace_id(record.trace_id) if record.trace_id else "",
        format_span_id(record.span_id) if record.span_id else "",
        resource.attributes if resource is not None else {},
    )
