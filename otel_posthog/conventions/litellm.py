"""LiteLLM's OpenTelemetry callback: GenAI attributes, and Python reprs beside them.

Source: litellm 1.106 as recorded. The child span ``raw_gen_ai_request`` repeats the call as ``llm.<provider>.*``.
"""

from __future__ import annotations

from otel_posthog._model import Operation
from otel_posthog._spans import SpanView
from otel_posthog.conventions import openllmetry
from otel_posthog.conventions._attributes import Attributes, parse_json, to_str, to_structure
from otel_posthog.conventions._providers import provider_of, set_provider
from otel_posthog.conventions._reprs import parse_literal
from otel_posthog.conventions._semconv_tables import COST_INDEX
from otel_posthog.conventions._usage import merge_usage, usage_of

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
    set_provider(operation, attributes.take(to_str, "gen_ai.provider.name", "gen_ai.system"))
    if operation.provider is None and route is not None and "/" in route:
        operation.provider = provider_of(route.partition("/")[0])
    operation.framework = "litellm"
    if isinstance(usage, dict):
        merge_usage(operation, usage_of(usage))
    if isinstance(hidden, dict) and isinstance(hidden.get("api_base"), str):
        operation.base_url = hidden["api_base"]
    operation.user = operation.user or user
    session = attributes.take(to_str, "metadata.session_id", "metadata.trace_session_id")
    operation.session = operation.session or session
    for name, value in attributes.take_prefix("metadata.").items():
        if value not in ("", "[]", "{}", None):
            operation.metadata[name] = parse_json(value)
    unused = [name for name in attributes if name.startswith("gen_ai.cost.") and name not in COST_INDEX]
    attributes.drop(*(name for name in unused if not attributes.peek(name)))
    return operation


def _drop_repetition(attributes: Attributes) -> None:
    """The raw request says nothing that its parent does not say better."""
    for name in [name for name in attributes if name.startswith("llm.")]:
        attributes.drop(name)
