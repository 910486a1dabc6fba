"""VoltAgent: ``span.type`` and bare attributes (``input``, ``output``, ``llm.*``, ``tool.*``, ``usage.*``).

Source: @voltagent/core 2.10 as recorded. A span ``llm:…`` covers all steps of the AI SDK's call, with the tokens of the
last one; the agent above has the tokens of all.
"""

from __future__ import annotations

from otel_posthog._model import Kind, Message, Operation, Text
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import (
    Attributes,
    index_of,
    parse_json,
    parse_quoted_json,
    to_any,
    to_bool,
    to_int,
    to_number,
    to_str,
)
from otel_posthog.conventions._messages import messages_in
from otel_posthog.conventions._usage import take_usage

SCOPE = "@voltagent/core"

# span.type; the span of an agent has none
KINDS: dict[str, Kind] = {
    "llm": "generation",
    "embedding": "embedding",
    "tool": "tool",
    "agent": "agent",
    "memory": "chain",
    "retriever": "retrieval",
    "guardrail": "guardrail",
    "scorer": "evaluation",
    "workflow": "chain",
    "workflow-step": "chain",
}
PARAMETERS = index_of(
    ("temperature", to_number, ("llm.temperature",)),
    ("max_tokens", to_int, ("llm.max_tokens", "llm.max_output_tokens")),
    ("top_p", to_number, ("llm.top_p",)),
)
_OF_THE_SDK = ("entity.", "operation.id", "usage.prompt_context.", "agent.", "ai.model.", "llm.", "span.label",
               "tool.parameters", "voltagent.", "memory.")  # fmt: skip


def matches(span: SpanView) -> bool:
    """Whether VoltAgent wrote the span."""
    return span.scope_name == SCOPE


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of an agent, a call, a tool or an access to the memory."""
    kind = attributes.take(to_str, "span.type") or attributes.peek("entity.type")
    operation = Operation(KINDS.get(str(kind), "chain"), framework="voltagent")
    operation.name = attributes.take(to_str, "tool.name")
    operation.request_model = attributes.take(to_str, "llm.model", "ai.model.name")
    if operation.is_call:
        _read_call(operation, attributes)
    else:
        operation.input_state = attributes.take(parse_quoted_json, "input")
        operation.output_state = attributes.take(parse_quoted_json, "output")
        take_usage(attributes, ("usage.",))  # the sum of the calls below
    attributes.drop(*(name for name in attributes if name.startswith(_OF_THE_SDK)))
    return operation


def _read_call(operation: Operation, attributes: Attributes) -> None:
    operation.parameters.update(attributes.take_all(PARAMETERS))
    operation.streaming = attributes.take(to_bool, "llm.stream")
    operation.usage = take_usage(attributes, ("llm.usage.",))
    reason = attributes.take(to_str, "llm.finish_reason")
    operation.finish_reasons = [reason] if reason else []
    given = attributes.take(to_any, "llm.messages", "input")
    operation.input = messages_in(given)[0] if given is not None else None
    answer = attributes.take(parse_json, "llm.output", "output")
    operation.output = [Message("assistant", [Text(answer)])] if isinstance(answer, str) and answer else None
