"""OpenLLMetry and the Traceloop SDK: flattened ``gen_ai.prompt.N.*`` messages, decorators, association properties.

Source: opentelemetry-semantic-conventions-ai 0.4 and 0.5; instrumentations 0.38 (flattened) and 0.62 (current), the
Traceloop SDK 0.62, as recorded. Current versions write the GenAI conventions, which :mod:`.semconv` completes.
"""

from __future__ import annotations

from typing import Any

import orjson

from otel_posthog.conventions import semconv
from otel_posthog.conventions._attributes import Attributes, identifier, state, text
from otel_posthog.conventions._indexed import listed, nested
from otel_posthog.conventions._messages import messages_of, tools_of
from otel_posthog.operation import Json, Kind, Message, Operation, Reasoning
from otel_posthog.spans import SpanView

# traceloop.span.kind
KINDS: dict[str, Kind] = {"workflow": "chain", "task": "chain", "agent": "agent", "tool": "tool"}

_ASSOCIATION = "traceloop.association.properties."
_OWN = ("traceloop.", "llm.request.type", "llm.request.functions.")
_FLATTENED = ("gen_ai.prompt.", "gen_ai.completion.")
# Attribute limits may evict the first ones, so any digit will do.
_FIRST_INDEXES = tuple(f"{prefix}{digit}" for prefix in _FLATTENED for digit in range(10))


def _is_flattened(name: str) -> bool:
    """``gen_ai.prompt.0.content``, but not ``gen_ai.prompt.name``."""
    return name.startswith(_FLATTENED) and name.split(".", 3)[2].isdigit()


def recognises(span: SpanView) -> bool:
    """Whether the span has a Traceloop attribute or flattened prompts."""
    return span.has(*_OWN, *_FIRST_INDEXES)


def read(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of an OpenLLMetry or Traceloop span."""
    operation = Operation(kind=KINDS.get(attributes.take(text, "traceloop.span.kind") or "", "other"))
    if operation.kind != "other":
        operation.framework = "traceloop"
        operation.name = attributes.take(text, "traceloop.entity.name")
        attributes.drop("gen_ai.operation.name")
    if not span.has(*_FLATTENED):
        # Requests of MCP have no kind, and their params and results here.
        operation.input_state = _entity(attributes, "traceloop.entity.input")
        operation.output_state = _entity(attributes, "traceloop.entity.output")
    operation.prompt_name = attributes.take(text, "traceloop.prompt.key")
    operation.prompt_version = attributes.take(state, "traceloop.prompt.version")
    _read_association(operation, attributes)
    _read_flattened(operation, attributes)
    semconv.fill(operation, span, attributes)
    if operation.kind == "other" and (operation.input or operation.output) and operation.operation_name is None:
        # Attribute limits evict the oldest first: llm.request.type and the model go, the completion stays.
        operation.kind = "generation"
    return operation


def _entity(attributes: Attributes, name: str) -> Json:
    """A decorated function's arguments or result: JSON, in which a text may again be JSON."""
    value = attributes.take(state, name)
    if isinstance(value, str) and value[:1] == '"':
        value = state(_unquoted(value))
    if isinstance(value, dict) and set(value) == {"args", "kwargs"}:
        args, kwargs = value["args"], value["kwargs"]
        if not args or not kwargs:
            value = args or kwargs
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
    elif isinstance(value, dict) and set(value) == {"tool_name", "arguments"}:  # a tool call over MCP
        value = value["arguments"]
    elif isinstance(value, dict) and set(value) == {"result"}:
        value = value["result"]
    return value


def _unquoted(value: str) -> Any:
    try:
        return orjson.loads(value)
    except ValueError:
        return value


def _read_association(operation: Operation, attributes: Attributes) -> None:
    """What the app associates with its traces; user and session by the names Traceloop documents."""
    associated = attributes.take_prefix(_ASSOCIATION)
    for name, value in associated.items():
        if name in ("user_id", "userId") and operation.user is None:
            operation.user = identifier(value) if isinstance(value, (str, int)) and value else None
        elif name in ("session_id", "sessionId", "conversation_id", "thread_id") and operation.session is None:
            operation.session = identifier(value) if isinstance(value, (str, int)) and value else None
        operation.metadata[name] = value


def _read_flattened(operation: Operation, attributes: Attributes) -> None:
    operation.input = _messages(attributes, "gen_ai.prompt.", "user")
    operation.output = _messages(attributes, "gen_ai.completion.", "assistant")
    functions = listed(nested(attributes.take_prefix("llm.request.functions.")))
    operation.tools = tools_of([_function(item) for item in functions if isinstance(item, dict)])
    if "llm.request.structured_output_schema" in attributes:
        operation.parameters["response_format"] = attributes.take(state, "llm.request.structured_output_schema")
    attributes.drop("llm.headers")


def _function(item: dict[str, Any]) -> dict[str, Any]:
    schema = item.get("parameters") or item.get("input_schema")
    return {"name": item.get("name"), "description": item.get("description"), "parameters": state(schema)}


def _messages(attributes: Attributes, prefix: str, role: str) -> list[Message] | None:
    names = [name for name in attributes if name.startswith(prefix) and _is_flattened(name)]
    found = listed(nested({name[len(prefix) :]: attributes.left.pop(name) for name in names}))
    messages = messages_of([_plain(item) for item in found], role) or []
    return _joined_thinking(messages) or None


def _plain(item: Json) -> Json:
    """Thinking of older versions is a message with the role ``thinking``; LiteLLM writes ``function_call``."""
    if not isinstance(item, dict):
        return item
    plain = dict(item)
    if plain.get("role") == "thinking":
        plain = {"role": "assistant", "reasoning_content": plain.get("content"), "content": None}
    return plain


def _joined_thinking(messages: list[Message]) -> list[Message]:
    """A thinking message belongs to the answer after it."""
    joined: list[Message] = []
    for message in messages:
        before = joined[-1] if joined else None
        if (
            before is not None
            and before.role == message.role == "assistant"
            and before.parts
            and all(isinstance(part, Reasoning) for part in before.parts)
        ):
            message.parts = [*before.parts, *message.parts]
            joined[-1] = message
        else:
            joined.append(message)
    return joined
