"""Evaluations, feedback and metrics, which come as log records.

Source: semantic conventions, event ``gen_ai.evaluation.result``. ``posthog.feedback`` and ``posthog.metric`` are what
:func:`otel_posthog.feedback` and :func:`otel_posthog.metric` write.
"""

from __future__ import annotations

from typing import Literal

from otel_posthog._model import Evaluation, Operation
from otel_posthog._spans import LOG_RECORD, SpanView
from otel_posthog.conventions._attributes import Attributes, to_id, to_number, to_str

KINDS: dict[str, Literal["evaluation", "feedback", "metric"]] = {
    "gen_ai.evaluation.result": "evaluation",
    "posthog.feedback": "feedback",
    "posthog.metric": "metric",
}


def matches(span: SpanView) -> bool:
    """Whether the view is one of such a log record."""
    return span.kind == LOG_RECORD and span.name in KINDS


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The evaluation, about the span that the record was written for."""
    attributes.drop("event.name")
    evaluation = Evaluation(
        KINDS[span.name],
        name=attributes.take(to_str, "gen_ai.evaluation.name"),
        label=attributes.take(to_str, "gen_ai.evaluation.score.label"),
        score=attributes.take(to_number, "gen_ai.evaluation.score.value"),
        text=attributes.take(to_str, "gen_ai.evaluation.explanation"),
        target_span_id=span.parent_span_id,
    )
    return Operation("evaluation", response_id=attributes.take(to_id, "gen_ai.response.id"), evaluation=evaluation)
