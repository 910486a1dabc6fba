"""Evaluations, feedback and metrics, which come as log records.

Source: semantic conventions, event ``gen_ai.evaluation.result``. ``posthog.feedback`` and ``posthog.metric`` are what
:func:`otel_posthog.feedback` and :func:`otel_posthog.metric` write.
"""

from __future__ import annotations

from typing import Literal

from otel_posthog.conventions._attributes import Attributes, identifier, number, text
from otel_posthog.operation import Operation, Verdict
from otel_posthog.spans import LOG_RECORD, SpanView

KINDS: dict[str, Literal["evaluation", "feedback", "metric"]] = {
    "gen_ai.evaluation.result": "evaluation",
    "posthog.feedback": "feedback",
    "posthog.metric": "metric",
}


def recognises(span: SpanView) -> bool:
    """Whether the view is one of such a log record."""
    return span.kind == LOG_RECORD and span.name in KINDS


def read(span: SpanView, attributes: Attributes) -> Operation:
    """The verdict, about the span that the record was written for."""
    attributes.drop("event.name")
    verdict = Verdict(
        KINDS[span.name],
        name=attributes.take(text, "gen_ai.evaluation.name"),
        label=attributes.take(text, "gen_ai.evaluation.score.label"),
        score=attributes.take(number, "gen_ai.evaluation.score.value"),
        text=attributes.take(text, "gen_ai.evaluation.explanation"),
        target_span_id=span.parent_span_id,
    )
    return Operation("evaluation", response_id=attributes.take(identifier, "gen_ai.response.id"), verdict=verdict)
