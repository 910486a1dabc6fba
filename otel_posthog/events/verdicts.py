"""Evaluations, feedback and metrics as PostHog's events of their own."""

from __future__ import annotations

from otel_posthog.events.identity import event_uuid, stable_uuid
from otel_posthog.events.silence import LONGEST_LABEL
from otel_posthog.operation import Json, Verdict
from otel_posthog.spans import SpanView

EVENTS = {"evaluation": "$ai_evaluation", "feedback": "$ai_feedback", "metric": "$ai_metric"}


def verdict_properties(verdict: Verdict, span: SpanView, content: bool) -> dict[str, Json]:
    """What PostHog reads of a verdict (posthog.md sections 1 and 4). The reasons of an evaluator quote what it read, so
    they are content; what a user said in a feedback was given to be sent. A short label is a class."""
    label = verdict.label
    if label is not None and not content and len(label) > LONGEST_LABEL:
        label = None
    result = label if label is not None else verdict.score
    found: dict[str, Json]
    if verdict.kind == "feedback":
        found = {"$ai_feedback_text": verdict.text}
    elif verdict.kind == "metric":
        found = {"$ai_metric_name": verdict.name, "$ai_metric_value": result}
    else:
        found = {
            "$ai_evaluation_id": stable_uuid("evaluation", verdict.name or ""),
            "$ai_evaluation_run_id": event_uuid(span.trace_id, span.span_id),
            "$ai_evaluation_name": verdict.name,
            "$ai_evaluation_type": "imported",
            "$ai_evaluation_result": result,
            "$ai_evaluation_result_type": None if result is None else "number" if result is verdict.score else "label",
            "$ai_evaluation_reasoning": verdict.text if content else None,
        }
        if label is not None:
            found["gen_ai.evaluation.score.value"] = verdict.score
    if span.trace_id:
        found["$ai_trace_id"] = span.trace_id
    if verdict.target_span_id is not None:
        found["$ai_target_span_id"] = verdict.target_span_id
        found["$ai_target_event_id"] = event_uuid(span.trace_id, verdict.target_span_id)
    return {name: value for name, value in found.items() if value is not None}
