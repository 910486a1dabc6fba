"""The attributes of evaluations, feedback and metrics, which are log records.

Source: semantic conventions, event ``gen_ai.evaluation.result``
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-events/); :func:`otel_posthog.feedback` and
:func:`otel_posthog.metric` use the same attributes.
"""

from __future__ import annotations

from otel_posthog._distinct_ids import usable
from otel_posthog._model import Evaluation, Operation
from otel_posthog.conventions._attributes import Attributes, to_id, to_number, to_str
from otel_posthog.conventions._identity import SESSION_ATTRIBUTES, USER_ATTRIBUTES
from otel_posthog.conventions.posthog import overrides

EVALUATION_EVENTS = frozenset(("gen_ai.evaluation.result", "posthog.feedback", "posthog.metric"))


def parse_evaluation(attributes: Attributes) -> Evaluation:
    """The evaluation of a log record."""
    attributes.drop("event.name")
    app = Operation("evaluation")
    overrides(app, attributes)
    users = [usable(attributes.take(to_id, name)) for name in USER_ATTRIBUTES]
    sessions = [attributes.take(to_id, name) for name in SESSION_ATTRIBUTES]
    return Evaluation(
        name=attributes.take(to_str, "gen_ai.evaluation.name"),
        label=attributes.take(to_str, "gen_ai.evaluation.score.label"),
        score=attributes.take(to_number, "gen_ai.evaluation.score.value"),
        text=attributes.take(to_str, "gen_ai.evaluation.explanation"),
        response_id=attributes.take(to_id, "gen_ai.response.id"),
        user=next(filter(None, users), None),
        session=next(filter(None, sessions), None),
        groups=app.groups,
        overrides=app.overrides,
    )
