"""Model Context Protocol: ``mcp.*`` of OpenTelemetry's conventions and of Traceloop's instrumentation.

Source: semantic conventions "MCP" (``mcp.method.name``, ``mcp.session.id``, ``gen_ai.tool.*``);
opentelemetry-instrumentation-mcp 0.5x (``mcp.method.name``, ``mcp.request.argument``, ``mcp.response.value``); the
``mcp`` SDK 2.3, which traces itself (recorded).
"""

from __future__ import annotations

from otel_posthog._model import Kind, Operation
from otel_posthog._spans import SpanView
from otel_posthog.conventions import openllmetry
from otel_posthog.conventions._attributes import Attributes, parse_json, to_id, to_str

KINDS: dict[str, Kind] = {
    "tools/call": "tool",
    "resources/read": "retrieval",
    "prompts/get": "prompt",
}


def matches(span: SpanView) -> bool:
    """Whether the span is an MCP request."""
    return "mcp.method.name" in span.attributes


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of an MCP request."""
    method = attributes.take(to_str, "mcp.method.name") or ""
    operation = Operation(kind=KINDS.get(method, "other"), framework="mcp", operation_name=method)
    operation.name = attributes.take(to_str, "mcp.tool.name", "mcp.resource.uri", "mcp.prompt.name")
    if operation.name is None and "gen_ai.tool.name" not in attributes:
        operation.name = _target(span.name, method)
    operation.session = attributes.take(to_id, "mcp.session.id")
    operation.input_state = attributes.take(parse_json, "mcp.request.argument")
    operation.output_state = attributes.take(parse_json, "mcp.response.value")
    if openllmetry.matches(span):
        attributes.drop("traceloop.span.kind")
    return operation


def _target(name: str, method: str) -> str | None:
    """The spec names spans "{method} {target}", and the SDK writes the tool nowhere else."""
    return name.partition(f"{method} ")[2] or None if method else None
