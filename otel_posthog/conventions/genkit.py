"""Genkit: ``genkit:*`` attributes, with input and output as JSON.

Source: Genkit's tracing (js/core/src/tracing, py genkit.core.trace): ``genkit:type``, ``genkit:metadata:subtype``,
``genkit:input``, ``genkit:output``, ``genkit:state``; its model request and response schemas.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from otel_posthog._model import Failure, Json, Kind, Operation
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import Attributes, to_str, to_structure
from otel_posthog.conventions._failures import http_status, status_in
from otel_posthog.conventions._json import first, string
from otel_posthog.conventions._messages import messages_of
from otel_posthog.conventions._payloads import read_parameters
from otel_posthog.conventions._providers import provider_of
from otel_posthog.conventions._recovery import json_prefix
from otel_posthog.conventions._tools import tools_of
from otel_posthog.conventions._usage import merge_usage, usage_of

KINDS: dict[str, Kind] = {
    "model": "generation",
    "embedder": "embedding",
    "tool": "tool",
    "tool.v2": "tool",
    "flow": "chain",
    "flowStep": "chain",
    "agent": "agent",
    "prompt": "prompt",
    "executable-prompt": "prompt",
    "dotprompt": "prompt",
    "promptTemplate": "prompt",
    "retriever": "retrieval",
    "reranker": "rerank",
    "evaluator": "evaluation",
}


def matches(span: SpanView) -> bool:
    """Whether Genkit wrote the span."""
    return "genkit:name" in span.attributes or "genkit:type" in span.attributes


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of a Genkit action."""
    subtype = attributes.take(to_str, "genkit:metadata:subtype")
    kind = attributes.take(to_str, "genkit:type")
    operation = Operation(kind=KINDS.get(subtype or "", KINDS.get(kind or "", "chain")), framework="genkit")
    operation.name = attributes.take(to_str, "genkit:name")
    operation.prompt_name = attributes.take(to_str, "genkit:metadata:promptName")
    input = attributes.take(_json, "genkit:input")
    output = attributes.take(_json, "genkit:output")
    message = attributes.take(to_str, "genkit:error")
    if attributes.take(to_str, "genkit:state") == "error" and span.status_code != "ERROR":
        operation.failure = _failure(message, output)
    elif span.status_code == "ERROR":
        operation.failure = _failure_with_status(span)
    if operation.is_call:
        _read_model(operation)
        _read_call(operation, input, output)
    else:
        _read_states(operation, input, output)
    return operation


def _failure(message: str | None, output: Json) -> Failure:
    """The span around a failed call has no error status; its output has the error."""
    error = output.get("error") if isinstance(output, Mapping) else None
    details = dict(error) if isinstance(error, Mapping) else {}
    message = message or string(details.get("message"))
    return Failure(string(details.get("status")), message, status_in(message))


def _failure_with_status(span: SpanView) -> Failure | None:
    """Genkit for Node: the type of an exception is its HTTP status, its text begins with the status' name."""
    for event in span.events:
        status = http_status(event.attributes.get("exception.type")) if event.name == "exception" else None
        message = event.attributes.get("exception.message")
        if status is not None and isinstance(message, str):
            name, found, text = message.partition(": ")
            named = bool(found) and name.isupper() and name.replace("_", "").isalpha()
            return Failure(name if named else None, text if named else message, status)
    return None


def _json(value: Any) -> Json:
    return json_prefix(value)[0] if isinstance(value, str) else to_structure(value)


def _read_model(operation: Operation) -> None:
    """A model action is named ``provider/model``."""
    provider, _, model = (operation.name or "").partition("/")
    operation.provider = provider_of(provider) if model else None
    operation.request_model = model or provider or None


