"""Pipecat: bare attributes (``input``, ``output``, ``tools``, ``stream``) beside the GenAI conventions.

Source: pipecat-ai 1.14 (utils/tracing). Such generic names are read under Pipecat's own scope only.
"""

from __future__ import annotations

from otel_posthog._model import Operation
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import Attributes, parse_json, to_any, to_bool, to_number
from otel_posthog.conventions._messages import messages_in
from otel_posthog.conventions._tools import tools_of

_SCOPE = "pipecat"


def matches(span: SpanView) -> bool:
    """Whether Pipecat wrote the span, and it is about AI."""
    return span.scope_name.partition(".")[0] == _SCOPE and span.has("gen_ai.")


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of a Pipecat service."""
    operation = Operation(kind="other", framework="pipecat")
    operation.input = messages_in(attributes.take(to_any, "input"))[0]
    operation.output = messages_in(attributes.take(to_any, "output"), "assistant")[0]
    operation.tools = tools_of(attributes.take(parse_json, "tools"))
    operation.streaming = attributes.take(to_bool, "stream")
    operation.time_to_first_token = attributes.take(to_number, "metrics.ttfb")
    attributes.drop("tool_count", "gen_ai.system_instructions")
    return operation
