"""Mastra: ``mastra.*`` beside the GenAI conventions.

Source: @mastra/otel-exporter 1.4 (Mastra 1.71). Agents, steps and tools have their input and output as JSON under the
type of the span; user and session are in ``mastra.metadata.*``. A span for each part of an output repeats it.
"""

from __future__ import annotations

from typing import Any

from otel_posthog._model import Kind, Operation
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import Attributes, parse_json, to_any, to_str
from otel_posthog.conventions._identity import IDENTITY_NAMES
from otel_posthog.conventions._messages import holds_messages, messages_in
from otel_posthog.conventions._times import seconds_into

# mastra.span.type; the GenAI conventions say what calls of models are
KINDS: dict[str, Kind] = {
    "agent_run": "agent",
    "model_step": "chain",
    "tool_call": "tool",
    "mcp_tool_call": "tool",
    "workflow_run": "chain",
    "workflow_step": "chain",
}
_CHUNK = "model_chunk"
_METADATA = "mastra.metadata."


def matches(span: SpanView) -> bool:
    """Whether Mastra wrote the span."""
    return "mastra.span.type" in span.attributes


def parse(span: SpanView, attributes: Attributes) -> Operation | None:
    """The operation of a Mastra span; ``None`` for a part of an output."""
    kind = attributes.take(to_str, "mastra.span.type") or ""
    if kind == _CHUNK:
        return None
    is_no_call = attributes.peek("gen_ai.operation.name") == kind  # only calls of models have another name
    operation = Operation(kind=KINDS.get(kind, "chain" if is_no_call else "other"), framework="mastra")
    input = attributes.take(to_any, f"mastra.{kind}.input")
    output = attributes.take(to_any, f"mastra.{kind}.output")
    state = parse_json(input)
    if operation.kind == "tool":
        operation.input_state = state
    elif holds_messages(state) or isinstance(input, str):
        operation.input = messages_in(input)[0]
    else:
        operation.input_state = state
    operation.output_state = _text_of(parse_json(output))
    attributes.drop(*(name for name in attributes if name.startswith(f"mastra.{kind}.")))
    begun = attributes.take(to_str, "mastra.completion_start_time")
    if begun is not None:
        operation.time_to_first_token = seconds_into(span, begun)
    _read_metadata(operation, attributes)
    if operation.kind == "agent":
        attributes.drop("gen_ai.system_instructions")  # of the agent; the steps have the prompt
    return operation


# Of the provider's answer, which the span has in other attributes.
_OF_THE_RESPONSE = frozenset(("body", "headers", "modelMetadata"))


def _read_metadata(operation: Operation, attributes: Attributes) -> None:
    for name in [name for name in attributes if name.startswith(_METADATA) and name not in IDENTITY_NAMES]:
        value, key = attributes.left.pop(name), name[len(_METADATA) :]
        if key not in _OF_THE_RESPONSE:
            operation.metadata[key] = parse_json(value)


def _text_of(output: Any) -> Any:
    """The text of an output that has nothing else."""
    if not isinstance(output, dict) or not isinstance(output.get("text"), str):
        return output
    return output if any(value for name, value in output.items() if name != "text") else output["text"]
