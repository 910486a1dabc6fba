"""Vercel AI SDK, versions 4 to 7: ``ai.*`` attributes.

Source: AI SDK documentation "Telemetry"; ai 4, 5, 6.0.326 and 7 as recorded. The ``do…`` spans are the model calls; the
spans around them (``ai.generateText``) repeat their summed usage. Both may carry ``gen_ai.*`` duplicates. Version 7
writes the GenAI conventions and, on demand, ``ai.*`` attributes without an operation beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from otel_posthog._model import Cost, Json, Kind, Message, Operation, Reasoning, Text, Usage
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import (
    Attributes,
    ConversionError,
    index_of,
    parse_json,
    to_id,
    to_int,
    to_number,
    to_str,
    to_str_list,
    to_structure,
)
from otel_posthog.conventions._json import first
from otel_posthog.conventions._messages import messages_of
from otel_posthog.conventions._parts import parts_of, tool_call
from otel_posthog.conventions._providers import set_provider
from otel_posthog.conventions._recovery import json_prefix
from otel_posthog.conventions._tools import tools_of
from otel_posthog.conventions._usage import take_usage, usage_of

# What the app attaches to the call: metadata until version 6, context since version 7.
_METADATA = ("ai.telemetry.metadata.", "ai.settings.context.")
_USER_KEYS = ("userId", "user_id", "user.id")
_SESSION_KEYS = ("sessionId", "session_id", "session.id", "threadId", "thread_id", "conversationId", "conversation_id",
                 "chatId", "chat_id")  # fmt: skip

# Version 7's spans have GenAI names: they are recognised by scope, or by the attributes beside those names.
_SCOPE_7 = "gen_ai"
_BESIDE_SEMCONV = ("ai.settings.context.", "ai.usage.", "ai.values")

# Before version 6 the provider's own metadata alone had these; the rest of their names is any provider's.
_DETAILS = ("cache_read", "cache_write", "cache_write_5m", "cache_write_1h", "reasoning")
_DETAIL_NAMES = {"cachedPromptTokens": "cached_tokens", "cacheCreationInputTokens": "cache_creation_input_tokens"}
_CACHE_OUTSIDE = frozenset(("anthropic", "bedrock"))

PARAMETERS = index_of(
    ("temperature", to_number, ("ai.settings.temperature",)),
    ("max_tokens", to_int, ("ai.settings.maxOutputTokens", "ai.settings.maxTokens")),
    ("top_p", to_number, ("ai.settings.topP",)),
    ("top_k", to_number, ("ai.settings.topK",)),
    ("frequency_penalty", to_number, ("ai.settings.frequencyPenalty",)),
    ("presence_penalty", to_number, ("ai.settings.presencePenalty",)),
    ("seed", to_int, ("ai.settings.seed",)),
    ("stop", to_str_list, ("ai.settings.stopSequences",)),
    ("tool_choice", parse_json, ("ai.prompt.toolChoice",)),
)


def matches(span: SpanView) -> bool:
    """Whether the span names an AI SDK operation or model."""
    attributes = span.attributes
    if "ai.operationId" in attributes or "ai.model.id" in attributes or "ai.toolCall.name" in attributes:
        return True
    return "gen_ai.operation.name" in attributes and (span.scope_name == _SCOPE_7 or span.has(*_BESIDE_SEMCONV))


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of an AI SDK span."""
    operation_id = attributes.take(to_str, "ai.operationId")
    if operation_id is None and "gen_ai.operation.name" not in attributes:
        operation_id = span.name
    kind: Kind = _kind(operation_id) if operation_id else "other"
    operation = Operation(kind=kind, framework="vercel", operation_name=operation_id)
    set_provider(operation, attributes.take(to_str, "ai.model.provider"))
    operation.request_model = attributes.take(to_str, "ai.model.id")
    operation.response_model = attributes.take(to_str, "ai.response.model")
    operation.response_id = attributes.take(to_id, "ai.response.id")
    operation.parameters.update(attributes.take_all(PARAMETERS))
    reason = attributes.take(to_str, "ai.response.finishReason", "ai.finishReason")
    operation.finish_reasons = [reason] if reason else []
    if "stream" in (operation_id or ""):
        operation.streaming = True
    milliseconds = attributes.take(to_number, "ai.response.msToFirstChunk", "ai.stream.msToFirstChunk")
    if milliseconds is not None:
        operation.time_to_first_token = milliseconds / 1000
    _read_usage(operation, attributes)
    _read_metadata(operation, attributes)
    if operation.kind == "tool":
        operation.name = attributes.take(to_str, "ai.toolCall.name")
        operation.input_state = attributes.take(decoded, "ai.toolCall.args")
        operation.output_state = attributes.take(decoded, "ai.toolCall.result")
    else:
        _read_content(operation, attributes)
    attributes.drop("operation.name", "resource.name")
    return operation


def _kind(operation_id: str) -> Kind:
    if operation_id.endswith((".doGenerate", ".doStream")):
        return "generation"
    if operation_id.endswith(".doEmbed"):
        return "embedding"
    return "tool" if operation_id == "ai.toolCall" else "chain"


def decoded(value: Any) -> Any:
    """Decode a value that the SDK wrote with ``JSON.stringify``."""
    return json_prefix(value)[0] if isinstance(value, str) else value