def _read_states(operation: Operation, input: Json, output: Json) -> None:
    """A wrapper's input and output; those of ``generate`` and of prompts have messages, as the call inside."""
    messages = input.get("messages") if isinstance(input, Mapping) else None
    operation.input = messages_of(_plain(messages)) if isinstance(messages, list) else None
    operation.input_state = input if operation.input is None else None
    answer = first(dict(output), "message", "messages") if isinstance(output, Mapping) else None
    if isinstance(answer, (Mapping, list)):
        operation.output = messages_of(_plain(answer if isinstance(answer, list) else [answer]))
    operation.output_state = output if operation.output is None else None


def _read_call(operation: Operation, input: Json, output: Json) -> None:
    request = input if isinstance(input, Mapping) else {}
    config = request.get("config")
    if isinstance(config, Mapping):
        read_parameters(operation, config)
    operation.tools = tools_of(request.get("tools"))
    operation.input = messages_of(_plain(first(dict(request), "messages", "input", "documents")))
    response = output if isinstance(output, Mapping) else {}
    candidate = next((one for one in response.get("candidates") or () if isinstance(one, Mapping)), response)
    message, reason = candidate.get("message"), candidate.get("finishReason")
    if isinstance(message, Mapping) and operation.kind == "generation":
        operation.output = messages_of(_plain([message]), "assistant")
    if isinstance(reason, str):
        operation.finish_reasons = [reason]
    counts = response.get("usage")
    if isinstance(counts, Mapping):
        merge_usage(operation, usage_of(counts))
    for name in ("custom", "raw"):
        original = response.get(name)
        if isinstance(original, Mapping):
            _read_original(operation, dict(original))


def _read_original(operation: Operation, original: dict[str, Any]) -> None:
    """What Genkit's response lacks, from the provider's own."""
    operation.response_model = operation.response_model or string(first(original, "model", "modelVersion"))
    operation.response_id = operation.response_id or string(first(original, "id", "responseId"))
    counts = first(original, "usage", "usageMetadata")
    if not isinstance(counts, Mapping):
        return
    usage, known = usage_of(counts), operation.usage
    if known is not None and known.input == usage.input:  # Genkit took the provider's number as it was
        known.cache_inside = usage.cache_inside
    merge_usage(operation, usage)


def _plain(messages: Json) -> Json:
    """Genkit's parts, ``{toolRequest}``, ``{toolResponse}`` and ``{media}``, in the shape of other providers."""
    if not isinstance(messages, list):
        return messages
    plain = []
    for message in messages:
        if not isinstance(message, Mapping):
            continue
        content = message.get("content")
        parts = _joined([_part(part) for part in content]) if isinstance(content, list) else content
        plain.append({**message, "content": parts, "metadata": None})
    return plain


def _joined(parts: list[Json]) -> list[Json]:
    """Join the chunks of a streamed answer."""
    joined: list[Json] = []
    for part in parts:
        if joined and _is_text(part) and _is_text(joined[-1]):
            joined[-1] = {"text": joined[-1]["text"] + part["text"]}
        else:
            joined.append(part)
    return joined


def _is_text(part: Json) -> bool:
    return isinstance(part, dict) and part.keys() == {"text"} and isinstance(part["text"], str)


def _part(part: Json) -> Json:
    if not isinstance(part, Mapping):
        return part
    for key, kind in (("toolRequest", "tool_call"), ("toolResponse", "tool_result")):
        inner = part.get(key)
        if isinstance(inner, Mapping):
            return {"type": kind, "id": inner.get("ref"), "name": inner.get("name"), "arguments": inner.get("input"),
                    "result": inner.get("output")}  # fmt: skip
    media = part.get("media")
    if isinstance(media, Mapping):
        mime_type = str(media.get("contentType") or "")
        return {"type": "image" if mime_type.startswith("image/") else "file", "mime_type": mime_type or None,
                "url": media.get("url")}  # fmt: skip
    if isinstance(part.get("reasoning"), str):
        return {"type": "reasoning", "text": part["reasoning"]}
    if "data" in part and "text" not in part:  # structured output
        return {"text": _written(part["data"])}
    return dict(part)


def _written(value: Json) -> str:
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # no JSON
        return str(value)
