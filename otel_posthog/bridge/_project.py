"""One PostHog project behind the bridge: its trace window, pipeline, memory and delivery."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from otel_posthog._memory import Memory
from otel_posthog._pipeline import Pipeline, Result
from otel_posthog._spans import SpanView
from otel_posthog._trace import Batch, EvaluationRecord
from otel_posthog.bridge._ticket import Ticket
from otel_posthog.bridge._values import Decoded
from otel_posthog.bridge._window import TraceWindow
from otel_posthog.conventions import MARKERS
from otel_posthog.delivery import Delivery, Ledger, Stats
from otel_posthog.events.size import shrink
from otel_posthog.settings import Settings
from otel_posthog.stages.sampling import Sampler

_MOST_IN_VAIN = 50  # spans in a row whose log records do not come before none are awaited

# Called with each batch's spans and what became of them.
Observer = Callable[[list[SpanView], Result], object]


@dataclass(frozen=True, slots=True)
class Window:
    """How long and how large the trace window may be; ``complete`` if no part of a trace comes after it."""

    seconds: float = 2.0
    max_bytes: int = 64 * 1024 * 1024
    complete: bool = False


@dataclass(slots=True)
class Counts:
    """Spans and log records of a project since the start."""

    spans: int = 0
    log_records: int = 0
    unclaimed_log_records: int = 0
    rejected: dict[str, int] = field(default_factory=dict)


class Project:
    """What is exported with one key. All methods but :meth:`stats` belong to the intake's thread."""

    def __init__(self, settings: Settings, window: Window, observer: Observer | None = None) -> None:
        self.settings = settings
        # Names the project in files and metrics, where the key must not stand.
        self.fingerprint = hashlib.sha256(settings.api_key.encode()).hexdigest()[:12]
        self.is_durable = settings.spool_dir is not None
        self.counts = Counts()
        self.ledger = Ledger()
        self.delivery = Delivery(settings, self.ledger, shrink)
        # Files of log records may be read long after those of their spans.
        self.window = TraceWindow(window.seconds, window.max_bytes, math.inf if window.complete else _MOST_IN_VAIN)
        self._pipeline = Pipeline(settings, self.delivery.encode)
        self._memory = Memory(Sampler(settings.sample_rate, settings.sample_errors))
        self._complete, self._observer = window.complete, observer
        self._evaluations: list[tuple[EvaluationRecord, Ticket]] = []

    def add(self, decoded: Decoded, ticket: Ticket, now: float) -> None:
        """Take what a request holds into the window."""
        counts, window = self.counts, self.window
        counts.spans += len(decoded.spans)
        counts.log_records += len(decoded.logs) + len(decoded.evaluations)
        for reason, count in decoded.rejected.items():
            counts.rejected[reason] = counts.rejected.get(reason, 0) + count
        for span, size in zip(decoded.spans, decoded.sizes, strict=True):
            # Nothing is lost with spans that make no event, so no answer waits for them.
            window.add_span(span, size, ticket if span.has(*MARKERS) else None, now)
        for key, record in decoded.logs:
            window.add_log(key, record, len(repr(record.body)), ticket, now)
        for evaluation in decoded.evaluations:
            ticket.parts += 1
            self._evaluations.append((evaluation, ticket))

    def export_ready(
        self, now: float, everything: bool, when_delivered: Callable[[list[Ticket]], object]
    ) -> list[Ticket]:
        """Make events of the traces that are ready and hand them to the delivery.

        The result has a ticket for each part that is on disk now. For parts that are not, ``when_delivered`` is called
        later, in another thread.
        """
        ready = self.window.take_ready(now, everything)
        evaluations, self._evaluations = self._evaluations, []
        if not ready and not evaluations:
            return []
        spans = [span for trace in ready for span in trace.views()]
        context = self.window.context_of({span.trace_id: None for span in spans})
        batch = Batch(spans, {}, context, [record for record, _ in evaluations], complete=self._complete)
        result = self._pipeline.run(batch, self._memory)
        self.window.keep(spans, result.exported)
        self.counts.unclaimed_log_records += sum(trace.unclaimed_logs for trace in ready)
        result.report(self.ledger)
        self.ledger.accepted(len(result.events))
        receipt = self.delivery.put(result.events)
        parts = [ticket for trace in ready for ticket in trace.owners] + [ticket for _, ticket in evaluations]
        for ticket in dict.fromkeys(parts):
            ticket.receipts.append(receipt)
        if self._observer is not None:
            self._observer(spans, result)
        if receipt.is_stored:
            return parts
        receipt.on_done(lambda: when_delivered(parts))
        return []

    @property
    def is_full(self) -> bool:
        """Whether the spool is about to exceed its bound, beyond which it drops events."""
        return self.is_durable and self.delivery.stats().spool_bytes > self.settings.max_spool_bytes * 0.9

    def stats(self) -> Stats:
        """The delivery's counters."""
        return self.delivery.stats()
