"""PostHogSpanExporter: OpenTelemetry's exporter contract on one side, mapping and capture on the other."""

from __future__ import annotations

import logging
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.context import attach, detach, set_value
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import format_span_id, format_trace_id

from otel_posthog._context import CaptureContext, if_unknown
from otel_posthog._spans import SpanView
from otel_posthog.conventions import Reader
from otel_posthog.delivery import CaptureClient, Ledger, Stats
from otel_posthog.events.identity import event_uuid
from otel_posthog.events.shrinking import shrink
from otel_posthog.forking import around_forks
from otel_posthog.logs import LogRecords
from otel_posthog.mapper import Mapper
from otel_posthog.settings import Settings
from otel_posthog.stages import Node

logger = logging.getLogger("otel_posthog")

# The key that opentelemetry-instrumentation's HTTP instrumentations look up in the current context.
_SUPPRESS_INSTRUMENTATION = "suppress_instrumentation"


class PostHogSpanExporter(SpanExporter):
    """Turns AI spans into PostHog events and delivers them.

    Args:
        api_key: project API key (``phc_…``); default: the environment.
        host: where PostHog ingests; default ``https://us.i.posthog.com``.
        settings: ready settings, instead of single options.
        readers: readers of your own conventions, asked before the built-in ones.
        log_records: where message content from log records waits for its span; default: a store of its own.
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
        readers: Sequence[Reader] = (),
        log_records: LogRecords | None = None,
        **options: Any,
    ) -> None:
        self._settings = settings or Settings.load(api_key=api_key, host=host, **options)
        bounds = self._settings.max_queue_size, self._settings.max_queue_bytes
        self.log_records = LogRecords(*bounds) if log_records is None else log_records
        self.mapper = Mapper(self._settings, self.log_records, self._left_out, readers)
        self._ledger = Ledger(self._settings.on_drop)
        self._client = CaptureClient(self._settings, self._ledger, shrink)
        self._stopped = threading.Event()
        self.log_records.on_evicted = self._evicted
        self._pid = os.getpid()
        around_forks(
            before=self._client.before_fork, in_parent=self._client.after_fork_in_parent, in_child=self.after_fork
        )

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Map and deliver; ``FAILURE`` only if events were lost. Never raises."""
        if self._settings.disabled:
            return SpanExportResult.SUCCESS
        if self._stopped.is_set():
            return SpanExportResult.FAILURE
        around: dict[int, CaptureContext] = {}
        unknown = if_unknown()
        if unknown is not None and spans:
            # Which spans they are about only the processor knows.
            self._ledger.warn("silent", "context(capture_content=False) is in use, and the plain exporter cannot tell "
                                        "where: it sends no content at all")  # fmt: skip
            around = {context.span_id: unknown for span in spans if (context := span.get_span_context())}
        return SpanExportResult.SUCCESS if self._export(spans, around) else SpanExportResult.FAILURE

    def _export(
        self, spans: Sequence[ReadableSpan], around: Mapping[int, CaptureContext], timeout: float | None = None
    ) -> bool:
        """Spans, and evaluations that came since the last export."""
        evaluations = self.log_records.take_evaluations()
        around = {
            **around,
            **{int(record.span_id, 16): ambient for record, ambient in evaluations if ambient is not None},
        }
        taken: list[ReadableSpan | SpanView] = [*spans, *(record for record, _ in evaluations)]
        nodes = self.mapper.nodes_of(taken, around)
        return self.export_nodes(nodes, timeout=timeout) and len(nodes) == len(taken)

    def export_nodes(
        self,
        nodes: Sequence[Node],
        relatives: Sequence[Node] = (),
        whole: bool = False,
        timeout: float | None = None,
        on_mapped: Callable[[], None] | None = None,
    ) -> bool:
        """Deliver what the nodes say; ``relatives`` only tell where they belong, and if ``whole`` they are all that
        there are. ``timeout`` in seconds; default: the setting. ``on_mapped`` is called when they have become events.
        Never raises."""
        if self._settings.disabled:
            return True
        if os.getpid() != self._pid:  # forked by a server that does not tell Python of it
            self.after_fork()
        if self._stopped.is_set():
            self.lost(sum(node.operation is not None for node in nodes), "shutdown", "they came after shutdown")
            return False
        # Instrumentations honour this key: our own requests must not become spans.
        token = attach(set_value(_SUPPRESS_INSTRUMENTATION, True))
        try:
            events = self.mapper.events_of(nodes, relatives, whole)
            complete = len(events) >= sum(node.operation is not None for node in nodes)
            if on_mapped is not None:
                on_mapped()
            return self._client.send(events, timeout) and complete
        except Exception as error:  # a bug of ours must not reach the app
            self._ledger.warn("export", f"an export to PostHog failed: {type(error).__name__}", logging.ERROR)
            logger.debug("export failed%s", where(error))
            return False
        finally:
            detach(token)

    def lost(self, count: int, reason: str, detail: str | None, spans: Iterable[ReadableSpan | SpanView] = ()) -> None:
        """Count spans that never came to be exported; without a ``detail``, because the settings say so.

        ``spans`` are the spans, where there are any.
        """
        if count:
            self._ledger.accepted(count)
            self._ledger.dropped(count, reason, detail, _ids(spans) if self._settings.on_drop is not None else ())

    def _left_out(self, count: int, reason: str, error: Exception | None) -> None:
        detail = None if error is None else f"{reason.replace('_', ' ')}: {type(error).__name__}"
        if count:
            self.lost(count, reason, detail)
        elif detail is not None:
            self._ledger.warn(reason, detail)
        if error is not None:
            logger.debug("%s%s", reason, where(error))

    def _evicted(self, count: int) -> None:
        self._ledger.warn("log_records", f"{count} log records with message content were dropped: too many wait for "
                                         "spans that have not ended")  # fmt: skip

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Deliver evaluations that came since the last export and what is in the spool; of spans nothing is buffered
        here. Takes ``timeout_millis`` at the most."""
        if self._settings.disabled or self._stopped.is_set():
            return self._settings.disabled
        return self._export((), {}, timeout_millis / 1000)

    def finish_by(self, deadline: float) -> None:
        """Begin no request after this moment of :func:`time.monotonic`."""
        self._client.finish_by(deadline)

    def shutdown(self, timeout_millis: int | None = None) -> None:
        """Refuse further exports and stop waiting for retries. May be called twice.

        What is left to send may take ``timeout_millis``; default: the setting ``timeout``.
        """
        seconds = self._settings.timeout if timeout_millis is None else timeout_millis / 1000
        self.finish_by(time.monotonic() + seconds)
        self.export(())
        self._stopped.set()
        self._client.close()
        stats = self._client.stats()
        if under_way := stats.pending - stats.spooled:
            self._ledger.warn("under_way", f"{under_way} {'event was' if under_way == 1 else 'events were'} still on "
                                           "the way to PostHog when the time for shutdown was up")  # fmt: skip

    def after_fork(self) -> None:
        """In a child: what its parent has is for the parent to send, and no lock is held."""
        self._pid = os.getpid()
        self._ledger.after_fork()
        self._client.after_fork()
        self.mapper.after_fork()
        self.log_records.after_fork()

    @property
    def unauthorized(self) -> bool:
        """Whether PostHog has refused the key: nothing more is sent then."""
        return self._client.unauthorized

    @property
    def settings(self) -> Settings:
        """The options in use."""
        return self._settings

    @property
    def ledger(self) -> Ledger:
        """The counters."""
        return self._ledger

    @property
    def destination(self) -> tuple[str, str]:
        """Project API key and host."""
        return self._settings.api_key, self._settings.host

    def stats(self) -> Stats:
        """What was accepted, delivered, dropped (by reason) and is pending."""
        return self._client.stats()


def where(error: BaseException) -> str:
    """Where an error was raised, for the debug log; its text is left out, since it may quote content."""
    frames = traceback.extract_tb(error.__traceback__)
    return "".join(f"\n  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)


def _ids(spans: Iterable[ReadableSpan | SpanView]) -> list[tuple[str, str]]:
    """Event name (which nobody has worked out) and uuid of spans."""
    found = []
    for span in spans:
        context = None if isinstance(span, SpanView) else span.get_span_context()
        if isinstance(span, SpanView):
            found.append(("", event_uuid(span.trace_id, span.span_id)))
        elif context is not None:
            found.append(("", event_uuid(format_trace_id(context.trace_id), format_span_id(context.span_id))))
    return found
