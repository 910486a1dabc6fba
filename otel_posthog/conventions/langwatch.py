"""LangWatch's SDKs: ``langwatch.*``, values in envelopes with their type.

Source: LangWatch's SDKs for Python, JavaScript and Go (``langwatch.input``: ``{"type": "chat_messages", "value": …}``);
models and parameters are in the GenAI conventions.
"""

from __future__ import annotations

from typing import Any

from otel_posthog._model import Cost, Json, Kind, Operation
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import Attributes, parse_json, parse_quoted_json, to_str, to_str_list
from otel_posthog.conventions._json import string
from otel_posthog.conventions._messages import messages_of
from otel_posthog.conventions._payloads import read_output, read_parameters
from otel_posthog.conventions._tools import tools_in, tools_of
from otel_posthog.conventions._usage import merge_usage, usage_of

_PREFIX = "langwatch."

# langwatch.span.type
KINDS: dict[str, Kind] = {
    "llm": "generation",
    "tool": "tool",
    "agent": "agent",
    "rag": "retrieval",
    "guardrail": "guardrail",
    "evaluation": "evaluation",
    "prompt": "prompt",
    "chain": "chain",
    "workflow": "chain",
    "component": "chain",
    "module": "chain",
    "task": "chain",
}


def matches(span: SpanView) -> bool:
    """Whether LangWatch wrote the span, rather than an id onto another's."""
    return span.has(_PREFIX + "span.type", _PREFIX + "input", _PREFIX + "output")


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of a LangWatch span."""
    operation = Operation(KINDS.get(attributes.take(to_str, _PREFIX + "span.type") or "", "other"))
    input, output = attributes.take(_value, _PREFIX + "input"), attributes.take(_value, _PREFIX + "output")
    if operation.kind == "generation":
        operation.input = messages_of(input)
        if output is not None:
            read_output(operation, output)
    else:
        operation.input_state, operation.output_state = input, output
    metrics = attributes.take(_value, _PREFIX + "metrics")
    if isinstance(metrics, dict):
        cost = metrics.pop("cost", None)
        operation.cost = Cost(total=cost) if isinstance(cost, (int, float)) and cost else None
        merge_usage(operation, usage_of(metrics))
    parameters = attributes.take(_value, _PREFIX + "params")  # of `autotrack_openai_calls`, with the tools
    if isinstance(parameters, dict):
        read_parameters(operation, parameters)
        operation.tools = tools_of(tools_in(parameters))
    operation.tags = attributes.take(to_str_list, _PREFIX + "labels")
    metadata = attributes.take(_value, "metadata")  # of the trace, as Python's SDK writes it
    if isinstance(metadata, dict):
        operation.user = string(metadata.pop("user_id", None)) or None
        operation.session = string(metadata.pop("thread_id", None)) or None
        labels = metadata.pop("labels", None)
        operation.tags = operation.tags or (labels if isinstance(labels, list) else None)
        operation.metadata.update(metadata)
    documents = attributes.take(_value, _PREFIX + "rag_contexts", _PREFIX + "rag.contexts")
    if operation.kind == "retrieval" and documents is not None:
        operation.output_state = documents
    attributes.drop(_PREFIX + "timestamps", _PREFIX + "sdk.name", _PREFIX + "sdk.language", _PREFIX + "sdk.version")
    return operation


def _value(written: Any) -> Json:
    value = parse_quoted_json(written)
    if isinstance(value, dict) and value.keys() == {"type", "value"}:
        value = value["value"]
        if isinstance(value, dict) and value.keys() == {"type", "value"}:  # messages with an image are wrapped twice
            value = value["value"]
        return parse_json(value) if isinstance(value, str) else value
    return value
