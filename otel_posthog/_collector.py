"""The collector: one thread that owns the traces, the log records and the memory of what was exported.

App threads append small records to its inbox and never wait for it. It wakes several times a second or when much has
come, not for each span: a wake-up would take the interpreter lock from the app just as a call ends.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context, attach, get_current, set_value
from opentelemetry.sdk.trace import ReadableSpan

from otel_posthog._context import (
    CaptureContext,
    SdkIdentity,
    capture_context_of,
    fallback_context,
    sdk_identity,
)
from otel_posthog._hints import Hints
from otel_posthog._log_store import LogStore
from otel_posthog._memory import Exported, Memory
from otel_posthog._pipeline import APP_ERRORS, Pipeline, Result
from otel_posthog._spans import EventView, view_of
from otel_posthog._trace import Batch, EvaluationRecord, SpanKey, TracedSpan
from otel_posthog._traces import ReadyTrace, Traces, context_of, key_of
from otel_posthog.delivery import Delivery, EncodedEvent, Ledger
from otel_posthog.events.identity import event_uuid
from otel_posthog.settings import Settings
from otel_posthog.stages.sampling import Sampler

logger = logging.getLogger("otel_posthog")

_TICK = 0.25  # seconds between two looks at the inbox
_MANY = 512  # records after which the collector is woken
_MOST_TRACES = 64  # mapped together
_MOST_RECORDS = 200_000  # in the inbox; what ends beyond that is dropped
# The key that HTTP instrumentations honour: our own requests and probes must not become spans.
_SUPPRESS_INSTRUMENTATION = "suppress_instrumentation"

_START, _END, _LOG, _EVALUATION, _EXPORT, _FLUSH, _STOP = range(7)


class Reply:
    """The collector's reply to a message that a caller waits for."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self.complete = True  # every span became an event, or was left out on purpose
        self.receipt: Any = None  # of the delivery, where events were put

    def resolve(self) -> None:
        """The message has been handled."""
        self._done.set()

    def wait(self, timeout: float) -> bool:
        """Whether it was handled within ``timeout`` seconds."""
        return self._done.wait(max(0.0, timeout))


