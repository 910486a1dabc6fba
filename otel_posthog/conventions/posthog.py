"""Attributes that an app names after PostHog's properties: ``$ai_…``, ``posthog.…``. They win over everything else.

Source: https://posthog.com/docs/llm-analytics/manual-capture for the names of the properties.
"""

from __future__ import annotations

from typing import Any

from otel_posthog._model import Kind, Operation
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import Attributes, parse_json

USER = (
    "posthog.distinct_id",
    "ai.telemetry.metadata.posthog_distinct_id",
    "ai.settings.context.posthog_distinct_id",
)
SESSION = (
    "$ai_session_id",
    "posthog.session_id",
    "ai.telemetry.metadata.$ai_session_id",
    "ai.settings.context.$ai_session_id",
)
_IDENTITY = frozenset((*USER, *SESSION))


def matches(span: SpanView) -> bool:
    """Whether the app set one of PostHog's AI properties itself."""
    return span.has("$ai_")


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of a span that has only such attributes."""
    return Operation(kind=call_kind(attributes))


def call_kind(attributes: Attributes, model: str | None = None) -> Kind:
    """A generation if there is a model (``model`` or the app's ``$ai_model``) and the app set an output."""
    has_output = "$ai_output_tokens" in attributes or "$ai_output_choices" in attributes
    return "generation" if has_output and (model or attributes.peek("$ai_model")) else "other"


def overrides(operation: Operation, attributes: Attributes) -> None:
    """Take the properties, and the groups, that the app set by name."""
    for name in [name for name in attributes if name.startswith(("$", "posthog.")) and name not in _IDENTITY]:
        value: Any = attributes.left.pop(name)
        key = name.removeprefix("posthog.").removeprefix("properties.")
        if key in ("groups", "$groups"):
            decoded = parse_json(value)
            if isinstance(decoded, dict):
                operation.groups = decoded
        elif key.startswith("$"):
            operation.overrides[key] = parse_json(value)
        elif key:
            operation.overrides[key] = value
