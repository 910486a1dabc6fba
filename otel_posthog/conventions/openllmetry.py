"""OpenLLMetry and the Traceloop SDK: flattened ``gen_ai.prompt.N.*`` messages, decorators, association properties.

Source: opentelemetry-semantic-conventions-ai 0.4 and 0.5; instrumentations 0.38 (flattened) and 0.62 (current), the
Traceloop SDK 0.62, as recorded. Current versions write the GenAI conventions, which :mod:`.semconv` completes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from otel_posthog._model import Json, Kind, Message, Operation, Reasoning, Text
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import (
    Attributes,
    ConversionError,
    parse_json,
    parse_quoted_json,
    to_id,
    to_str,
)
from otel_posthog.conventions._indexed import listed, nested
from otel_posthog.conventions._json import string
from otel_posthog.conventions._langchain import content_of_message, messages_alone
from otel_posthog.conventions._messages import messages_of
from otel_posthog.conventions._reprs import repr_value
from otel_posthog.conventions._semconv_tables import KINDS as OPERATIONS
from otel_posthog.conventions._tools import tools_of

# traceloop.span.kind
KINDS: dict[str, Kind] = {"workflow": "chain", "task": "chain", "agent": "agent", "tool": "tool"}

# Arguments and results of decorated functions. Instrumentations of frameworks repeat them under the other names.
_INPUTS = ("traceloop.entity.input", "gen_ai.task.input", "gen_ai.tool.call.arguments")
_OUTPUTS = ("traceloop.entity.output", "gen_ai.task.output", "gen_ai.tool.call.result")

# Envelopes that frameworks put around a value: its key, then the other keys.
_ENVELOPES: tuple[tuple[str, frozenset[str]], ...] = (
    ("inputs", frozenset(("tags", "metadata", "kwargs"))),  # LangChain
    ("outputs", frozenset(("kwargs",))),
    ("output", frozenset(("kwargs",))),  # of its tools
    ("kwargs", frozenset()),  # LlamaIndex
    ("arguments", frozenset(("tool_name",))),  # a tool call over MCP
    ("result", frozenset()),
)
_TEXTS_TO_EMBED = ("texts", "text", "query")

_OPENAI_JS = "@traceloop/instrumentation-openai"
_CREWAI = "opentelemetry.instrumentation.crewai"
_ASSOCIATION = "traceloop.association.properties."
_TOOLS = ("llm.request.functions.", "gen_ai.request.functions.")  # AgentOps 0.4 writes the latter
_OWN = ("traceloop.", "llm.request.type", "llm.request.functions.")
_FLATTENED = ("gen_ai.prompt.", "gen_ai.completion.")


def _is_flattened(name: str) -> bool:
    """``gen_ai.prompt.0.content``, but not ``gen_ai.prompt.name``."""
    return name.startswith(_FLATTENED) and name.split(".", 3)[2].isdigit()


def matches(span: SpanView) -> bool:
    """Whether the span has a Traceloop attribute or flattened prompts."""
    if span.has(*_OWN) or span.scope_name.startswith(_CREWAI):
        return True
    return span.has(*_FLATTENED) and any(map(_is_flattened, span.attributes))


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of an OpenLLMetry or Traceloop span."""
    operation = Operation(kind=_kind(attributes))
    if operation.kind != "other":
        operation.framework = "traceloop"
        operation.name = attributes.take(to_str, "traceloop.entity.name")
        attributes.drop("gen_ai.operation.name")
    if not span.has(*_FLATTENED):
        # Requests of MCP have no kind, and their params and results here.
        _read_states(operation, attributes)
    if span.scope_name.startswith(_CREWAI):
        _read_crew(operation, attributes)
    operation.prompt_name = attributes.take(to_str, "traceloop.prompt.key")
    operation.prompt_version = attributes.take(parse_json, "traceloop.prompt.version")
    _read_association(operation, attributes)
    _read_flattened(operation, attributes)
    return operation


def finish(operation: Operation, span: SpanView) -> Operation:
    """Turn states into messages, and recognise calls whose attributes a limit dropped."""
    if span.scope_name == _OPENAI_JS and (items := _request_in_text(operation.input)) is not None:
        operation = replace(operation, input=messages_of(items))
    if operation.kind in ("chain", "agent"):
        return _with_messages(operation)
    if operation.kind == "other" and (operation.input or operation.output) and operation.operation_name is None:
        # Attribute limits evict the oldest first: llm.request.type and the model go, the completion stays.
        return replace(operation, kind="generation")
    return operation


def _request_in_text(input: list[Message] | None) -> list[Json] | None:
    """The input of a request to OpenAI's responses API, which version 0.27 for JavaScript writes as the text of one
    message."""
    if input is None or len(input) != 1 or len(input[0].parts) != 1 or not isinstance(input[0].parts[0], Text):
        return None
    items = parse_json(input[0].parts[0].text)
    if not isinstance(items, list) or not all(
        isinstance(item, dict) and item.keys() & {"role", "type"} for item in items
    ):
        return None
    return items or None