class Collector:
    """Turns spans and log records into events, off the app's threads, and hands them to the delivery.

    ``delay`` is how many seconds events may wait until they are handed over, ``batch_size`` how many may.
    """

    def __init__(
        self,
        settings: Settings,
        pipeline: Pipeline,
        delivery: Delivery,
        ledger: Ledger,
        *,
        delay: float,
        batch_size: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pipeline, self._delivery, self._ledger = pipeline, delivery, ledger
        self._delay, self._batch_size, self._clock = delay, batch_size, clock
        self._reports_drops = settings.on_drop is not None
        bound = settings.max_memory_bytes // 2  # the other half is the outbox's
        self._traces = Traces(settings.hold, bound)
        self._logs = LogStore(bound)
        self._memory = Memory(Sampler(settings.sample_rate, settings.sample_errors))
        self._received = self._settled = 0  # spans and evaluations; settled: handed over or dropped
        self._outgoing: list[EncodedEvent] = []
        self._unsettled = 0  # spans and evaluations of the outgoing events
        self._outgoing_since = 0.0
        # Appending to these is atomic, so a signal handler may do it at any moment.
        self._inbox: deque[tuple[int, Any, Any, Any]] = deque()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._is_woken = False
        self._overflow: deque[None] = deque()  # an entry for each record that the inbox had no room for
        self._owner = threading.Lock()  # held by the thread that handles the inbox
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = False  # nothing new is taken
        self._finished = False  # the thread has handled what came before
        self._hurries = False
        destination = (settings.api_key, settings.host)
        self._hints = Hints(enabled=settings.hints, content=settings.capture_content, destination=destination)

    # In the app's threads.

    def span_started(self, span: ReadableSpan, parent_context: Context | None) -> None:
        """Follow a span. What only the app's thread knows is read here, by reference."""
        otel = parent_context if parent_context is not None else get_current()
        self._put(_START, span, otel, sdk_identity())

    def span_ended(self, span: ReadableSpan) -> None:
        """A span has ended."""
        self._put(_END, span)

    def log_emitted(self, trace_id: int, span_id: int, record: EventView) -> None:
        """A log record with content of a span."""
        self._put(_LOG, trace_id, span_id, record)

    def evaluated(self, record: EvaluationRecord, otel: Context) -> None:
        """A log record that is an event of its own."""
        self._put(_EVALUATION, record, otel, sdk_identity())

    def export(self, spans: Sequence[ReadableSpan]) -> Reply:
        """Export a batch at once, with the log records that came before; the reply has the delivery's receipt."""
        return self._ask(_EXPORT, spans)

    def flush(self, timeout: float) -> Reply:
        """Make events of everything that has ended and hand them to the delivery."""
        reply = self._ask(_FLUSH, None)
        reply.wait(timeout)
        return reply

    def stop(self, timeout: float) -> Reply:
        """As :meth:`flush`, then end the thread. What comes later is counted as dropped."""
        self._stopped = True
        reply = self._ask(_STOP, None)
        reply.wait(timeout)
        return reply

    def hurry(self) -> None:
        """Hand events over as they come: the process is about to end."""
        self._hurries = True
        self._wake.put(None)

    def hint_if_unused(self, seconds: float) -> None:
        """Say so if no AI span has ended in the ``seconds`` since the start."""
        self._hints.time_passed(seconds)

    @property
    def queued(self) -> int:
        """Spans and evaluations that are not handed over yet."""
        # In this order, one that moves on meanwhile is counted twice rather than not at all.
        settled = self._settled
        coming = sum(
            1
            for kind, first, _, _ in list(self._inbox)
            if kind == _EVALUATION or (kind == _END and self._is_exported(first))
        )
        return coming + self._received - settled

    def _put(self, kind: int, first: Any, second: Any = None, third: Any = None) -> None:
        if self._stopped:
            if kind == _END and self._is_exported(first):
                self._report_lost(first, "shutdown", "they ended after shutdown")
            return
        count = len(self._inbox)
        if count >= _MOST_RECORDS:
            self._overflow.append(None)
            return
        self._inbox.append((kind, first, second, third))
        if self._thread is None:
            self._start()
        elif count >= _MANY and not self._is_woken:
            self._is_woken = True
            self._wake.put(None)

    def _ask(self, kind: int, what: Any) -> Reply:
        reply = Reply()
        self._inbox.append((kind, what, reply, None))
        self._start()
        thread = self._thread
        if thread is None or not thread.is_alive() or thread is threading.current_thread():
            self._handle_inbox()  # no thread can be started any more: the interpreter shuts down
        else:
            self._wake.put(None)
        return reply

    def _start(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._run, name="otel-posthog-collector", daemon=True)
                thread.start()
                self._thread = thread
        except RuntimeError:  # at interpreter shutdown, or out of memory: the next record tries again
            self._thread = None
        finally:
            self._starting.release()

    # In the collector's thread.

    def _run(self) -> None:
        attach(set_value(_SUPPRESS_INSTRUMENTATION, True))
        while not self._finished:
            with suppress(Empty):
                self._wake.get(timeout=0.05 if self._hurries else _TICK)
            self._is_woken = False
            self._handle_inbox()
        # A record that arrives from now on starts a new thread, which handles it and ends.
        self._thread = None
        self._handle_inbox()

    def _handle_inbox(self) -> None:
        """Handle everything in the inbox, unless another thread is doing so."""
        if not self._owner.acquire(blocking=False):
            return
        try:
            waiting: list[Reply] = []
            everything = False
            for _ in range(len(self._inbox)):
                kind, first, second, third = self._inbox[0]
                if kind in (_FLUSH, _STOP):
                    everything = True
                    waiting.append(second)
                    self._finished = self._finished or kind == _STOP
                else:
                    self._handle(kind, first, second, third)
                self._inbox.popleft()
            everything = everything or self._finished
            complete = self._export_ready(everything)
            self._hand_over(everything)
            for reply in waiting:
                reply.complete = reply.complete and complete
                reply.resolve()
        finally:
            self._owner.release()

    def _handle(self, kind: int, first: Any, second: Any, third: Any) -> None:
        try:
            if kind == _START:
                self._handle_start(first, second, third)
            elif kind == _END:
                is_exported = self._is_exported(first)
                self._hints.ended(is_exported)
                self._traces.end(first, is_exported, self._clock())
                self._received += is_exported
            elif kind == _LOG:
                if evicted := self._logs.add(first, second, third):
                    self._ledger.warn("log_records", f"{evicted} log records with message content were dropped: too "
                                                     "many wait for spans that have not ended")  # fmt: skip
            elif kind == _EVALUATION:
                self._traces.evaluate(_with_context(first, capture_context_of(second, third)), self._clock())
                self._received += 1
            else:
                self._handle_export(first, second)
        except APP_ERRORS as error:  # one of the app's objects raised while it was read
            if kind in (_END, _EVALUATION):
                self._report(Result(), [error])
            else:
                self._ledger.warn("internal", f"a span could not be read: {type(error).__name__}", logging.ERROR)
            if kind == _EXPORT:
                second.complete = False
                second.resolve()

    def _handle_start(self, span: ReadableSpan, otel: Context, sdk: SdkIdentity) -> None:
        scope = span.instrumentation_scope.name if span.instrumentation_scope else ""
        is_call = self._memory.records_calls(scope)
        self._traces.start(span, trace.get_current_span(otel), capture_context_of(otel, sdk), self._clock(), is_call)

    def _is_exported(self, span: ReadableSpan) -> bool:
        ids = span.get_span_context()
        return bool(ids and ids.trace_flags.sampled) and self._pipeline.is_ai_span(span)

    def _handle_export(self, spans: Sequence[ReadableSpan], reply: Reply) -> None:
        fallback = fallback_context()
        if fallback is not None and spans:
            self._ledger.warn("content", "context(capture_content=False) is in use, and the plain exporter cannot tell "
                                         "where: it exports no content at all. PostHogSpanProcessor can.")  # fmt: skip
        contexts: dict[SpanKey, CaptureContext] = {}
        views = []
        for span in spans:
            ids = span.get_span_context()
            try:
                views.append(view_of(span, self._logs.take(ids.trace_id, ids.span_id) if ids is not None else ()))
            except APP_ERRORS as error:
                self._report(Result(), [error])
                reply.complete = False
                continue
            if fallback is not None:
                contexts[key_of(span)] = fallback
        evaluations = [record for ready in self._traces.take_evaluations() for record in ready.evaluations]
        self._unsettled += len(evaluations)
        result = self._pipeline.run(Batch(views, contexts, evaluations=evaluations), self._memory)
        self._hints.exported(result.exported)
        reply.complete = self._report(result) and reply.complete
        self._ledger.accepted(len(result.events))
        reply.receipt = self._delivery.put(result.events)
        self._hand_over(True)
        reply.resolve()

    def _export_ready(self, everything: bool) -> bool:
        complete = True
        ready = self._traces.take(self._clock(), self._is_worth_waiting, everything=everything)
        # Together, because the two records of one call may lie in two traces; and not too many, to free their memory.
        for start in range(0, len(ready), _MOST_TRACES):
            complete = self._export_group(ready[start : start + _MOST_TRACES]) and complete
        self._report_overflow()
        return complete

    def _is_worth_waiting(self, trace_id: int) -> bool:
        return self._memory.sampler.waits_for_errors(f"{trace_id:032x}")

    def _export_group(self, group: Sequence[ReadyTrace]) -> bool:
        contexts: dict[SpanKey, CaptureContext] = {}
        views, evaluations, errors = [], [], []
        around: list[TracedSpan] = []
        for ready in group:
            for ended in ready.ended:
                ids = ended.span.get_span_context()
                try:
                    views.append(view_of(ended.span, self._logs.take(ids.trace_id, ids.span_id) if ids else ()))
                except APP_ERRORS as error:
                    errors.append(error)
                    continue
                if ended.context is not None:
                    contexts[key_of(ended.span)] = ended.context
            around += context_of(ready, self._pipeline.parse_context_span)
            evaluations += ready.evaluations
        result = self._pipeline.run(Batch(views, contexts, around, evaluations, complete=True), self._memory)
        by_trace: dict[str, list[Exported]] = {}
        for exported in result.exported:
            by_trace.setdefault(exported.span.trace_id, []).append(exported)
        self._hints.exported(result.exported)
        for ready in group:
            self._traces.exported(ready, by_trace.get(f"{ready.trace_id:032x}", ()))
        complete = self._report(result, errors)
        if not self._outgoing:
            self._outgoing_since = self._clock()
        self._outgoing += result.events
        self._unsettled += sum(len(ready.ended) + len(ready.evaluations) for ready in group)
        self._hand_over(len(self._outgoing) >= self._batch_size)
        return complete

    def _hand_over(self, now: bool) -> None:
        """Give events to the delivery, ``now`` or once they have waited long enough."""
        if self._outgoing and not (now or self._hurries or self._clock() - self._outgoing_since >= self._delay):
            return
        if self._outgoing:
            self._ledger.accepted(len(self._outgoing))
            self._delivery.put(self._outgoing)
        self._outgoing = []
        self._settled += self._unsettled
        self._unsettled = 0

    def _report(self, result: Result, errors: Sequence[BaseException] = ()) -> bool:
        """Count the spans without an event; ``True`` if none of them was lost to an error."""
        for error in errors:
            self._ledger.accepted(1)
            self._ledger.record_drop("mapping_failed", 1, f"mapping failed: {type(error).__name__}")
        return result.report(self._ledger) and not errors

    def _report_overflow(self) -> None:
        if overflowed := len(self._overflow):
            for _ in range(overflowed):
                self._overflow.popleft()
            self._ledger.accepted(overflowed)
            detail = f"more than {_MOST_RECORDS:,} spans started and ended before they could be handled"
            self._ledger.record_drop("queue_full", overflowed, detail)

    def _report_lost(self, span: ReadableSpan, reason: str, detail: str) -> None:
        self._ledger.accepted(1)
        uuids = [("", event_uuid(*key_of(span)))] if self._reports_drops else []
        self._ledger.record_drop(reason, 1, detail, uuids)


def _with_context(record: EvaluationRecord, context: CaptureContext | None) -> EvaluationRecord:
    return record if context is None else replace(record, context=context)
