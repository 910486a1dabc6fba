"""OpenTelemetry's GenAI semantic conventions, every published generation.

Sources: semantic conventions 1.27 to 1.36 (``gen_ai.system``, ``gen_ai.*.message`` events, ``gen_ai.prompt``), 1.37 and
later (``gen_ai.provider.name``, ``gen_ai.input.messages``, ``gen_ai.client.inference.operation.details``). Other
conventions may write ``gen_ai.*`` as well: the registry parses those too, and completes the specific operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from otel_posthog._model import Cost, Kind, Message, Operation, Reasoning, ToolCall, Usage
from otel_posthog._spans import EventView, SpanView
from otel_posthog.conventions._attributes import (
    Attributes,
    ConversionError,
    parse_json,
    parse_quoted_json,
    to_int,
    to_number,
    to_str,
    to_str_list,
    to_structure,
)
from otel_posthog.conventions._calls import is_failed_call_without_attributes, kind_of
from otel_posthog.conventions._legacy import legacy_messages
from otel_posthog.conventions._messages import messages_in, system_of
from otel_posthog.conventions._parts import parts_of, text_in
from otel_posthog.conventions._plain import plain
from otel_posthog.conventions._providers import set_provider
from otel_posthog.conventions._recovery import json_prefix
from otel_posthog.conventions._reprs import parse_literal
from otel_posthog.conventions._semconv_tables import (
    ACTORS,
    CALL_INDEX,
    COST_INDEX,
    FIRST_TOKEN,
    INPUTS,
    INSTRUCTIONS,
    KINDS,
    OTHER_TOTALS,
    OUTPUTS,
    TOOLS,
    USAGE_OBJECTS,
    USAGE_PREFIXES,
)
from otel_posthog.conventions._tools import tools_of
from otel_posthog.conventions._usage import accounting_of, merge_usage, take_usage, usage_of

# State of whatever is no call of a model.
_INPUTS = ("gen_ai.tool.call.arguments", "gen_ai.tool.input", "gen_ai.retrieval.query.text", "gen_ai.task.input")
_OUTPUTS = ("gen_ai.tool.call.result", "gen_ai.tool.output", "gen_ai.retrieval.documents", "gen_ai.task.output")

DETAILS = "gen_ai.client.inference.operation.details"


def matches(span: SpanView) -> bool:
    """Whether the span carries anything of ``gen_ai.*``, or only its content in log records.

    A conversation id alone is none of it: apps set it on their server span, next to ``user.id``.
    """
    if span.has("gen_ai.") and any(n.startswith("gen_ai.") and n != "gen_ai.conversation.id" for n in span.attributes):
        return True
    if any(event.name.startswith("gen_ai.") for event in (*span.logs, *span.events)):
        return True
    return is_failed_call_without_attributes(span)


def parse(span: SpanView, attributes: Attributes, kind: Kind = "other") -> Operation:
    """The operation of a span of the GenAI semantic conventions.

    ``kind`` is what a more specific convention on the same span says, ``other`` if it does not.
    """
    on_span = frozenset(attributes.left)
    for event in (*span.events, *span.logs):
        if event.name == DETAILS:
            _merge_details(event, attributes, on_span)
    operation_name = attributes.take(to_str, "gen_ai.operation.name", "llm.request.type")
    if kind == "other":
        kind = kind_of(operation_name, span, attributes)
    operation = Operation(kind, operation_name=operation_name)
    _read_call(operation, span, attributes)
    _read_usage(operation, span, attributes)
    _read_messages(operation, span, attributes)
    if not operation.is_call:
        operation.input_state = attributes.take(parse_quoted_json, *_INPUTS)
        operation.output_state = attributes.take(parse_quoted_json, *_OUTPUTS)
        if kind == "tool":
            _tool_events(operation)
    return operation


def _merge_details(event: EventView, attributes: Attributes, on_span: frozenset[str]) -> None:
    """The details event repeats the span's attributes and adds the content the span may not carry.

    Strands spreads its messages over several of them.
    """
    body = event.body if isinstance(event.body, Mapping) else {}
    for name, value in (*event.attributes.items(), *body.items()):
        if not isinstance(name, str) or not name.startswith("gen_ai.") or value is None or name in on_span:
            continue
        before, more = attributes.left.get(name), plain(value)
        if before is None:
            attributes.left[name] = more
        elif name in ("gen_ai.input.messages", "gen_ai.output.messages"):
            known, added = parse_json(before), parse_json(more)
            if isinstance(known, list) and isinstance(added, list):
                attributes.left[name] = [*known, *(message for message in added if message not in known)]


def _read_call(operation: Operation, span: SpanView, attributes: Attributes) -> None:
    for name in ("gen_ai.provider.name", "gen_ai.system"):
        set_provider(operation, attributes.take(to_str, name))
    for (target, name), value in attributes.take_all(CALL_INDEX).items():
        if target == "parameter":
            operation.parameters[name] = value
        else:
            setattr(operation, name, value)
    _read_first_token(operation, span, attributes)
    operation.finish_reasons = (
        attributes.take(
            to_str_list,
            "gen_ai.response.finish_reasons",
            "gen_ai.response.finish_reason",
            "anthropic.message.stop_reason",
        )
        or []
    )
    attributes.drop("gen_ai.response.finish_reasons", "anthropic.message.stop_reason")
    actor = attributes.peek(ACTORS.get(operation.kind, ""))
    operation.name = actor if isinstance(actor, str) and actor else None
    operation.tools = tools_of(attributes.take(structure_or_prefix, *TOOLS))
    attributes.drop("gen_ai.tool.definitions")


def model_in_name(name: str) -> str | None:
    """The spec's span name is "{operation} {model}": the model, where attribute limits took the attribute."""
    operation, _, model = name.partition(" ")
    return model if operation in KINDS and model and " " not in model else None


