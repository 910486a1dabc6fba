"""PostHogSpanProcessor: the whole way from ``span.end()`` to PostHog in one span processor."""

from __future__ import annotations

from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from otel_posthog.capture import Stats
from otel_posthog.conventions import is_ai_span
from otel_posthog.exporter import PostHogSpanExporter


class PostHogSpanProcessor(SpanProcessor):
    """Batches AI spans and exports them to PostHog.

    Takes the arguments of :class:`~otel_posthog.PostHogSpanExporter`, or an ``exporter`` made already. Batching is
    the SDK's ``BatchSpanProcessor`` with its ``OTEL_BSP_*`` variables. Only AI spans take a place in its queue.
    """

    def __init__(self, api_key: str | None = None, host: str | None = None, *,
                 exporter: PostHogSpanExporter | None = None, **options: Any) -> None:  # fmt: skip
        self.exporter = exporter or PostHogSpanExporter(api_key, host, **options)
        self._batching = BatchSpanProcessor(self.exporter)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing is known yet."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span if it is an AI span."""
        if is_ai_span(span):
            self._batching.on_end(span)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Export what is queued; ``True`` if that ended in time."""
        return bool(self._batching.force_flush(timeout_millis))

    def shutdown(self) -> None:
        """Export what is queued, then stop. May be called twice."""
        self._batching.shutdown()  # type: ignore[no-untyped-call]  # untyped in the SDK

    def stats(self) -> Stats:
        """The exporter's counters."""
        return self.exporter.stats()
