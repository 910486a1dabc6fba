"""LlamaIndex's own OpenTelemetry package: no attributes, everything is in span events named after LlamaIndex's events.

Source: llama-index-observability-otel 0.7 as recorded, llama_index/core/instrumentation/events. An event's fields are
flattened with dots, lists are JSON.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from otel_posthog._model import Json, Kind, Operation
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import Attributes, ConversionError, parse_json, to_int
from otel_posthog.conventions._indexed import nested
from otel_posthog.conventions._messages import messages_of
from otel_posthog.conventions._payloads import read_response
from otel_posthog.conventions._tools import tools_of
from otel_posthog.conventions._usage import merge_usage, usage_of

SCOPE = "llamaindex.opentelemetry.tracer"

# The start and the end of a model call, each with the kind it makes of the span.
CALLS: dict[str, Kind] = {
    "LLMChatStartEvent": "generation",
    "LLMChatEndEvent": "generation",
    "LLMCompletionStartEvent": "generation",
    "LLMCompletionEndEvent": "generation",
    "EmbeddingStartEvent": "embedding",
    "EmbeddingEndEvent": "embedding",
    "SparseEmbeddingStartEvent": "embedding",
    "SparseEmbeddingEndEvent": "embedding",
}

# Other steps: the kind, and the fields that were given and returned.
STEPS: dict[str, tuple[Kind, str, str]] = {
    "RetrievalStartEvent": ("retrieval", "str_or_query_bundle", ""),
    "RetrievalEndEvent": ("retrieval", "str_or_query_bundle", "nodes"),
    "ReRankStartEvent": ("rerank", "query", ""),
    "ReRankEndEvent": ("rerank", "", "nodes"),
    "QueryStartEvent": ("chain", "query", ""),
    "QueryEndEvent": ("chain", "query", "response"),
    "SynthesizeStartEvent": ("chain", "query", ""),
    "SynthesizeEndEvent": ("chain", "query", "response"),
    "AgentChatWithStepStartEvent": ("agent", "user_msg", ""),
    "AgentChatWithStepEndEvent": ("agent", "", "response"),
    "AgentToolCallEvent": ("tool", "arguments", ""),
}

_STREAMS = re.compile(r"\.a?stream_|InProgressEvent")
_AGENTS = re.compile(r"(?:Agent|Workflow)\w*\.run$")


def matches(span: SpanView) -> bool:
    """Whether LlamaIndex's own package wrote the span; others write below a span without attributes too."""
    return span.scope_name == SCOPE


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of a method of LlamaIndex."""
    names = [event.name for event in span.events]
    kind: Kind = next((CALLS[name] for name in names if name in CALLS), "chain")
    if kind == "chain" and _AGENTS.search(span.name):
        kind = "agent"
    operation = Operation(kind=kind, framework="llamaindex")
    for event in span.events:
        if event.name in CALLS:
            _read_call(operation, event.attributes)
        elif event.name in STEPS:
            _read_step(operation, event.name, event.attributes)
    if operation.is_call and _STREAMS.search(" ".join((span.name, *names))):
        operation.streaming = True
    return operation


def _fields(attributes: Mapping[str, Any]) -> dict[str, Any]:
    decoded = {name: parse_json(value) for name, value in attributes.items() if value not in (None, "", "null")}
    fields = nested(decoded)
    return fields if isinstance(fields, dict) else {}


def _read_call(operation: Operation, attributes: Mapping[str, Any]) -> None:
    fields = _fields(attributes)
    settings = fields.get("model_dict")
    if isinstance(settings, dict):
        model = settings.get("model_name") or settings.get("model")
        operation.request_model = operation.request_model or (model if isinstance(model, str) else None)
        with suppress(ConversionError):  # -1: not set
            operation.parameters["max_tokens"] = to_int(settings.get("num_output"))
    if operation.kind == "embedding":
        operation.input = [*(operation.input or ()), *(messages_of(fields.get("chunks")) or ())] or None
        return
    given = fields.get("messages") or fields.get("prompt")
    if operation.input is None and given:
        operation.input = messages_of(_messages(given), "user")
    more = fields.get("additional_kwargs")
    if isinstance(more, dict) and operation.tools is None:
        operation.tools = tools_of(more.get("tools"))
    _read_answer(operation, fields.get("response"))


def _read_answer(operation: Operation, response: Json) -> None:
    if isinstance(response, str):
        operation.output = messages_of(response, "assistant")
    if not isinstance(response, dict):
        return
    raw, message = response.get("raw"), response.get("message")
    if isinstance(message, dict):
        operation.output = messages_of(_messages([message]), "assistant")
    elif isinstance(response.get("text"), str):
        operation.output = messages_of(response["text"], "assistant")
    if isinstance(raw, dict):
        read_response(operation, raw)
    counts = response.get("additional_kwargs")
    if operation.usage is None and isinstance(counts, dict):
        merge_usage(operation, usage_of(counts))


def _messages(given: Json) -> Json:
    """Messages whose content is in typed blocks."""
    if not isinstance(given, list):
        return given
    return [_message(message) if isinstance(message, dict) else message for message in given]


def _message(message: dict[str, Any]) -> dict[str, Any]:
    blocks, more = message.get("blocks"), message.get("additional_kwargs")
    content = [_block(block) for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []
    plain: dict[str, Any] = {"role": message.get("role"), "content": content}
    if isinstance(more, dict):
        plain["tool_call_id"] = more.get("tool_call_id")
        if not any(part.get("type") == "tool_call" for part in content):
            plain["tool_calls"] = more.get("tool_calls")
    return {name: value for name, value in plain.items() if value is not None}


def _block(block: dict[str, Any]) -> dict[str, Any]:
    kind = block.get("block_type")
    if kind == "tool_call":
        arguments = block.get("tool_kwargs")
        return {"type": kind, "id": block.get("tool_call_id"), "name": block.get("tool_name"), "arguments": arguments}
    if kind == "thinking":
        return {"type": kind, "thinking": block.get("content")}
    if kind == "image":
        url, data = block.get("url"), block.get("image")
        mime_type = block.get("image_mimetype") or "image/png"
        return {"type": "image_url", "image_url": {"url": url or f"data:{mime_type};base64,{data}"}}
    return {"type": kind, **{name: value for name, value in block.items() if name != "block_type"}}


def _read_step(operation: Operation, name: str, attributes: Mapping[str, Any]) -> None:
    if operation.is_call:
        return
    kind, given, returned = STEPS[name]
    operation.kind = kind
    fields = _fields(attributes)
    operation.input_state = operation.input_state or _state(fields.get(given))
    operation.output_state = operation.output_state or _state(fields.get(returned))


def _state(value: Json) -> Json:
    """A query or a response by its text, where it is an object with one."""
    if isinstance(value, dict):
        return value.get("query_str") or value.get("response") or value
    return value
