"""Spans of AI libraries that follow no convention, with ``llm.*`` or ``ai.*`` names: the best event they can be."""

from __future__ import annotations

from otel_posthog._model import Kind, Operation, Usage
from otel_posthog._spans import SpanView
from otel_posthog.conventions import semconv
from otel_posthog.conventions._attributes import Attributes, index_of, parse_json, to_bool, to_int, to_number, to_str
from otel_posthog.conventions._common import set_provider
from otel_posthog.conventions._messages import messages_of
from otel_posthog.conventions._payloads import read_request, read_response

_PREFIXES = ("llm.", "$ai_")

USAGE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("input", ("llm.usage.prompt_tokens", "llm.usage.input_tokens", "llm.prompt_tokens", "llm.input_tokens",
               "llm.tokens.input", "llm.token_count.input")),
    ("output", ("llm.usage.completion_tokens", "llm.usage.output_tokens", "llm.completion_tokens",
                "llm.output_tokens", "llm.tokens.output", "llm.token_count.output")),
    ("total", ("llm.usage.total_tokens", "llm.total_tokens", "llm.tokens.total")),
)  # fmt: skip
USAGE_INDEX = index_of(*((field, to_int, names) for field, names in USAGE))

PARAMETERS = (
    ("temperature", to_number, ("llm.temperature", "llm.request.temperature")),
    ("max_tokens", to_int, ("llm.max_tokens", "llm.request.max_tokens")),
    ("top_p", to_number, ("llm.top_p",)),
)


def matches(span: SpanView) -> bool:
    """Whether any attribute speaks of an LLM, or is a PostHog property that the app set itself."""
    return span.has(*_PREFIXES)


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of a span of an unknown library."""
    operation = Operation(kind="other")
    set_provider(operation, attributes, attributes.take(to_str, "llm.provider"), "llm.provider")
    set_provider(operation, attributes, attributes.take(to_str, "llm.vendor", "llm.system"), "llm.vendor")
    operation.request_model = attributes.take(to_str, "llm.request.model", "llm.model", "llm.model_name")
    operation.response_model = attributes.take(to_str, "llm.response.model")
    operation.streaming = attributes.take(to_bool, "llm.stream", "llm.streaming", "llm.is_streaming")
    usage = Usage()
    for field, count in attributes.take_all(USAGE_INDEX).items():
        setattr(usage, field, count)
    operation.usage = usage
    for name, convert, names in PARAMETERS:
        value = attributes.take(convert, *names)
        if value is not None:
            operation.parameters[name] = value
    read_request(operation, attributes.take(parse_json, "llm.messages", "llm.prompt", "llm.prompts", "llm.input"))
    answer = attributes.take(parse_json, "llm.completion", "llm.response", "llm.output", "llm.completions")
    if isinstance(answer, dict):
        read_response(operation, answer)
    operation.output = operation.output or messages_of(answer, "assistant")
    operation.kind = _kind(operation, attributes)
    semconv.fill(operation, span, attributes)
    return operation


def _kind(operation: Operation, attributes: Attributes) -> Kind:
    """What the app states (``$ai_input_tokens``…) counts as much as what the library writes."""
    model = operation.request_model or operation.response_model or attributes.peek("$ai_model")
    called = operation.output or (operation.usage and operation.usage.output is not None)
    stated = "$ai_output_tokens" in attributes or "$ai_output_choices" in attributes
    return "generation" if model and (called or stated) else "other"
