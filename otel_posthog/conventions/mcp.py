"""Model Context Protocol: ``mcp.*`` of OpenTelemetry's conventions and of Traceloop's instrumentation.

Source: semantic conventions "MCP" (``mcp.method.name``, ``mcp.session.id``, ``gen_ai.tool.*``);
opentelemetry-instrumentation-mcp 0.5x (``mcp.method.name``, ``mcp.request.argument``, ``mcp.response.value``); the
``mcp`` SDK 2.3, which traces itself (recorded).
"""

from __future__ import annotations

from otel_posthog.conventions import openllmetry, semconv
from otel_posthog.conventions._attributes import Attributes, identifier, state, text
from otel_posthog.operation import Kind, Operation
from otel_posthog.spans import SpanView

KINDS: dict[str, Kind] = {
    "tools/call": "tool",
    "resources/read": "retrieval",
    "prompts/get": "prompt",
}


def recognises(span: SpanView) -> bool:
    """Whether the span is an MCP request."""
    return "mcp.method.name" in span.attributes


def read(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of an MCP request."""
    method = attributes.take(text, "mcp.method.name") or ""
    operation = Operation(kind=KINDS.get(method, "other"), framework="mcp", operation_name=method)
    operation.name = attributes.take(text, "mcp.tool.name", "mcp.resource.uri", "mcp.prompt.name")
    if operation.name is None and "gen_ai.tool.name" not in attributes:
        operation.name = _target(span.name, method)
    operation.session = attributes.take(identifier, "mcp.session.id")
    operation.input_state = attributes.take(state, "mcp.request.argument")
    operation.output_state = attributes.take(state, "mcp.response.value")
    if openllmetry.recognises(span):
        attributes.drop("traceloop.span.kind")
    semconv.fill(operation, span, attributes)
    return operation


def _target(name: str, method: str) -> str | None:
    """The spec names spans "{method} {target}", and the SDK writes the tool nowhere else."""
    return name.partition(f"{method} ")[2] or None if method else None
