"""PostHogSpanExporter: OpenTelemetry's exporter contract on one side, mapping and capture on the other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

from opentelemetry.context import attach, detach, set_value
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_posthog import conventions
from otel_posthog.capture import CaptureClient, Encoded, Ledger, Stats, encode
from otel_posthog.events import Shape, event_of
from otel_posthog.logs import LogRecords
from otel_posthog.settings import Settings
from otel_posthog.spans import view_of
from otel_posthog.traces import Node, connect

logger = logging.getLogger("otel_posthog")

# The key that opentelemetry-instrumentation's HTTP instrumentations look up in the current context.
_SUPPRESS_INSTRUMENTATION = "suppress_instrumentation"


class PostHogSpanExporter(SpanExporter):
    """Turns AI spans into PostHog events and delivers them.

    Args:
        api_key: project API key (``phc_…``); default: the environment.
        host: where PostHog ingests; default ``https://us.i.posthog.com``.
        settings: ready settings, instead of single options.
        options: every other option of :class:`~otel_posthog.Settings`.

    Raises:
        ConfigurationError: an option cannot be used.

    Spans without anything of AI are ignored. Safe to use from many threads.
    """

    def __init__(
        self,
        api_key: str | None = None,
        host: str | None = None,
        *,
        settings: Settings | None = None,
        **options: Any,
    ) -> None:
        self._settings = settings or Settings.load(api_key=api_key, host=host, **options)
        self._shape = Shape(
            content=self._settings.capture_content,
            unmapped=self._settings.capture_unmapped,
            distinct_id=self._settings.distinct_id,
            properties=self._settings.properties,
        )
        self.log_records = LogRecords()
        self._ledger = Ledger()
        self._client = CaptureClient(self._settings, self._ledger)
        self._stopped = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Map and deliver; ``FAILURE`` only if events were lost. Never raises."""
        if self._stopped.is_set() or self._settings.disabled:
            return SpanExportResult.SUCCESS if self._settings.disabled else SpanExportResult.FAILURE
        # Instrumentations honour this key: our own requests must not become spans.
        token = attach(set_value(_SUPPRESS_INSTRUMENTATION, True))
        try:
            events = self._events(spans)
            delivered = self._client.send(events) if events else True
        except Exception as error:  # a bug of ours must not reach the app
            self._ledger.warn("export", f"an export to PostHog failed: {type(error).__name__}", logging.ERROR)
            logger.debug("export failed", exc_info=True)
            delivered = False
        finally:
            detach(token)
        return SpanExportResult.SUCCESS if delivered else SpanExportResult.FAILURE

    def _events(self, spans: Sequence[ReadableSpan]) -> list[Encoded]:
        nodes = []
        for span in spans:
            context = span.get_span_context()
            logs = self.log_records.take(context.trace_id, context.span_id) if context else ()
            view = view_of(span, logs)
            operation = conventions.read(view)
            if operation is not None and not self._settings.capture_spans and not operation.is_call:
                operation = None
            nodes.append(Node(view, operation))
        connect(nodes)
        return [
            encode(event_of(node.operation, node.view, node.parent_id, self._shape))
            for node in nodes
            if node.operation is not None
        ]

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing is buffered here: every event is delivered or given up when ``export`` returns."""
        return True

    def shutdown(self, timeout_millis: int = 30000) -> None:
        """Refuse further exports and stop waiting for retries. May be called twice."""
        self._stopped.set()
        self._client.close()

    def stats(self) -> Stats:
        """What was accepted, delivered, dropped (by reason) and is pending."""
        return self._ledger.stats()
