"""Spans of libraries that follow no convention, with ``llm.*`` attributes."""

from __future__ import annotations

from otel_posthog._model import Operation
from otel_posthog._spans import SpanView
from otel_posthog.conventions import posthog
from otel_posthog.conventions._attributes import (
    Attributes,
    index_of,
    parse_json,
    to_any,
    to_bool,
    to_int,
    to_number,
    to_str,
)
from otel_posthog.conventions._payloads import read_output, read_request
from otel_posthog.conventions._providers import set_provider
from otel_posthog.conventions._usage import take_usage

_USAGE_PREFIXES = ("llm.usage.", "llm.token", "llm.prompt_token", "llm.completion_token", "llm.input_token",
                   "llm.output_token", "llm.total_token", "llm.cache")  # fmt: skip

PARAMETERS = index_of(
    ("temperature", to_number, ("llm.temperature", "llm.request.temperature")),
    ("max_tokens", to_int, ("llm.max_tokens", "llm.request.max_tokens")),
    ("top_p", to_number, ("llm.top_p",)),
)


def matches(span: SpanView) -> bool:
    """Whether any attribute is about an LLM."""
    return span.has("llm.")


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of a span of an unknown library."""
    operation = Operation(kind="other")
    set_provider(operation, attributes.take(to_str, "llm.provider"))
    set_provider(operation, attributes.take(to_str, "llm.vendor", "llm.system"))
    operation.request_model = attributes.take(to_str, "llm.request.model", "llm.model", "llm.model_name")
    operation.response_model = attributes.take(to_str, "llm.response.model")
    operation.streaming = attributes.take(to_bool, "llm.stream", "llm.streaming", "llm.is_streaming")
    usage = operation.usage = take_usage(attributes, _USAGE_PREFIXES)
    operation.parameters.update(attributes.take_all(PARAMETERS))
    read_request(operation, attributes.take(parse_json, "llm.messages", "llm.prompt", "llm.prompts", "llm.input"))
    answer = attributes.take(to_any, "llm.completion", "llm.response", "llm.output", "llm.completions")
    if answer is not None:
        read_output(operation, answer)
    model = operation.request_model or operation.response_model
    if model and (operation.output or usage.output is not None):
        operation.kind = "generation"
    else:
        operation.kind = posthog.call_kind(attributes, model)
    return operation
