"""LiteLLM's OpenTelemetry callback: GenAI attributes, and Python reprs beside them.

Source: litellm 1.106 and 1.110 as recorded; its version 2 (``LITELLM_OTEL_V2``) writes ``litellm.*``. Under an active
span the attributes are written onto that span, each call overwriting those of the previous one. So the child span
``raw_gen_ai_request``, which has request and answer as ``llm.<provider>.*``, may be all that is left of a call.
"""

from __future__ import annotations

from typing import Any

from otel_posthog._model import Cost, Operation
from otel_posthog._spans import SpanView
from otel_posthog.conventions import openllmetry
from otel_posthog.conventions._attributes import (
    Attributes,
    ConversionError,
    index_of,
    parse_json,
    to_bool,
    to_number,
    to_str,
    to_structure,
)
from otel_posthog.conventions._json import first, string
from otel_posthog.conventions._payloads import read_request, read_response
from otel_posthog.conventions._providers import provider_of, set_provider
from otel_posthog.conventions._reprs import parse_literal
from otel_posthog.conventions._semconv_tables import COST_INDEX
from otel_posthog.conventions._usage import merge_usage, usage_of

_RAW = "raw_gen_ai_request"

COSTS = index_of(
    ("total", to_number, ("litellm.cost.total",)),
    ("input", to_number, ("litellm.cost.input",)),
    ("output", to_number, ("litellm.cost.output",)),
)


def matches(span: SpanView) -> bool:
    """Whether LiteLLM wrote the span, or its attributes onto the app's own."""
    names = ("litellm.call_id", "litellm.provider.model")
    return span.scope_name == "litellm" or any(name in span.attributes for name in names)


def parse(span: SpanView, attributes: Attributes) -> Operation | None:
    """The operation of a LiteLLM span; ``None`` for a raw request without an answer, which repeats its parent."""
    if span.name == _RAW:
        return _raw_call(attributes)
    usage = attributes.take(parse_literal, "metadata.usage_object")
    hidden = attributes.take(to_structure, "hidden_params")
    user = attributes.take(to_str, "llm.user", "metadata.user_api_key_end_user_id")
    route = attributes.take(to_str, "litellm.provider.model")
    operation = openllmetry.parse(span, attributes)
    set_provider(operation, attributes.take(to_str, "gen_ai.provider.name", "gen_ai.system"))
    if operation.provider is None and route is not None and "/" in route:
        operation.provider = provider_of(route.partition("/")[0])
    operation.framework = "litellm"
    operation.streaming = attributes.take(to_bool, "litellm.request.streaming")
    costs = attributes.take_all(COSTS)
    if costs:
        operation.cost = Cost(**costs)
    if isinstance(usage, dict):
        merge_usage(operation, usage_of(usage))
    if isinstance(hidden, dict) and isinstance(hidden.get("api_base"), str):
        operation.base_url = hidden["api_base"]
    _read_metadata(operation, attributes, user)
    unused = [name for name in attributes if name.startswith("gen_ai.cost.") and name not in COST_INDEX]
    attributes.drop(*(name for name in unused if not attributes.peek(name)))
    return operation


def _read_metadata(operation: Operation, attributes: Attributes, user: str | None) -> None:
    """The app's metadata, which the proxy puts into ``requester_metadata``."""
    requester = attributes.take(parse_literal, "metadata.requester_metadata")
    ids = requester if isinstance(requester, dict) else {}
    operation.user = operation.user or user or string(first(ids, "user_id", "userId", "trace_user_id"))
    session = attributes.take(to_str, "metadata.session_id", "metadata.trace_session_id")
    operation.session = operation.session or session or string(first(ids, "session_id", "sessionId"))
    operation.metadata.update({str(name): value for name, value in ids.items()})
    for name, value in attributes.take_prefix("metadata.").items():
        if value not in ("", "[]", "{}", None):
            operation.metadata[name] = parse_json(value)


_RESPONSE = frozenset(("choices", "content", "role", "id", "model", "usage", "stop_reason", "output", "candidates"))


def _raw_call(attributes: Attributes) -> Operation | None:
    raw: dict[str, Any] = {}
    provider = None
    for name, value in attributes.take_prefix("llm.").items():
        provider, _, field = name.partition(".")
        try:
            raw[field] = parse_literal(value)
        except ConversionError:
            raw[field] = value
    response = {field: value for field, value in raw.items() if field in _RESPONSE}
    operation = Operation("generation", name="litellm_request", framework="litellm", provider=provider_of(provider))
    read_response(operation, response)
    if operation.output is None and operation.usage is None:
        return None
    read_request(operation, {field: value for field, value in raw.items() if field not in _RESPONSE})
    return operation
