"""configure() for code, and the entry points for environment variables alone."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, WeakKeyDictionary, WeakSet, ref

from opentelemetry import _logs, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs import export as sdk_export
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from typing_extensions import Unpack

from otel_posthog._signals import install
from otel_posthog._startup import call_later, log_start, watch_for_late_providers
from otel_posthog.exporter import PostHogSpanExporter
from otel_posthog.logs import PostHogLogRecordProcessor
from otel_posthog.processor import PostHogSpanProcessor
from otel_posthog.settings import ConfigurationError, Options, Settings

if TYPE_CHECKING:
    from otel_posthog.conventions import Reader
    from otel_posthog.delivery import Stats

logger = logging.getLogger("otel_posthog")


@dataclass(frozen=True, slots=True)
class Handle:
    """What :func:`configure` set up."""

    tracer_provider: TracerProvider
    logger_provider: LoggerProvider
    processor: PostHogSpanProcessor

    def flush(self, timeout_millis: int = 30000) -> bool:
        """Send everything that has ended so far; ``True`` if all of it arrived, within ``timeout_millis``."""
        return self.processor.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: int | None = None) -> bool:
        """Send what is left and stop; ``True`` if all of it arrived. The providers go on for their other processors.

        Returns within ``timeout_millis``; default: the setting ``timeout``.
        """
        return self.processor.stop(timeout_millis)

    def stats(self) -> Stats:
        """What was accepted, delivered, dropped (by reason) and is pending."""
        return self.processor.stats()


_UNUSED_AFTER = 300.0  # seconds without an AI span

# A processor cannot be looked up in its provider, so what was attached to which is remembered while it lives.
_attached: WeakKeyDictionary[PostHogSpanProcessor, ReferenceType[TracerProvider]] = WeakKeyDictionary()


def configure(
    api_key: str | None = None,
    host: str | None = None,
    *,
    tracer_provider: TracerProvider | None = None,
    logger_provider: LoggerProvider | None = None,
    readers: Sequence[Reader] = (),
    **options: Unpack[Options],
) -> Handle:
    """Send the AI spans of this process to PostHog.

    Attaches to the given providers, else to the global ones; where there is no global provider yet, one is set.
    The logger provider matters because the official instrumentations put prompts and answers in log records.
    ``readers`` are readers of your own conventions, asked before the built-in ones; ``options`` are those of
    :class:`~otel_posthog.Settings`.

    A second call for the same provider, key and host attaches nothing more, unless the first has been shut down;
    neither does a call where ``OTEL_TRACES_EXPORTER=posthog`` has set everything up. Options that differ then are
    warned of, and those that keep content private are an error.

    Raises:
        ConfigurationError: an option cannot be used, or comes too late, or the global provider is not the SDK's.
    """
    settings = Settings.load(api_key=api_key, host=host, **options)
    spans = tracer_provider or _global_tracer_provider()
    logs = logger_provider or _global_logger_provider()
    for processor, provider in list(_attached.items()):
        same = processor.exporter.destination == (settings.api_key, settings.host)
        if provider() is spans and same and not processor.is_shut_down:
            _tell_differences(settings, processor.exporter.settings, options)
            return Handle(spans, logs, processor)
    if spans is sdk_provider(trace.get_tracer_provider()):
        for exporter in _environment_exporters:
            exporter.replace_with(settings)
    return _attach(settings, spans, logs, readers)


def _attach(settings: Settings, spans: TracerProvider, logs: LoggerProvider, readers: Sequence[Reader] = ()) -> Handle:
    processor = PostHogSpanProcessor(exporter=PostHogSpanExporter(settings=settings, readers=readers))
    # First the records, so that no span ends without its content.
    logs.add_log_record_processor(PostHogLogRecordProcessor(processor.exporter.log_records))
    # Not the provider's own method: the one of Phoenix's register() removes its default processor.
    TracerProvider.add_span_processor(spans, processor)
    _attached[processor] = ref(spans)
    log_start(settings)
    if spans is sdk_provider(trace.get_tracer_provider()):
        watch_for_late_providers()
    if settings.hints and not settings.disabled:
        call_later(_UNUSED_AFTER, processor.exporter.hint_if_unused)
    if settings.handle_sigterm and not settings.disabled:
        _handle_sigterm()
    return Handle(spans, logs, processor)


@cache
def _handle_sigterm() -> bool:
    """Once per process: all that is attached is flushed by one handler."""
    return install(_flush_attached, _hurry_attached)


def _flush_attached(seconds: float) -> None:
    for processor in list(_attached):
        processor.exporter.flush_before_exit(seconds)


def _hurry_attached() -> None:
    for processor in list(_attached):
        processor.exporter.hurry()


_PRIVATE = ("capture_content", "redact", "keep_media", "deny_attributes", "allow_attributes", "capture_unmapped")


def _tell_differences(asked: Settings, used: Settings, options: Mapping[str, Any]) -> None:
    ignored = [name for name in options if getattr(asked, name) != getattr(used, name)]
    for name in ignored:
        if name in _PRIVATE:  # content would be sent that must not be
            raise ConfigurationError(
                f"{name} cannot be changed now: PostHog is already configured. Call shutdown() on what configure() "
                "returned, then configure() again."
            )
    if ignored:
        logger.warning(
            "PostHog is already configured: %s keeps its first value. To change it, call shutdown() first.",
            ", ".join(ignored),
        )


def flush(timeout_millis: int = 30000) -> bool:
    """Send everything that has ended so far, of the global provider and of all that :func:`configure` has set up.

    ``True`` if all of it arrived within ``timeout_millis``. For serverless functions and scripts, before they return.
    """
    deadline = time.monotonic() + timeout_millis / 1000
    current = trace.get_tracer_provider()
    arrived = current.force_flush(timeout_millis) if isinstance(current, TracerProvider) else True
    for processor, provider in list(_attached.items()):
        if provider() is not current and not processor.is_shut_down:
            left = max(0, round((deadline - time.monotonic()) * 1000))
            arrived = processor.force_flush(left) and arrived
    return arrived


def _global_tracer_provider() -> TracerProvider:
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        trace.set_tracer_provider(TracerProvider())
    current = sdk_provider(trace.get_tracer_provider())
    if isinstance(current, TracerProvider):
        return current
    raise ConfigurationError(
        f"the global tracer provider is a {type(current).__name__}: pass tracer_provider=, an "
        "opentelemetry.sdk.trace.TracerProvider."
    )


def _global_logger_provider() -> LoggerProvider:
    current = sdk_provider(_logs.get_logger_provider())
    if isinstance(current, LoggerProvider):
        return current
    # A provider that is not the SDK's cannot be replaced; ours then serves those who are handed it.
    provider = LoggerProvider()
    if type(current).__module__.startswith("opentelemetry."):  # the API's placeholder
        _logs.set_logger_provider(provider)
    return provider


def sdk_provider(provider: object) -> object:
    """The SDK's provider inside of a proxy such as Logfire's (5.4, ``provider``), else the provider itself."""
    inner = getattr(provider, "provider", None)
    return inner if isinstance(inner, (TracerProvider, LoggerProvider)) else provider


_environment_exporters: WeakSet[EnvironmentSpanExporter] = WeakSet()


class EnvironmentSpanExporter(SpanExporter):
    """The exporter behind ``OTEL_TRACES_EXPORTER=posthog``: all settings from the environment.

    A mistake in them is logged once; the app and its other exporters go on. Where :func:`attach_processors` has run,
    or the app calls :func:`configure`, the span processor does the work and this exporter rests.
    """

    def __init__(self) -> None:
        self._exporter: PostHogSpanExporter | None = None
        self._rests_from: float = math.inf  # nanoseconds since the epoch
        self.settings = Settings(disabled=True, api_key="phc_disabled")
        with _mistakes_logged():
            self.settings = Settings.load()
        _environment_exporters.add(self)

    @property
    def is_active(self) -> bool:
        """Whether spans go to PostHog from here."""
        return not self.settings.disabled and self._rests_from == math.inf

    def replace_with(self, settings: Settings) -> None:
        """Leave what ends from now on to a processor with these settings, if they are for the same project."""
        if (settings.api_key, settings.host) == (self.settings.api_key, self.settings.host):
            self._rests_from = time.time_ns()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """As :class:`~otel_posthog.PostHogSpanExporter`, for spans that nothing else exports."""
        own = [span for span in spans if (span.end_time or 0) < self._rests_from]
        if not own or self.settings.disabled:
            return SpanExportResult.SUCCESS
        exporter = self._built()
        return SpanExportResult.FAILURE if exporter is None else exporter.export(own)

    def add_log_records(self, batch: Sequence[Any]) -> None:
        """Keep log records for their spans."""
        exporter = self._built() if self.is_active else None
        if exporter is not None:
            processor = PostHogLogRecordProcessor(exporter.log_records)
            for record in batch:
                processor.on_emit(record)

    def _built(self) -> PostHogSpanExporter | None:
        if self._exporter is None and not self.settings.disabled:
            with _mistakes_logged():
                self._exporter = PostHogSpanExporter(settings=self.settings)
            if self._exporter is None:
                self.settings = replace(self.settings, disabled=True)
        return self._exporter

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """As :class:`~otel_posthog.PostHogSpanExporter`."""
        return self._exporter is None or self._exporter.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """As :class:`~otel_posthog.PostHogSpanExporter`."""
        if self._exporter is not None:
            self._exporter.shutdown()


@contextmanager
def _mistakes_logged() -> Iterator[None]:
    """A mistake in the environment's settings must not end the app's whole setup of OpenTelemetry."""
    try:
        yield
    except ConfigurationError as error:
        logger.error("Nothing is sent to PostHog: %s", error)


# The names before SDK 1.39 come last.
_LogRecordExporter: Any = getattr(sdk_export, "LogRecordExporter", None) or sdk_export.LogExporter
_LOGS_EXPORTED = (getattr(sdk_export, "LogRecordExportResult", None) or sdk_export.LogExportResult).SUCCESS


class EnvironmentLogExporter(_LogRecordExporter):  # type: ignore[misc]  # see above
    """Behind ``OTEL_LOGS_EXPORTER=posthog``, for setups that read the SDK's variables without
    ``opentelemetry-instrument``.

    The SDK batches log records (``OTEL_BLRP_SCHEDULE_DELAY``, a second) while spans wait longer, so content comes in
    time. Where :func:`attach_processors` has run, the records have come already.
    """

    def export(self, batch: Sequence[Any]) -> Any:
        """Keep the records for their spans. Never raises."""
        for exporter in list(_environment_exporters):
            exporter.add_log_records(batch)
        return _LOGS_EXPORTED

    def shutdown(self) -> None:
        """Nothing to close: the span exporter owns the records."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing is buffered here."""
        return True


def attach_processors() -> None:
    """Entry point ``opentelemetry_pre_instrument``: run by ``opentelemetry-instrument`` once the SDK is set up.

    The SDK puts exporters behind its own batching, which knows neither the context of a span nor its ancestors, and
    to which the content in log records comes too late; so our processors are attached here, as by :func:`configure`.
    """
    provider = sdk_provider(trace.get_tracer_provider())
    for exporter in _environment_exporters:
        if isinstance(provider, TracerProvider) and exporter.is_active:
            with _mistakes_logged():
                _attach(exporter.settings, provider, _global_logger_provider())
            exporter.replace_with(exporter.settings)
