"""Messages of the GenAI semantic conventions: in attributes, in span events or in log records."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from otel_posthog._model import Message, Operation, Reasoning, ToolCall
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import (
    Attributes,
    ConversionError,
    parse_json,
    parse_quoted_json,
    to_str,
    to_structure,
)
from otel_posthog.conventions._legacy import legacy_messages
from otel_posthog.conventions._messages import messages_in, system_of
from otel_posthog.conventions._parts import parts_of, text_in
from otel_posthog.conventions._payloads import looks_like_request, looks_like_response, read_request, read_response
from otel_posthog.conventions._plain import plain
from otel_posthog.conventions._reprs import parse_literal
from otel_posthog.conventions._semconv_tables import INPUTS, INSTRUCTIONS, OUTPUTS
from otel_posthog.conventions._tools import tools_of
from otel_posthog.conventions._usage import merge_usage


def read_messages(operation: Operation, span: SpanView, attributes: Attributes) -> None:
    """Take input, output and instructions, from attributes, span events or log records."""
    input = _messages(operation, attributes, INPUTS, "user")
    output = _messages(operation, attributes, OUTPUTS, "assistant")
    instructions = attributes.take(_text_or_structure, *INSTRUCTIONS)
    if span.logs or span.events:
        legacy_input, legacy_output = legacy_messages(span.logs or span.events)
        if not (legacy_input or legacy_output) and span.logs and span.events:
            legacy_input, legacy_output = legacy_messages(span.events)
        input = _fuller(input, legacy_input) or _content_events(span, "gen_ai.content.prompt", "gen_ai.prompt", "user")
        output = _fuller(output, legacy_output) or _content_events(
            span, "gen_ai.content.completion", "gen_ai.completion", "assistant"
        )
    system = system_of(instructions)
    if system and not _holds(input, system):
        input = [*system, *(input or [])]
    output = _with_tool_calls(operation, attributes, output)
    reasoning = attributes.take(to_str, "gen_ai.content.reasoning")  # OpenLIT
    if reasoning is not None and output:
        output[-1].parts.insert(0, Reasoning(reasoning))
    operation.input = input or None
    operation.output = output or None


def _with_tool_calls(
    operation: Operation, attributes: Attributes, output: list[Message] | None
) -> list[Message] | None:
    """The output with the tool calls that some libraries write beside it (Sentry, OpenLIT)."""
    if not operation.is_call:
        return output
    written = attributes.take(parse_literal, "gen_ai.response.tool_calls")
    items = written if isinstance(written, list) else [written] if isinstance(written, dict) else []
    # Sentry 10.78 writes all items of a streamed response here.
    calls = [item for item in items if not isinstance(item, dict) or item.get("type") != "message"]
    if operation.tools is None and calls and all(_is_definition(call) for call in calls):
        operation.tools = tools_of(calls)  # OpenLIT 1.33 for the responses API
        return output
    calls = calls or _joined_calls(attributes) or _misnamed_calls(attributes)
    if not calls or any(isinstance(part, ToolCall) for message in output or () for part in message.parts):
        return output
    parts = parts_of([{"type": "tool_call", **call} for call in calls if isinstance(call, dict)])
    if not output:
        return [Message("assistant", parts)]
    return [*output[:-1], replace(output[-1], parts=[*output[-1].parts, *parts])]


def _misnamed_calls(attributes: Attributes) -> list[dict[str, Any]]:
    """Langtrace 3.8 writes the model's last tool call as the request's tool results (Anthropic)."""
    written = parse_quoted_json(attributes.peek("gen_ai.request.tool_results"))
    if not isinstance(written, dict) or written.get("type") != "tool_use":
        return []
    attributes.drop("gen_ai.request.tool_results")
    return [{**written, "type": "tool_call", "arguments": written.get("input")}]


def _is_definition(call: Any) -> bool:
    return isinstance(call, dict) and "parameters" in call and "arguments" not in call and "function" not in call


def _joined_calls(attributes: Attributes) -> list[dict[str, Any]]:
    """OpenLIT 1.36 joins the names, ids and arguments of several calls by commas."""
    if "gen_ai.tool.args" not in attributes:
        return []
    names = attributes.take(to_str, "gen_ai.tool.name") or ""
    ids = (attributes.take(to_str, "gen_ai.tool.call.id") or "").split(", ")
    arguments: Any = None
    with suppress(ConversionError):
        arguments = parse_literal(f"[{attributes.take(to_str, 'gen_ai.tool.args') or ''}]")
    calls: list[dict[str, Any]] = []
    for position, name in enumerate(filter(None, names.split(", "))):
        call_arguments = arguments[position] if isinstance(arguments, list) and position < len(arguments) else None
        call_id = ids[position] if position < len(ids) else None
        calls.append({"name": name, "id": call_id or None, "arguments": call_arguments})
    return calls


def _text_or_structure(value: Any) -> Any:
    """System instructions come as bare text or as a list of parts."""
    return parse_json(to_str(value)) if isinstance(value, str) else to_structure(value)


def _fuller(messages: list[Message] | None, others: list[Message]) -> list[Message] | None:
    """The messages, unless they are empty and the others are not."""
    if messages and (any(message.parts for message in messages) or not others):
        return messages
    return others or None


def _holds(messages: list[Message] | None, system: list[Message]) -> bool:
    """Whether the system prompt is among the messages already (OpenLIT writes it twice)."""
    known = {text_in([p.text for p in m.parts if hasattr(p, "text")]) for m in messages or () if m.role == "system"}
    return all(text_in([p.text for p in m.parts if hasattr(p, "text")]) in known for m in system)


def _messages(operation: Operation, attributes: Attributes, names: tuple[str, ...], role: str) -> list[Message] | None:
    empty = None
    for name in names:
        value = attributes.take(_any, name)
        if value is not None:
            if type(value) is str and value[:1] == "{" and (found := _of_the_api(operation, value, role)):
                return found
            found, whole = messages_in(value, role)
            operation.truncated = operation.truncated or not whole
            if found and any(message.parts for message in found):
                return found
            empty = empty or found
    return empty


def _of_the_api(operation: Operation, written: str, role: str) -> list[Message] | None:
    """The messages of a whole request or response of a provider's API, which gateways and apps record as they are."""
    value = parse_json(written)
    if role == "user" and looks_like_request(value) and "role" not in value:
        part = Operation(operation.kind)
        read_request(part, value)
    elif role == "assistant" and looks_like_response(value):
        part = Operation(operation.kind)
        read_response(part, value)
    else:
        return None
    operation.tools = operation.tools or part.tools
    operation.parameters = {**part.parameters, **operation.parameters}
    operation.finish_reasons = operation.finish_reasons or part.finish_reasons
    operation.response_id = operation.response_id or part.response_id
    operation.response_model = operation.response_model or part.response_model
    if part.usage is not None:
        merge_usage(operation, part.usage)
    return part.input if role == "user" else part.output


def _any(value: Any) -> Any:
    if value is None or value in ("", "None"):
        raise ConversionError
    return value


def _content_events(span: SpanView, event_name: str, attribute: str, role: str) -> list[Message] | None:
    """Span events of semconv 1.27, OpenLIT 1.33 and NeMo Guardrails 0.24: the whole prompt or completion."""
    found: list[Message] = []
    for event in (*span.events, *span.logs):
        written = event.attributes.get(attribute, event.attributes.get("content")) if event.name == event_name else None
        if written is not None and written != "None":
            found += messages_in(plain(written), role)[0] or []
    return found or None
