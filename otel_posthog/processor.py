"""PostHogSpanProcessor: the whole way from ``span.end()`` to PostHog, with what only the live process knows."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.environment_variables import OTEL_BSP_MAX_EXPORT_BATCH_SIZE, OTEL_BSP_SCHEDULE_DELAY
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from otel_posthog import metrics
from otel_posthog._context import CaptureContext, ambient_of
from otel_posthog._spans import SpanView
from otel_posthog.batching import Batcher, Bounds
from otel_posthog.delivery import Stats
from otel_posthog.exporter import PostHogSpanExporter
from otel_posthog.forking import around_forks, stop_at_the_end_of_a_child
from otel_posthog.live import LiveTraces, Released
from otel_posthog.settings import ConfigurationError
from otel_posthog.stages import Node

_HOLD = 10.0  # seconds that an ended span waits for the rest of its trace
_MOST_RECENT_CALLS = 500
_MOST_SCOPES = 100
_SPOOL_DELAY = 1.0  # seconds; what is not on disk yet is lost with the process


class PostHogSpanProcessor(SpanProcessor):
    """Batches AI spans and exports them to PostHog.

    Takes the arguments of :class:`~otel_posthog.PostHogSpanExporter`, or an ``exporter`` made already. Only AI spans
    take a place in the queue; other spans are followed while their trace lives, because they tell who the user is and
    how the AI spans hang together.

    ``OTEL_BSP_SCHEDULE_DELAY`` (milliseconds, default 5000) and ``OTEL_BSP_MAX_EXPORT_BATCH_SIZE`` (spans, default 512)
    mean what they mean for the SDK's own batching.
    """

    def __init__(self, api_key: str | None = None, host: str | None = None, *,
                 exporter: PostHogSpanExporter | None = None, **options: Any) -> None:  # fmt: skip
        self.exporter = exporter or PostHogSpanExporter(api_key, host, **options)
        settings = self.exporter.settings
        self._live = LiveTraces(_HOLD, settings.max_queue_size, settings.max_queue_bytes)
        self.exporter.log_records.on_evaluation = self._on_verdict
        delay = _positive(OTEL_BSP_SCHEDULE_DELAY, 5000) / 1000
        self._batcher = Batcher(
            self._deliver,
            self._live.due,
            self._lost,
            bounds=Bounds(settings.max_queue_size, settings.max_queue_bytes, settings.when_full == "drop_oldest"),
            delay=min(delay, _SPOOL_DELAY) if settings.spool_dir else delay,
            batch_size=min(_positive(OTEL_BSP_MAX_EXPORT_BATCH_SIZE, 512), settings.max_queue_size),
        )
        self._scopes: set[str] = set()  # that have recorded calls
        self._recent_calls: deque[Node] = deque(maxlen=_MOST_RECENT_CALLS)
        self._pid = os.getpid()
        around_forks(in_child=self._after_fork)
        metrics.observe(self)
        if settings.spool_dir:
            self._batcher.wake()  # an earlier process may have left something

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Follow the span while it lives."""
        try:
            if os.getpid() != self._pid:  # forked by a server that does not tell Python of it
                self._after_fork()
            parent = trace.get_current_span(parent_context)
            self._live.started(span, parent if isinstance(parent, ReadableSpan) else None, ambient_of(parent_context))
        except Exception as error:  # what is around a span is the app's, and may raise when it is looked at
            self._warn("on_start", error)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span if it is an AI span and was sampled; never blocks."""
        try:
            context = span.get_span_context()
            is_sent = bool(context and context.trace_flags.sampled) and self.exporter.mapper.is_ai_span(span)
            released = self._live.ended(span, is_sent)
            if released is not None:
                self._batcher.put(released)
            elif is_sent:
                self._batcher.wake()
        except Exception as error:
            self._warn("on_end", error)

    def _warn(self, hook: str, error: Exception) -> None:
        self.exporter.ledger.warn(hook, f"{hook} of a span failed: {type(error).__name__}", logging.ERROR)

    def _on_verdict(self, record: SpanView, ambient: CaptureContext | None) -> None:
        released = self._live.recorded(record, ambient)
        if released is not None:
            self._batcher.put(released)
        else:
            self._batcher.wake()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Export everything that has ended; ``True`` if all of it arrived, within ``timeout_millis``."""
        here = self._is_interrupted
        self._queue_what_waits()
        return self._batcher.flush(timeout_millis / 1000, here)

    @property
    def _is_interrupted(self) -> bool:
        """Whether this is a signal handler amid a span's start or end, whose lock the sender cannot get."""
        return self._live.is_held_here or self._batcher.is_held_here

    is_shut_down = False

    def shutdown(self, timeout_millis: int | None = None) -> None:
        """As :meth:`stop`."""
        self.stop(timeout_millis)

    def stop(self, timeout_millis: int | None = None) -> bool:
        """Export everything that has ended, then stop; ``True`` if all of it arrived. May be called twice.

        Returns within ``timeout_millis``; default: the setting ``timeout``.
        """
        settings = self.exporter.settings
        seconds = settings.timeout if timeout_millis is None else timeout_millis / 1000
        deadline = time.monotonic() + seconds
        self.is_shut_down = True
        here = self._is_interrupted
        self._queue_what_waits()
        self.exporter.finish_by(deadline)
        arrived = self._batcher.stop(seconds, here)
        self.exporter.shutdown(timeout_millis=round(max(0.0, deadline - time.monotonic()) * 1000))
        return arrived and not self.exporter.stats().pending

    def _queue_what_waits(self) -> None:
        for released in self._live.due(everything=True):
            self._batcher.put(released, past_the_bound=True)

    @property
    def queued(self) -> int:
        """Spans that have ended and are not events yet."""
        return self._batcher.queued + self._batcher.in_hand + self._live.waiting

    def stats(self) -> Stats:
        """The exporter's counters, and the spans that wait here."""
        return replace(self.exporter.stats(), queued=self.queued)

    def _lost(self, dropped: Sequence[Released], reason: str, detail: str | None) -> None:
        spans = [span for released in dropped for span in released.spans]
        self.exporter.lost(len(spans), reason, detail, spans)

    def _deliver(self, batch: Sequence[Released]) -> bool:
        exporter, settings = self.exporter, self.exporter.settings
        if exporter.unauthorized and not settings.spool_dir:
            self._lost(batch, "unauthorized", None)
            return not batch
        if not batch and not settings.spool_dir:
            return True
        mapper = exporter.mapper
        nodes: list[Node] = []
        relatives: dict[tuple[str, str], Node] = {}
        sent: list[tuple[Released, list[Node]]] = []
        looked_at: set[int] = set()
        for released in batch:
            around = self._live.ambient(released)
            mapped = mapper.nodes_of(released.spans, around)
            nodes += mapped
            sent.append((released, mapped))
            if id(released.trace) in looked_at:
                continue
            looked_at.add(id(released.trace))
            for span in self._live.relatives(released):
                node = span if isinstance(span, Node) else mapper.relative_of(span, around)
                relatives[node.view.trace_id, node.view.span_id] = node
        for node in self._calls_of_others(nodes):
            relatives.setdefault((node.view.trace_id, node.view.span_id), node)
        for node in nodes:
            relatives.pop((node.view.trace_id, node.view.span_id), None)
        # On disk they wait for the next time; in memory they are tried until they are too old.
        timeout = settings.timeout if settings.spool_dir else settings.retry_for
        arrived = exporter.export_nodes(
            nodes, list(relatives.values()), whole=True, timeout=timeout, on_mapped=self._batcher.nothing_in_hand
        )
        for released, mapped in sent:
            remembered = [mapper.remembered(node) for node in mapped]
            self._live.sent(released, remembered)
            self._recent_calls.extend(_calls(remembered))
        return arrived and len(nodes) == sum(len(released.spans) for released in batch)

    def _calls_of_others(self, nodes: Sequence[Node]) -> Iterable[Node]:
        """Calls that were sent lately, where several instrumentations are at work: the second record of a call may come
        in another trace, and later."""
        self._scopes.update(node.view.scope_name for node in _calls(nodes) if len(self._scopes) < _MOST_SCOPES)
        return self._recent_calls if len(self._scopes) > 1 else ()

    def _after_fork(self) -> None:
        self._pid = os.getpid()
        self._live.after_fork()
        self._batcher.after_fork()
        stop_at_the_end_of_a_child(self, self.stop)


def _calls(nodes: Sequence[Node]) -> list[Node]:
    return [node for node in nodes if node.operation is not None and node.operation.is_call]


def _positive(variable: str, default: int) -> int:
    """A whole number above 0 from one of the SDK's variables."""
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise ConfigurationError(f"{variable} is {text!r}: it must be a whole number above 0.")
