"""Judgeval: ``judgment.span_kind`` and usage under the platform's name, request and response as JSON in ``gen_ai.*``.

Source: judgeval 1.6 (``Tracer.wrap``, ``Tracer.observe``) as recorded.
"""

from __future__ import annotations

from otel_posthog._model import Kind, Operation
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import Attributes, parse_json, to_any, to_str, to_structure
from otel_posthog.conventions._payloads import read_output, read_request
from otel_posthog.conventions._usage import merge_usage, usage_of

_MARKER = "judgment.span_kind"
KINDS: dict[str, Kind] = {"llm": "generation", "tool": "tool", "agent": "agent", "chain": "chain"}


def matches(span: SpanView) -> bool:
    """Whether Judgeval wrote the span."""
    return _MARKER in span.attributes


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of a call of a wrapped client, or of an observed function."""
    operation = Operation(kind=KINDS.get((attributes.take(to_str, _MARKER) or "").lower(), "other"))
    operation.request_model = attributes.take(to_str, "judgment.llm.model")
    if operation.is_call:
        read_request(operation, attributes.take(parse_json, "gen_ai.prompt", "judgment.input"))
        read_output(operation, attributes.take(to_any, "gen_ai.completion", "judgment.output"))
    else:
        operation.input_state = attributes.take(parse_json, "judgment.input")
        operation.output_state = attributes.take(parse_json, "judgment.output")
    usage = attributes.take(to_structure, "judgment.usage.metadata")
    if isinstance(usage, dict) and usage:  # the provider's own; the counts beside it leave the cache out
        merge_usage(operation, usage_of(usage))
        attributes.take_prefix("judgment.usage.")
    return operation
