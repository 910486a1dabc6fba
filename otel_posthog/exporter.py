"""PostHogSpanExporter: OpenTelemetry's exporter contract, on the same collector and delivery as the processor."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from opentelemetry.sdk.environment_variables import OTEL_BSP_MAX_EXPORT_BATCH_SIZE, OTEL_BSP_SCHEDULE_DELAY
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from typing_extensions import Unpack

from otel_posthog.settings import ConfigurationError, Options, Settings

if TYPE_CHECKING:
    from otel_posthog._runtime import Runtime
    from otel_posthog.conventions import Reader
    from otel_posthog.delivery import Stats

_SPOOL_DELAY = 1.0  # seconds; what is not on disk yet is lost with the process


class PostHogSpanExporter(SpanExporter):
    """Turns AI spans into PostHog events and delivers them.

    Args:
        api_key: project API key (``phc_…``); default: the environment.
        host: where PostHog ingests; default ``https://us.i.posthog.com``.
        settings: ready settings, instead of single options.
        readers: readers of your own conventions, tried before the built-in ones.
        options: every other option of :class:`~otel_posthog.Settings`.

    Raises:
        ConfigurationError: an option cannot be used.

    Spans that are not AI spans are ignored. Safe to use from many threads. Sees one batch at a time: the context of
    :func:`otel_posthog.context` and spans that end later need :class:`~otel_posthog.PostHogSpanProcessor`.
    """

    def __init__(
        self,
        api_key: str | None = None,
        host: str | None = None,
        *,
        settings: Settings | None = None,
        readers: Sequence[Reader] = (),
        **options: Unpack[Options],
    ) -> None:
        # Imported when an exporter is made, not with the module: most of what is needed is the pipeline and `requests`.
        from otel_posthog._runtime import PerProcess, Runtime
        from otel_posthog.logs import LogRecords
        from otel_posthog.metrics import observe

        self.settings = settings or Settings.load(api_key=api_key, host=host, **options)
        delay = _positive(OTEL_BSP_SCHEDULE_DELAY, 5000) / 1000
        if self.settings.spool_dir:
            delay = min(delay, _SPOOL_DELAY)
        batch_size = min(_positive(OTEL_BSP_MAX_EXPORT_BATCH_SIZE, 512), self.settings.max_queue_size)
        on_request = observe(self)

        def build() -> Runtime:
            return Runtime(self.settings, readers, delay=delay, batch_size=batch_size, on_request=on_request)

        self._per_process = PerProcess(build)
        self.log_records = LogRecords(lambda: self.runtime.collector)

    @property
    def runtime(self) -> Runtime:
        """The runtime of this process."""
        return self._per_process.current

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Map and deliver; ``FAILURE`` if events were lost. Never raises.

        Waits for the answer for ``timeout`` seconds; what PostHog has not taken by then stays in the outbox and is
        retried for ``retry_for`` seconds.
        """
        if self.settings.disabled:
            return SpanExportResult.SUCCESS
        runtime = self.runtime
        if runtime.is_shut_down:
            return SpanExportResult.FAILURE
        deadline = time.monotonic() + self.settings.timeout
        reply = runtime.collector.export(spans)
        if not reply.wait(self.settings.timeout):
            return SpanExportResult.FAILURE
        if reply.receipt is not None:
            reply.receipt.wait(max(0.0, deadline - time.monotonic()))
        lost = not reply.complete or (reply.receipt is not None and reply.receipt.dropped)
        return SpanExportResult.FAILURE if lost else SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Deliver everything that was exported; ``True`` if all of it arrived within ``timeout_millis``."""
        return self.settings.disabled or self.runtime.flush(timeout_millis / 1000)

    def shutdown(self, timeout_millis: int | None = None) -> None:
        """Deliver what is left within ``timeout_millis`` (default: the setting ``timeout``), then refuse exports.

        May be called twice.
        """
        self.runtime.shutdown(self.settings.timeout if timeout_millis is None else timeout_millis / 1000)

    def flush_before_exit(self, seconds: float) -> None:
        """As :meth:`force_flush`, if this process has exported anything: a signal is about to end it."""
        runtime = self._per_process.existing
        if runtime is not None:
            runtime.flush_before_exit(seconds)

    def hurry(self) -> None:
        """From now on deliver events at once: the process is about to end."""
        runtime = self._per_process.existing
        if runtime is not None:
            runtime.collector.hurry()

    def hint_if_unused(self, seconds: float) -> None:
        """Log a hint if this process has ended no AI span in the ``seconds`` since its start."""
        runtime = self._per_process.existing
        if runtime is not None and not runtime.is_shut_down:
            runtime.collector.hint_if_unused(seconds)

    @property
    def destination(self) -> tuple[str, str]:
        """Project API key and host."""
        return self.settings.api_key, self.settings.host

    def stats(self) -> Stats:
        """What was accepted, delivered, dropped (by reason) and is pending."""
        return self.runtime.stats()


def _positive(variable: str, default: int) -> int:
    """A whole number above 0 from one of the SDK's variables."""
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise ConfigurationError(f"{variable} is {text!r}: it must be a whole number above 0.")
