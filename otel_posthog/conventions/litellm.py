"""LiteLLM's OpenTelemetry callback: GenAI attributes, and Python reprs beside them.

Source: litellm 1.106 as recorded. The child span ``raw_gen_ai_request`` repeats the call as ``llm.<provider>.*``.
"""

from __future__ import annotations

from otel_posthog._model import Operation
from otel_posthog._spans import SpanView
from otel_posthog.conventions import openllmetry
from otel_posthog.conventions._attributes import Attributes, parse_json, parse_literal, to_str, to_structure
from otel_posthog.conventions._indexed import listed, nested
from otel_posthog.conventions._messages import messages_of
from otel_posthog.conventions._payloads import merge_usage, usage_of
from otel_posthog.conventions._providers import provider_of

_RAW = "raw_gen_ai_request"


def matches(span: SpanView) -> bool:
    """Whether LiteLLM wrote the span, or its attributes onto the app's own."""
    names = ("litellm.call_id", "litellm.provider.model")
    return span.scope_name == "litellm" or any(name in span.attributes for name in names)


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of a LiteLLM span."""
    if span.name == _RAW:
        operation = Operation(kind="other", framework="litellm")
        _drop_repetition(attributes)
        return operation
    usage = attributes.take(parse_literal, "metadata.usage_object")
    hidden = attributes.take(to_structure, "hidden_params")
    user = attributes.take(to_str, "llm.user", "metadata.user_api_key_end_user_id")
    route = attributes.take(to_str, "litellm.provider.model")
    operation = openllmetry.parse(span, attributes)
    if operation.provider is None and route is not None and "/" in route:
        operation.provider = provider_of(route.partition("/")[0])
    operation.framework = "litellm"
    if isinstance(usage, dict):
        merge_usage(operation, usage_of(usage))
    if isinstance(hidden, dict) and isinstance(hidden.get("api_base"), str):
        operation.base_url = operation.base_url or hidden["api_base"]
    operation.user = operation.user or user
    session = attributes.take(to_str, "metadata.session_id", "metadata.trace_session_id")
    operation.session = operation.session or session
    _restore_tool_calls(operation, span)
    for name, value in attributes.take_prefix("metadata.").items():
        if value not in ("", "[]", "{}", None):
            operation.metadata[name] = parse_json(value)
    _drop_zero_costs(attributes)
    return operation


def _drop_repetition(attributes: Attributes) -> None:
    """The raw request says nothing that its parent does not say better."""
    for name in [name for name in attributes if name.startswith("llm.")]:
        attributes.drop(name)


def _drop_zero_costs(attributes: Attributes) -> None:
    costs = [name for name in attributes if name.startswith("gen_ai.cost.")]
    attributes.drop(*(name for name in costs if not attributes.peek(name)))


def _restore_tool_calls(operation: Operation, span: SpanView) -> None:
    """Answers that are tool calls come with ``parts: []``; the calls are in ``gen_ai.completion.N.function_call.*``."""
    if any(message.parts for message in operation.output or ()):
        return
    prefix = "gen_ai.completion."
    flat = {name[len(prefix) :]: value for name, value in span.attributes.items() if name.startswith(prefix)}
    found = messages_of(listed(nested(flat)), "assistant")
    if found and any(message.parts for message in found):
        operation.output = found
