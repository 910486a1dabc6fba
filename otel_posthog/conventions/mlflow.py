"""MLflow tracing: ``mlflow.*``, every value JSON.

Source: mlflow 3.17 autologging as recorded. MLflow puts ``mlflow.spanType`` "null" on every span of the app; that
alone is not an AI span.
"""

from __future__ import annotations

from typing import Any

from otel_posthog._model import Json, Kind, Operation, ToolCall
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import Attributes, ConversionError, parse_json, to_structure
from otel_posthog.conventions._json import loads
from otel_posthog.conventions._parts import decoded
from otel_posthog.conventions._payloads import looks_like_request, read_parameters, read_request, read_response
from otel_posthog.conventions._providers import set_provider
from otel_posthog.conventions._reprs import is_bare_object
from otel_posthog.conventions._tools import tools_of
from otel_posthog.conventions._usage import merge_usage, usage_of

KINDS: dict[str, Kind] = {
    "LLM": "generation",
    "CHAT_MODEL": "generation",
    "EMBEDDING": "embedding",
    "TOOL": "tool",
    "AGENT": "agent",
    "CHAIN": "chain",
    "WORKFLOW": "chain",
    "TASK": "chain",
    "RETRIEVER": "retrieval",
    "RERANKER": "rerank",
    "GUARDRAIL": "guardrail",
    "EVALUATOR": "evaluation",
    "PARSER": "chain",
    "MEMORY": "other",
    "UNKNOWN": "other",
}

_NO_TYPE = ("null", '"null"', "", None)


def matches(span: SpanView) -> bool:
    """Whether MLflow recorded a typed span, or inputs and outputs."""
    attributes = span.attributes
    return attributes.get("mlflow.spanType") not in _NO_TYPE or "mlflow.spanInputs" in attributes


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of an MLflow span."""
    kind = attributes.take(unquoted, "mlflow.spanType")
    operation = Operation(kind=KINDS.get(kind if isinstance(kind, str) else "", "other"), framework="mlflow")
    model = attributes.take(unquoted, "mlflow.llm.model")
    operation.response_model = model if isinstance(model, str) else None
    provider = attributes.take(unquoted, "mlflow.llm.provider")
    message_format = attributes.take(unquoted, "mlflow.message.format")
    raw = provider or message_format
    set_provider(operation, raw if isinstance(raw, str) else None)
    usage = attributes.take(to_structure, "mlflow.chat.tokenUsage")
    input = attributes.take(unquoted, "mlflow.spanInputs")
    output = attributes.take(unquoted, "mlflow.spanOutputs")
    if is_bare_object(output):  # a stream that was not read yet
        output = None
    _read_answer_usage(operation, usage, output)
    operation.tools = tools_of(attributes.take(to_structure, "mlflow.chat.tools"))
    if operation.kind in ("generation", "embedding"):
        if looks_like_request(input):
            read_request(operation, input)
            _drop_repeated(operation, attributes, input)
        elif input is not None:
            operation.input_state = input
        parameters = attributes.take(to_structure, "invocation_params")  # LangChain's
        if isinstance(parameters, dict):
            read_parameters(operation, parameters)
        if operation.kind == "generation":
            read_response(operation, output)
            _restore_streamed_calls(operation, span)
    else:
        operation.input_state, operation.output_state = input, output
    _read_stream(operation, span)
    attributes.drop("mlflow.traceRequestId", "mlflow.spanLogLevel")
    return operation


def unquoted(value: Any) -> Json:
    """A JSON value; MLflow quotes strings."""
    if not isinstance(value, str):
        return value
    try:
        plain = loads(value)
    except ValueError:
        return value
    if plain is None:
        raise ConversionError
    return plain


def _read_answer_usage(operation: Operation, usage: Json, output: Json) -> None:
    """The provider's own usage has the details; MLflow's summary counts the cache as the provider does."""
    own = output.get("usage") or output.get("usage_metadata") if isinstance(output, dict) else None
    if isinstance(own, dict):
        merge_usage(operation, usage_of(own))
    if isinstance(usage, dict):
        summary = usage_of(usage)
        if not summary.cache_inside:  # not settled by its total
            summary.cache_inside = operation.provider not in ("anthropic", "bedrock")
        merge_usage(operation, summary)


def _drop_repeated(operation: Operation, attributes: Attributes, request: Json) -> None:
    """MLflow repeats each parameter of the request as an attribute of its own (``model``, ``temperature``)."""
    if isinstance(request, dict):
        read_parameters(operation, request)
        attributes.drop(*(name for name in request if name in attributes))


def _restore_streamed_calls(operation: Operation, span: SpanView) -> None:
    """MLflow 3.17 leaves tool calls out of the combined answer of a stream; the chunks have them."""
    if not operation.output or any(message.parts for message in operation.output):
        return
    calls: dict[int, dict[str, str]] = {}
    for event in span.events:
        chunk = parse_json(event.attributes.get("mlflow.chunk.value"))
        choices = chunk.get("choices") if isinstance(chunk, dict) else None
        for choice in choices or ():
            delta = choice.get("delta") if isinstance(choice, dict) else None
            for piece in (delta.get("tool_calls") if isinstance(delta, dict) else None) or ():
                _add_piece(calls, piece)
    operation.output[0].parts = [
        ToolCall(call["name"], decoded(call["arguments"]), call["id"] or None)
        for call in calls.values()
        if call["name"]
    ]
    if operation.output[0].parts:
        operation.output[0].finish_reason = None  # it says "stop", whatever the chunks had
        operation.finish_reasons = ["tool_calls"]


def _add_piece(calls: dict[int, dict[str, str]], piece: Json) -> None:
    if not isinstance(piece, dict) or not isinstance(piece.get("function"), dict):
        return
    call = calls.setdefault(piece.get("index") or 0, {"id": "", "name": "", "arguments": ""})
    call["id"] = call["id"] or str(piece.get("id") or "")
    for key in ("name", "arguments"):
        call[key] += piece["function"].get(key) or ""


# An event for each chunk of a stream: MLflow's own, and LangChain's.
_CHUNKS = ("mlflow.chunk.item", "new_token")


def _read_stream(operation: Operation, span: SpanView) -> None:
    times = [event.time_unix_nano for event in span.events if event.name.startswith(_CHUNKS)]
    if times:
        operation.streaming = True
        first_chunk = min(filter(None, times), default=0)
        if first_chunk >= span.start_unix_nano:
            operation.time_to_first_token = (first_chunk - span.start_unix_nano) / 1e9
