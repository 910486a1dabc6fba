"""Evaluations, feedback and metrics as PostHog's events of their own."""

from __future__ import annotations

from otel_posthog._model import Evaluation, Json
from otel_posthog._spans import SpanView
from otel_posthog.events.identity import event_uuid, stable_uuid
from otel_posthog.events.silence import LONGEST_LABEL

EVENTS = {"evaluation": "$ai_evaluation", "feedback": "$ai_feedback", "metric": "$ai_metric"}


def evaluation_properties(evaluation: Evaluation, span: SpanView, content: bool) -> dict[str, Json]:
    """The properties that PostHog reads from an evaluation, feedback or metric event.

    An evaluator's reasons quote what it read, so they are content; feedback text was given in order to be sent. A short
    label is a class name.
    """
    label = evaluation.label
    if label is not None and not content and len(label) > LONGEST_LABEL:
        label = None
    result = label if label is not None else evaluation.score
    found: dict[str, Json]
    if evaluation.kind == "feedback":
        found = {"$ai_feedback_text": evaluation.text}
    elif evaluation.kind == "metric":
        found = {"$ai_metric_name": evaluation.name, "$ai_metric_value": result}
    else:
        found = {
            "$ai_evaluation_id": stable_uuid("evaluation", evaluation.name or ""),
            "$ai_evaluation_run_id": event_uuid(span.trace_id, span.span_id),
            "$ai_evaluation_name": evaluation.name,
            "$ai_evaluation_type": "imported",
            "$ai_evaluation_result": result,
            "$ai_evaluation_result_type": None
            if result is None
            else "number"
            if result is evaluation.score
            else "label",
            "$ai_evaluation_reasoning": evaluation.text if content else None,
        }
        if label is not None:
            found["gen_ai.evaluation.score.value"] = evaluation.score
    if span.trace_id:
        found["$ai_trace_id"] = span.trace_id
    if evaluation.target_span_id is not None:
        found["$ai_target_span_id"] = evaluation.target_span_id
        found["$ai_target_event_id"] = event_uuid(span.trace_id, evaluation.target_span_id)
    return {name: value for name, value in found.items() if value is not None}


def _result_type(result: str | float | None) -> str | None:
    if result is None:
        return None
    return "label" if isinstance(result, str) else "number"