def _read_first_token(operation: Operation, span: SpanView, attributes: Attributes) -> None:
    """Seconds to the first chunk. Strands writes milliseconds; OpenLIT writes it for calls that did not stream."""
    if operation.streaming is None and "gen_ai.client.operation.time_to_first_chunk" in attributes:
        operation.streaming = True  # Pydantic AI and the AI SDK write it for streams alone
    seconds = attributes.take(to_number, *FIRST_TOKEN)
    at_server = attributes.take(to_number, "gen_ai.server.time_to_first_token")
    if seconds is None and at_server is not None:
        seconds = at_server / 1000 if span.scope_name.startswith("strands.") else at_server
    if seconds is not None and seconds >= 0:
        operation.time_to_first_token = seconds


def _read_usage(operation: Operation, span: SpanView, attributes: Attributes) -> None:
    usage = operation.usage = take_usage(attributes, USAGE_PREFIXES)
    accounting = accounting_of(span.scope_name)
    usage.cache_inside, usage.reasoning_inside = accounting.cache_inside, accounting.reasoning_inside
    if usage.total is None:
        usage.total = attributes.take(to_int, *OTHER_TOTALS)
    details = attributes.take(to_structure, *USAGE_OBJECTS)
    if isinstance(details, dict):
        merge_usage(operation, usage_of(details))
    amounts = attributes.take_all(COST_INDEX)
    if not amounts:
        return
    cost = Cost(**amounts)
    if cost.total == 0 and usage.input is None and usage.output is None:
        return  # Pydantic AI 1.39: the price of tokens that it did not count
    if span.scope_name.startswith("openlit.") and _is_an_estimate(cost, usage):
        # OpenLIT prices cached tokens in full, and a model it does not know at 0: PostHog's own price is truer.
        attributes.left["gen_ai.usage.cost"] = cost.total
        return
    operation.cost = cost


def _is_an_estimate(cost: Cost, usage: Usage) -> bool:
    return not cost.total or bool(usage.cache_read or usage.cache_write)


def _read_messages(operation: Operation, span: SpanView, attributes: Attributes) -> None:
    input = _messages(operation, attributes, INPUTS, "user")
    output = _messages(operation, attributes, OUTPUTS, "assistant")
    instructions = attributes.take(text_or_structure, *INSTRUCTIONS)
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


def structure_or_prefix(value: Any) -> Any:
    """An object or a list, or what an attribute limit left of it."""
    return to_structure(json_prefix(value)[0] if isinstance(value, str) else value)


def text_or_structure(value: Any) -> Any:
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
            found, whole = messages_in(value, role)
            operation.truncated = operation.truncated or not whole
            if found and any(message.parts for message in found):
                return found
            empty = empty or found
    return empty


def _any(value: Any) -> Any:
    if value is None or value in ("", "None"):
        raise ConversionError
    return value


def _content_events(span: SpanView, event_name: str, attribute: str, role: str) -> list[Message] | None:
    """Span events of semconv 1.27, OpenLIT 1.33 and NeMo Guardrails 0.24: the whole prompt or completion."""
    found: list[Message] = []
    for event in span.events:
        written = event.attributes.get(attribute, event.attributes.get("content")) if event.name == event_name else None
        if written is not None and written != "None":
            found += messages_in(plain(written), role)[0] or []
    return found or None


def _tool_events(operation: Operation) -> None:
    """Strands writes a tool's arguments and answer as a tool message and a choice."""
    if operation.input_state is None and operation.input:
        parts = operation.input[-1].parts
        operation.input_state = parse_json(getattr(parts[0], "result", None)) if parts else None
        operation.input = None
    if operation.output_state is None and operation.output:
        operation.output_state = text_in([p.text for m in operation.output for p in m.parts if hasattr(p, "text")])
        operation.output = None
