"""Evaluations, feedback and metrics: log records that become events of their own.

Source: semantic conventions, event ``gen_ai.evaluation.result``
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-events/). ``posthog.feedback`` and ``posthog.metric`` are
what :func:`otel_posthog.feedback` and :func:`otel_posthog.metric` write.
"""

from __future__ import annotations

from otel_posthog._distinct_ids import usable
from otel_posthog._model import Json
from otel_posthog._trace import EvaluationRecord, Identity
from otel_posthog.conventions import Attributes, parse_evaluation
from otel_posthog.events import (
    Event,
    EventOptions,
    about_us,
    add_person,
    allowed_without_content,
    passed_through,
)
from otel_posthog.events.identity import event_uuid, stable_uuid, timestamp_of

EVENTS = {
    "gen_ai.evaluation.result": "$ai_evaluation",
    "posthog.feedback": "$ai_feedback",
    "posthog.metric": "$ai_metric",
}


def build_evaluation(
    record: EvaluationRecord, identity: Identity, uuid: str, options: EventOptions, *, content: bool = True
) -> Event:
    """The event of a log record; ``uuid`` is the event's own."""
    attributes = Attributes(record.attributes)
    evaluation = parse_evaluation(attributes)
    own = evaluation.user or evaluation.session or evaluation.groups
    if own:
        identity = Identity(
            evaluation.user or identity.user,
            evaluation.session or identity.session,
            evaluation.groups or identity.groups,
            identity.properties,
        )
    name = EVENTS[record.name]
    properties = passed_through(attributes.left, record.resource, options)
    result = evaluation.label if evaluation.label is not None else evaluation.score
    found: dict[str, Json]
    if name == "$ai_feedback":
        found = {"$ai_feedback_text": evaluation.text}
    elif name == "$ai_metric":
        found = {"$ai_metric_name": evaluation.name, "$ai_metric_value": result}
    else:
        found = {
            "$ai_evaluation_id": stable_uuid("evaluation", evaluation.name or ""),
            "$ai_evaluation_run_id": uuid,
            "$ai_evaluation_name": evaluation.name,
            "$ai_evaluation_type": "imported",
            "$ai_evaluation_result": result,
            "$ai_evaluation_result_type": _result_type(result),
            "$ai_evaluation_reasoning": evaluation.text,
        }
        if evaluation.label is not None:
            found["gen_ai.evaluation.score.value"] = evaluation.score
    found["$ai_response_id"] = evaluation.response_id
    found["$ai_session_id"] = identity.session
    if record.trace_id:
        found["$ai_trace_id"] = record.trace_id
    if record.span_id:
        found["$ai_target_span_id"] = record.span_id
        found["$ai_target_event_id"] = event_uuid(record.trace_id, record.span_id)
    if identity.groups:
        found["$groups"] = dict(identity.groups)
    properties.update({key: value for key, value in found.items() if value is not None})
    distinct_id = add_person(properties, identity, record.trace_id, record.resource, options)
    properties.update(about_us())
    properties.update(identity.properties)
    properties.update(evaluation.overrides)
    if not content:
        properties = allowed_without_content(properties, record.resource, options)
    return Event(name, uuid, distinct_id, timestamp_of(record.time_unix_nano), properties)


def identity_of(record: EvaluationRecord) -> Identity:
    """What the capture context of the record says."""
    context = record.context
    if context is None:
        return Identity()
    return Identity(
        usable(context.distinct_id) or usable(context.baggage_user),
        context.session_id or context.baggage_session,
        context.groups,
        context.properties,
    )


def _result_type(result: str | float | None) -> str | None:
    if result is None:
        return None
    return "label" if isinstance(result, str) else "number"
