"""Google's Agent Development Kit: ``gcp.vertex.agent.*`` beside the GenAI conventions.

Source: google-adk 1.25 (telemetry/tracing.py): request and answer of a model as JSON on the span ``call_llm``, the log
records say ``<elided>``. Version 2 writes the GenAI conventions alone.
"""

from __future__ import annotations

from otel_posthog._model import Operation
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import Attributes, parse_json, to_structure
from otel_posthog.conventions._payloads import read_request, read_response

_PREFIX = "gcp.vertex.agent."


def matches(span: SpanView) -> bool:
    """Whether ADK 1.x wrote the span, and OpenInference's instrumentation added nothing to it."""
    return span.has(_PREFIX) and "openinference.span.kind" not in span.attributes


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of an agent, a tool or a call of a model."""
    operation = Operation(kind="other", framework="google-adk")
    request = attributes.take(to_structure, _PREFIX + "llm_request")
    response = attributes.take(to_structure, _PREFIX + "llm_response")
    if request:
        read_request(operation, request)
    if response:
        read_response(operation, response)
        if operation.usage is not None:
            operation.usage.reasoning_inside = False  # Google counts thoughts beside candidates
    operation.input_state = attributes.take(parse_json, _PREFIX + "tool_call_args", _PREFIX + "data")
    operation.output_state = attributes.take(parse_json, _PREFIX + "tool_response")
    return operation
