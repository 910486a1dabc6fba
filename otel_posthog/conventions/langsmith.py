"""LangSmith's OpenTelemetry mode: ``langsmith.*``, with requests and responses in ``gen_ai.prompt``/``completion``.

Source: langsmith 0.15 as recorded (``LANGSMITH_OTEL_ENABLED``).
"""

from __future__ import annotations

import re

from otel_posthog._model import Failure, Json, Kind, Operation
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import (
    Attributes,
    ConversionError,
    parse_json,
    to_bool,
    to_id,
    to_str,
    to_structure,
)
from otel_posthog.conventions._failures import failure_of, status_in
from otel_posthog.conventions._payloads import looks_like_request, read_parameters, read_request, read_response
from otel_posthog.conventions._providers import set_provider
from otel_posthog.conventions._reprs import parse_literal
from otel_posthog.conventions._usage import merge_usage, usage_of

_METADATA = "langsmith.metadata."

KINDS: dict[str, Kind] = {
    "llm": "generation",
    "embedding": "embedding",
    "tool": "tool",
    "chain": "chain",
    "retriever": "retrieval",
    "prompt": "prompt",
    "parser": "chain",
}


def matches(span: SpanView) -> bool:
    """Whether LangSmith wrote the span."""
    return "langsmith.span.kind" in span.attributes or span.scope_name == "langsmith"


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of a LangSmith run."""
    kind = KINDS.get(attributes.take(to_str, "langsmith.span.kind") or "", "other")
    operation = Operation(kind=kind, framework="langsmith")
    provider = attributes.take(to_str, _METADATA + "ls_provider")
    set_provider(operation, provider)
    if operation.provider is not None or attributes.peek("gen_ai.system") == "langchain":
        attributes.drop("gen_ai.system")  # "langchain" is the framework, not the provider
    operation.name = attributes.take(to_str, "langsmith.trace.name")
    operation.streaming = attributes.take(to_bool, "langsmith.request.streaming")
    operation.user = attributes.take(to_id, _METADATA + "user_id")
    operation.session = attributes.take(
        to_id, "langsmith.trace.session_id", _METADATA + "session_id", _METADATA + "thread_id",
        _METADATA + "conversation_id",
    )  # fmt: skip
    tags = attributes.take(to_str, "langsmith.span.tags")
    operation.tags = [tag.strip() for tag in tags.split(",")] if tags else None
    _read_usage(operation, attributes)
    _read_parameters(operation, attributes)
    _read_content(operation, attributes)
    for name, value in attributes.take_prefix(_METADATA).items():
        operation.metadata[name] = parse_json(value)
    operation.failure = _failure(span, attributes)
    if operation.failure is not None and not any(message.parts for message in operation.output or ()):
        operation.output = None  # LangChain makes an empty choice for a call that failed
    return operation


def _failure(span: SpanView, attributes: Attributes) -> Failure | None:
    """A status that was set to OK stays OK even if the run fails later; only a failed run has an exception event."""
    failure = failure_of(span, attributes, None)
    if failure is None and span.status_code == "OK":
        message = next((e.attributes.get("exception.message") for e in span.events if e.name == "exception"), None)
        failure = Failure(message=message, status=status_in(message)) if isinstance(message, str) else None
    if failure is not None and failure.message:
        failure.type, failure.message = _type_and_text(failure.type, failure.message)
    return failure


# The repr of an exception, which LangSmith writes before the traceback: OpenAIRateLimitError('Error code: 429 - …')
_REPR = re.compile(r"([A-Za-z_][\w.]*)(\(.*)\)\s*", re.DOTALL)


def _type_and_text(type: str | None, message: str) -> tuple[str | None, str]:
    message = message.partition("Traceback (")[0].strip() or message
    written = _REPR.fullmatch(message)
    if written is None:
        return type, message
    try:
        arguments = parse_literal(written[2] + ",)")
    except ConversionError:
        return type, message
    text = arguments[0] if isinstance(arguments, list) and arguments else None
    return (written[1], text) if isinstance(text, str) and text else (type, message)


def _read_usage(operation: Operation, attributes: Attributes) -> None:
    """LangChain's usage object counts the cache inside the input, for every provider."""
    metadata = attributes.take(to_structure, _METADATA + "usage_metadata")
    details = {
        "input_token_details": attributes.take(parse_literal, "gen_ai.usage.input_token_details"),
        "output_token_details": attributes.take(parse_literal, "gen_ai.usage.output_token_details"),
    }
    known = {name: value for name, value in details.items() if isinstance(value, dict)}
    if isinstance(metadata, dict) or known:
        usage = usage_of({**known, **(metadata if isinstance(metadata, dict) else {})})
        usage.cache_inside = True
        merge_usage(operation, usage)


def _read_parameters(operation: Operation, attributes: Attributes) -> None:
    parameters: dict[str, Json] = {}
    for name in ("temperature", "max_tokens", "stop"):
        value = attributes.left.pop(_METADATA + "ls_" + name, None)
        if value is not None:
            parameters[name] = value
    invocation = attributes.take(to_structure, _METADATA + "ls_invocation_params")
    read_parameters(operation, {**(invocation if isinstance(invocation, dict) else {}), **parameters})
    model = attributes.take(to_str, _METADATA + "ls_model_name")
    operation.request_model = operation.request_model or model


def _read_content(operation: Operation, attributes: Attributes) -> None:
    input = attributes.take(parse_json, "gen_ai.prompt")
    output = attributes.take(parse_json, "gen_ai.completion")
    if operation.kind in ("generation", "embedding"):
        if looks_like_request(input):
            read_request(operation, input)
        elif input is not None:
            operation.input_state = input
        read_response(operation, output) if isinstance(output, dict) else None
        if operation.output is None and output is not None and operation.kind == "generation":
            operation.output_state = output
        return
    operation.input_state = input
    if isinstance(output, dict) and set(output) == {"output"}:  # LangSmith wraps a bare result
        output = output["output"]
    operation.output_state = output
