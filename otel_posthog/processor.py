"""PostHogSpanProcessor: the whole way from ``span.end()`` to PostHog, with what only the live process knows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any
from weakref import WeakMethod

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.environment_variables import (
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE,
    OTEL_BSP_MAX_QUEUE_SIZE,
    OTEL_BSP_SCHEDULE_DELAY,
)
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from otel_posthog.ambient import Ambient, ambient_of
from otel_posthog.batching import Batcher
from otel_posthog.capture import Stats
from otel_posthog.exporter import PostHogSpanExporter
from otel_posthog.live import LiveTraces, Released
from otel_posthog.settings import ConfigurationError
from otel_posthog.spans import SpanView
from otel_posthog.traces import Node

_HOLD = 10.0  # seconds that an ended span waits for the rest of its trace


class PostHogSpanProcessor(SpanProcessor):
    """Batches AI spans and exports them to PostHog.

    Takes the arguments of :class:`~otel_posthog.PostHogSpanExporter`, or an ``exporter`` made already. Only AI spans
    take a place in the queue; other spans are followed while their trace lives, because they tell who the user is and
    how the AI spans hang together.

    ``OTEL_BSP_SCHEDULE_DELAY`` (milliseconds, default 5000), ``OTEL_BSP_MAX_QUEUE_SIZE`` (spans, default 2048) and
    ``OTEL_BSP_MAX_EXPORT_BATCH_SIZE`` (spans, default 512) mean what they mean for the SDK's own batching.
    """

    def __init__(self, api_key: str | None = None, host: str | None = None, *,
                 exporter: PostHogSpanExporter | None = None, **options: Any) -> None:  # fmt: skip
        self.exporter = exporter or PostHogSpanExporter(api_key, host, **options)
        queue_size = _positive(OTEL_BSP_MAX_QUEUE_SIZE, 2048)
        self._live = LiveTraces(_HOLD, queue_size)
        self.exporter.log_records.on_verdict = self._on_verdict
        self._batcher = Batcher(
            self._deliver,
            self._live.due,
            self.exporter.lost,
            delay=_positive(OTEL_BSP_SCHEDULE_DELAY, 5000) / 1000,
            queue_size=queue_size,
            batch_size=min(_positive(OTEL_BSP_MAX_EXPORT_BATCH_SIZE, 512), queue_size),
        )
        if hasattr(os, "register_at_fork"):
            after_fork = WeakMethod(self._after_fork)
            os.register_at_fork(after_in_child=lambda: (method := after_fork()) and method())

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Follow the span while it lives."""
        parent = trace.get_current_span(parent_context)
        self._live.started(span, parent if isinstance(parent, ReadableSpan) else None, ambient_of(parent_context))

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span if it is an AI span and was sampled; never blocks."""
        context = span.get_span_context()
        is_sent = bool(context and context.trace_flags.sampled) and self.exporter.mapper.is_ai_span(span)
        released = self._live.ended(span, is_sent)
        if released is not None:
            self._batcher.put(released)
        elif is_sent:
            self._batcher.wake()

    def _on_verdict(self, record: SpanView, ambient: Ambient | None) -> None:
        released = self._live.recorded(record, ambient)
        if released is not None:
            self._batcher.put(released)
        else:
            self._batcher.wake()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Export everything that has ended; ``True`` if that was done in time."""
        self._queue_what_waits()
        return self._batcher.flush(timeout_millis / 1000)

    is_shut_down = False

    def shutdown(self, timeout_millis: int = 30000) -> None:
        """Export everything that has ended, then stop. May be called twice."""
        self.is_shut_down = True
        self._queue_what_waits()
        self._batcher.stop(timeout_millis / 1000)
        self.exporter.shutdown()

    def _queue_what_waits(self) -> None:
        for released in self._live.due(everything=True):
            self._batcher.put(released, past_the_bound=True)

    def stats(self) -> Stats:
        """The exporter's counters."""
        return self.exporter.stats()

    def _deliver(self, batch: Sequence[Released]) -> None:
        mapper = self.exporter.mapper
        nodes: list[Node] = []
        relatives: dict[str, Node] = {}
        sent: list[tuple[Released, list[Node]]] = []
        for released in batch:
            around = self._live.ambient(released)
            mapped = mapper.nodes_of(released.spans, around)
            nodes += mapped
            sent.append((released, mapped))
            for span in self._live.relatives(released):
                node = span if isinstance(span, Node) else mapper.relative_of(span, around)
                relatives[node.view.span_id] = node
        for node in nodes:
            relatives.pop(node.view.span_id, None)
        self.exporter.export_nodes(nodes, list(relatives.values()), whole=True)
        for released, mapped in sent:
            self._live.sent(released, [mapper.remembered(node) for node in mapped])

    def _after_fork(self) -> None:
        self.exporter.mapper.after_fork()
        self._live.after_fork()
        self._batcher.after_fork()


def _positive(variable: str, default: int) -> int:
    """A whole number above 0 from one of the SDK's variables."""
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise ConfigurationError(f"{variable} is {text!r}: it must be a whole number above 0.")