def _kind(attributes: Attributes) -> Kind:
    """The kind of a decorator or a framework's step; LlamaIndex's calls of models are steps too."""
    step = KINDS.get(attributes.take(to_str, "traceloop.span.kind") or "", "other")
    call = OPERATIONS.get(str(attributes.peek("gen_ai.operation.name")), "other")
    if call in ("generation", "embedding") and "gen_ai.request.model" in attributes:
        return call
    return step


def _read_states(operation: Operation, attributes: Attributes) -> None:
    input, output = _entity(attributes, _INPUTS), _entity(attributes, _OUTPUTS)
    if isinstance(output, dict) and {"tool_name", "raw_output"} <= output.keys():  # LlamaIndex
        operation.kind = "tool"
        operation.name = string(output["tool_name"]) or operation.name
        output = output["raw_output"]
    if operation.kind == "embedding" and isinstance(input, dict):
        input = next((input[name] for name in _TEXTS_TO_EMBED if input.get(name)), input)
    operation.input_state = input
    operation.output_state = None if _is_vectors(output) else output


def _is_vectors(value: Json) -> bool:
    """Whether the value is an embedding vector or a list of them."""
    row = value[0] if isinstance(value, list) and value else value
    return isinstance(row, float) or (isinstance(row, list) and bool(row) and isinstance(row[0], float))


def _entity(attributes: Attributes, names: tuple[str, ...]) -> Json:
    """A decorated function's arguments or result, JSON that may be encoded twice."""
    value = attributes.take(parse_quoted_json, *names)
    return content_of_message(_unwrapped(value)) if isinstance(value, dict) else value


def _unwrapped(value: dict[str, Any]) -> Json:
    if value.keys() == {"args", "kwargs"}:
        args, kwargs = value["args"], value["kwargs"]
        found = value if args and kwargs else args or kwargs
        return found[0] if isinstance(found, list) and len(found) == 1 else found
    if isinstance(value.get("input_str"), str) and "metadata" in value:  # LangChain's tools
        return _decoded_repr(value["input_str"])
    return next((value[key] for key, beside in _ENVELOPES if value.keys() == {key, *beside}), value)


def _decoded_repr(written: str) -> Json:
    try:
        return repr_value(written) if written[:1] in ("{", "[") else written
    except ConversionError:
        return written


def _with_messages(operation: Operation) -> Operation:
    """A state that holds messages alone becomes messages."""
    input, output = messages_alone(operation.input_state), messages_alone(operation.output_state)
    if input and operation.input is None:
        operation = replace(operation, input=messages_of(input), input_state=None)
    if output and operation.output is None:
        operation = replace(operation, output=messages_of(output), output_state=None)
    return operation


def _read_crew(operation: Operation, attributes: Attributes) -> None:
    """CrewAI names task spans after the task's description, which is content."""
    if operation.kind == "chain":
        agent = attributes.peek("crewai.task.agent")
        operation.name = f"{agent}.task" if isinstance(agent, str) and agent else "task"
    else:
        operation.name = operation.name or attributes.take(to_str, "crewai.crew.name")
    description = attributes.take(to_str, "crewai.task.description")
    result = attributes.take(to_str, "crewai.crew.result")
    operation.input_state = description if operation.input_state is None else operation.input_state
    operation.output_state = result if operation.output_state is None else operation.output_state


def _read_association(operation: Operation, attributes: Attributes) -> None:
    """Association properties; user and session under the names that Traceloop documents."""
    associated = attributes.take_prefix(_ASSOCIATION)
    for name, value in associated.items():
        if name in ("user_id", "userId") and operation.user is None:
            operation.user = _id(value)
        elif name in ("session_id", "sessionId", "conversation_id", "thread_id") and operation.session is None:
            operation.session = _id(value)
        operation.metadata[name] = value


def _id(value: Any) -> str | None:
    try:
        return to_id(value) if value else None
    except ConversionError:  # "None", a list
        return None


def _read_flattened(operation: Operation, attributes: Attributes) -> None:
    operation.input = _messages(attributes, "gen_ai.prompt.", "user")
    operation.output = _messages(attributes, "gen_ai.completion.", "assistant")
    functions = [tool for prefix in _TOOLS for tool in listed(nested(attributes.take_prefix(prefix)))]
    operation.tools = tools_of([_function(item) for item in functions if isinstance(item, dict)])
    if "llm.request.structured_output_schema" in attributes:
        operation.parameters["response_format"] = attributes.take(parse_json, "llm.request.structured_output_schema")
    attributes.drop("llm.headers")


def _function(item: dict[str, Any]) -> dict[str, Any]:
    schema = item.get("parameters") or item.get("input_schema")
    return {"name": item.get("name"), "description": item.get("description"), "parameters": parse_json(schema)}


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
    if isinstance(plain.get("tool_calls"), str):  # xAI SDK 1.21
        plain["tool_calls"] = parse_json(plain["tool_calls"])
    if plain.get("role") == "thinking":
        plain = {**plain, "role": "assistant", "reasoning_content": plain.get("content"), "content": None}
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
            message.finish_reason = message.finish_reason or before.finish_reason
            joined[-1] = message
        else:
            joined.append(message)
    return joined