def _read_usage(operation: Operation, attributes: Attributes) -> None:
    embedded = attributes.take(to_int, "ai.usage.tokens")
    usage = take_usage(attributes, ("ai.usage.",))
    usage.input = embedded if usage.input is None else usage.input
    metadata = decoded(attributes.peek("ai.response.providerMetadata"))
    counts = _counts_of_providers(metadata)
    operation.cost = _charged(metadata)
    # Since version 6 the input is a total with details; before, it was the provider's own number.
    usage.cache_inside = usage.uncached is not None or _CACHE_OUTSIDE.isdisjoint((operation.provider, *counts))
    for details in counts.values():
        for field in _DETAILS:
            if getattr(usage, field) is None:
                setattr(usage, field, getattr(details, field))
    operation.usage = usage


def _charged(metadata: Json) -> Cost | None:
    """The cost charged by a gateway: ``{"gateway": {"cost": "0.1"}}``, ``{"openrouter": {"usage": {"cost": 0.1}}}``."""
    for details in metadata.values() if isinstance(metadata, Mapping) else ():
        if not isinstance(details, Mapping):
            continue
        usage = details.get("usage")
        for cost in (details.get("cost"), usage.get("cost") if isinstance(usage, Mapping) else None):
            with suppress(ConversionError):
                return Cost(total=to_number(cost))
    return None


def _counts_of_providers(metadata: Json) -> dict[str, Usage]:
    """Usage by provider from ``{"anthropic": {"usage": {…}, "cacheReadInputTokens": 2048}}``."""
    counts: dict[str, Usage] = {}
    for provider, details in metadata.items() if isinstance(metadata, Mapping) else ():
        if isinstance(details, Mapping):
            counted = details.get("usage")
            named = {_DETAIL_NAMES.get(name) or name: count for name, count in details.items()}
            counts[provider] = usage_of({**named, **(counted if isinstance(counted, Mapping) else {})})
    return counts


def _read_metadata(operation: Operation, attributes: Attributes) -> None:
    function = attributes.take(to_str, "ai.telemetry.functionId")
    if function is not None:
        operation.metadata["functionId"] = function
    for name in [name for name in attributes if name.startswith(_METADATA)]:
        key = name.removeprefix(_METADATA[0]).removeprefix(_METADATA[1])
        if key in ("posthog_distinct_id", "$ai_session_id"):
            continue  # read with every convention's user and session
        value = attributes.left.pop(name)
        if key in _USER_KEYS and operation.user is None:
            operation.user = str(value)
        elif key in _SESSION_KEYS and operation.session is None:
            operation.session = str(value)
        elif key == "tags":
            operation.tags = attributes_tags(value)
            continue
        elif key.startswith("$"):
            operation.overrides[key] = value
            continue
        operation.metadata[key] = value


def attributes_tags(value: Any) -> list[str] | None:
    """Tags as strings, ``None`` if the value is not a list."""
    return [str(tag) for tag in value] if isinstance(value, (list, tuple)) else None


def _read_content(operation: Operation, attributes: Attributes) -> None:
    messages = attributes.take(structure_or_cut, "ai.prompt.messages")
    operation.input = messages_of(messages)
    prompt = attributes.take(decoded, "ai.prompt")
    if operation.input is None and prompt is not None:
        operation.input = _prompt(prompt)
    values = attributes.take(values_of, "ai.values", "ai.value")
    if operation.kind == "chain" and values:  # around embeddings, of which each has its share
        operation.input_state = values[0] if len(values) == 1 else values
    elif operation.input is None and values:
        operation.input = messages_of(values)
    attributes.drop("ai.embeddings", "ai.embedding")
    tools = attributes.take(to_structure, "ai.prompt.tools")
    if tools is not None:
        operation.tools = tools_of([decoded(tool) for tool in tools] if isinstance(tools, list) else tools)
    operation.output = _answer(operation, attributes)


def structure_or_cut(value: Any) -> Any:
    """A list of messages, or what an attribute limit left of it."""
    return to_structure(decoded(value))


def values_of(value: Any) -> list[Any]:
    """The texts of an embedding, each JSON-encoded."""
    items = value if isinstance(value, (list, tuple)) else [value]
    return [decoded(item) for item in items]


def _prompt(prompt: Any) -> list[Message] | None:
    if not isinstance(prompt, dict):
        return messages_of(prompt)
    system = messages_of(first(prompt, "system", "instructions"), "system") or []
    return [*system, *(messages_of(first(prompt, "messages", "prompt")) or [])] or None


def _answer(operation: Operation, attributes: Attributes) -> list[Message] | None:
    parts: list[Any] = []
    reasoning = attributes.take(to_str, "ai.response.reasoning")
    if reasoning is not None:
        parts.append(Reasoning(reasoning))
    answer = attributes.take(to_str, "ai.response.text", "ai.result.text")
    if answer is not None:
        parts.append(Text(answer))
    produced = attributes.take(to_str, "ai.response.object", "ai.result.object")
    if produced is not None:
        parts.append(Text(produced))
    calls = attributes.take(to_structure, "ai.response.toolCalls", "ai.result.toolCalls")
    parts += [tool_call({**c, "id": c.get("toolCallId")}) for c in calls or () if isinstance(c, dict)]
    files = attributes.take(to_structure, "ai.response.files")
    parts += parts_of([{"type": "file", **f} for f in files or () if isinstance(f, dict)])
    if not parts:
        return None
    reason = operation.finish_reasons[0] if operation.finish_reasons else None
    return [Message("assistant", parts, finish_reason=reason)]
