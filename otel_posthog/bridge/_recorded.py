"""Recorded telemetry through the pipeline without sending: for ``--dry-run`` and for `otel-posthog explain`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

import orjson

from otel_posthog._memory import Memory
from otel_posthog._model import Json
from otel_posthog._pipeline import Pipeline, Result
from otel_posthog._spans import EventView, SpanView
from otel_posthog._trace import Batch, EvaluationRecord, SpanKey
from otel_posthog.bridge._bodies import DECODERS
from otel_posthog.bridge._files import read_records
from otel_posthog.bridge._values import UndecodableError
from otel_posthog.stages.sampling import Sampler

_MOST_SPANS = 50_000  # that are mapped together; a file with more is mapped in parts


@dataclass(slots=True)
class Recorded:
    """Spans with their log records, and events that were captured before."""

    spans: list[SpanView] = field(default_factory=list)
    evaluations: list[EvaluationRecord] = field(default_factory=list)
    events: list[dict[str, Json]] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)


def read_files(paths: Sequence[str]) -> Iterator[Recorded]:
    """What files hold, in one part unless it is large.

    Raises:
        UnreadableError, OSError: as :func:`~otel_posthog.bridge._files.read_records`.
    """
    part, logs = Recorded(), list[tuple[SpanKey, EventView]]()
    for record in chain.from_iterable(map(read_records, paths)):
        if record.kind == "events":
            part.events.append(orjson.loads(record.body))
            continue
        try:
            decoded = DECODERS[record.kind](record.body)
        except UndecodableError as error:
            part.rejected[f"records: {error}"] += 1
            continue
        part.spans += decoded.spans
        part.evaluations += decoded.evaluations
        part.rejected.update(decoded.rejected)
        logs += decoded.logs
        if len(part.spans) >= _MOST_SPANS:
            yield _with_logs(part, logs)
            part, logs = Recorded(), []
    yield _with_logs(part, logs)


def _with_logs(part: Recorded, logs: list[tuple[SpanKey, EventView]]) -> Recorded:
    by_span: dict[SpanKey, list[EventView]] = {}
    for key, record in logs:
        by_span.setdefault(key, []).append(record)
    for span in part.spans:
        span.logs = by_span.get((span.trace_id, span.span_id), ())
    return part


def map_spans(part: Recorded, pipeline: Pipeline) -> Result:
    """The events of a part, and what became no event."""
    batch = Batch(part.spans, evaluations=part.evaluations, complete=True)
    return pipeline.run(batch, Memory(Sampler(1.0, False)))
