"""PostHogSpanProcessor: passes spans to the collector as they start and end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from typing_extensions import Unpack

from otel_posthog.exporter import PostHogSpanExporter
from otel_posthog.settings import Options, Settings

if TYPE_CHECKING:
    from otel_posthog.conventions import Reader
    from otel_posthog.delivery import Stats

logger = logging.getLogger("otel_posthog")


class PostHogSpanProcessor(SpanProcessor):
    """Follows spans while they live, batches AI spans and exports them to PostHog.

    Takes the arguments of :class:`~otel_posthog.PostHogSpanExporter`, or an ``exporter`` made already. Spans that are
    no AI spans are followed too: they name the user and link the AI spans to each other.

    ``OTEL_BSP_SCHEDULE_DELAY`` (milliseconds, default 5000) and ``OTEL_BSP_MAX_EXPORT_BATCH_SIZE`` (events, default
    512) mean what they mean for the SDK's own batching.
    """

    def __init__(
        self,
        api_key: str | None = None,
        host: str | None = None,
        *,
        exporter: PostHogSpanExporter | None = None,
        settings: Settings | None = None,
        readers: Sequence[Reader] = (),
        **options: Unpack[Options],
    ) -> None:
        self.exporter = exporter or PostHogSpanExporter(api_key, host, settings=settings, readers=readers, **options)
        self.is_shut_down = False
        self._is_disabled = self.exporter.settings.disabled

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Follow the span. Never raises, never blocks."""
        if self._is_disabled:
            return
        try:
            self.exporter.runtime.collector.span_started(span, parent_context)
        except Exception as error:
            logger.debug("on_start failed: %s", type(error).__name__)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span. Never raises, never blocks."""
        if self._is_disabled:
            return
        try:
            self.exporter.runtime.collector.span_ended(span)
        except Exception as error:
            logger.debug("on_end failed: %s", type(error).__name__)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Export everything that has ended; ``True`` if all of it arrived within ``timeout_millis``."""
        return self.exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: int | None = None) -> None:
        """As :meth:`stop`."""
        self.stop(timeout_millis)

    def stop(self, timeout_millis: int | None = None) -> bool:
        """Export everything that has ended, then stop; ``True`` if all of it arrived. May be called twice.

        Returns within ``timeout_millis``; default: the setting ``timeout``.
        """
        settings = self.exporter.settings
        self.is_shut_down = True
        return self.exporter.runtime.shutdown(settings.timeout if timeout_millis is None else timeout_millis / 1000)

    def stats(self) -> Stats:
        """What was accepted, delivered, dropped (by reason), is pending or queued."""
        return self.exporter.stats()
