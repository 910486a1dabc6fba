"""PostHogLogRecordProcessor: log records that belong to spans, and evaluations, which are events of their own.

The official instrumentations emit message content as log records before ``span.end()``, with the span's ids; so it is
enough to remember them until the span is exported.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from opentelemetry.context import Context, create_key, get_current, get_value
from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.trace import TraceFlags, format_span_id, format_trace_id

from otel_posthog._spans import EventView
from otel_posthog._trace import EvaluationRecord
from otel_posthog.conventions import EVALUATION_EVENTS

# A list in the current context under this key collects the names of the evaluations that were taken.
RECEIVED = create_key("otel_posthog.received")


class Inbox(Protocol):
    """Where log records go: the collector."""

    def log_emitted(self, trace_id: int, span_id: int, record: EventView) -> None:
        """A log record with content of a span."""

    def evaluated(self, record: EvaluationRecord, otel: Context) -> None:
        """A log record that is an event of its own."""


class LogRecords:
    """Takes log records for an exporter; pass it to a :class:`PostHogLogRecordProcessor`."""

    def __init__(self, inbox: Callable[[], Inbox]) -> None:
        self._inbox = inbox

    def add(self, log_record: Any) -> None:
        """Take a record if it is about an AI span."""
        record = log_record.log_record
        attributes: Mapping[str, Any] = record.attributes or {}
        name = getattr(record, "event_name", None) or attributes.get("event.name")
        if name in EVALUATION_EVENTS:
            self._inbox().evaluated(_evaluation(name, log_record), get_current())
            received = get_value(RECEIVED)
            if isinstance(received, list):
                received.append(name)
        elif isinstance(name, str) and name.startswith("gen_ai.") and record.span_id and _is_sampled(record):
            self._inbox().log_emitted(record.trace_id or 0, record.span_id, EventView(name, attributes, record.body))


class PostHogLogRecordProcessor(LogRecordProcessor):
    """Hands ``gen_ai.*`` log records, evaluations and feedback to the exporter that ``records`` belongs to.

    Add it to the LoggerProvider beside your own processors; it changes nothing and sends nothing itself.
    """

    def __init__(self, records: LogRecords) -> None:
        self._records = records

    def on_emit(self, log_record: Any) -> None:
        """Called by the SDK for every log record (``ReadWriteLogRecord``, before SDK 1.38 ``LogData``)."""
        try:
            self._records.add(log_record)
        except Exception:  # the app's logging must not fail
            return

    emit = on_emit  # the name before SDK 1.38

    def shutdown(self) -> None:
        """Nothing to close: the exporter owns the records."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing is buffered here."""
        return True


def _is_sampled(record: Any) -> bool:
    """Whether the span is sampled; otherwise its records would never be taken."""
    flags = record.trace_flags
    return flags is None or bool(flags & TraceFlags.SAMPLED)


def _evaluation(name: str, log_record: Any) -> EvaluationRecord:
    record = log_record.log_record
    resource = getattr(log_record, "resource", None) or getattr(record, "resource", None)  # the latter before SDK 1.38
    return EvaluationRecord(
        id=secrets.token_hex(8),
        name=name,
        attributes=record.attributes or {},
        trace_id=format_trace_id(record.trace_id) if record.trace_id else "",
        span_id=format_span_id(record.span_id) if record.span_id else "",
        time_unix_nano=record.timestamp or record.observed_timestamp or time.time_ns(),
        resource=resource.attributes if resource is not None else {},
    )
