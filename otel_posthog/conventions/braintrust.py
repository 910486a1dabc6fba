"""Braintrust's SDKs for Go, Java, Ruby and .NET: ``braintrust.*``, every value JSON.

Source: Braintrust's SDKs (braintrust-sdk-go, -java, -ruby, -dotnet): ``braintrust.span_attributes``, ``.input_json``,
``.output_json``, ``.metadata`` (the parameters of the request) and ``.metrics``, of which .NET writes each count apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_posthog._model import Json, Kind, Operation
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import Attributes, parse_json, parse_quoted_json, to_any, to_structure
from otel_posthog.conventions._json import string
from otel_posthog.conventions._messages import messages_of
from otel_posthog.conventions._payloads import looks_like_request, read_output, read_parameters, read_request
from otel_posthog.conventions._providers import set_provider
from otel_posthog.conventions._tools import tools_of
from otel_posthog.conventions._usage import merge_usage, usage_of

_PREFIX = "braintrust."

# braintrust.span_attributes.type
KINDS: dict[str, Kind] = {
    "llm": "generation",
    "tool": "tool",
    "function": "chain",
    "task": "chain",
    "eval": "chain",
    "score": "evaluation",
}


def matches(span: SpanView) -> bool:
    """Whether one of Braintrust's SDKs wrote the span."""
    return span.has(_PREFIX + "input", _PREFIX + "output", _PREFIX + "span_attributes", _PREFIX + "metrics")


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of a Braintrust span."""
    about = attributes.take(to_structure, _PREFIX + "span_attributes")
    about = about if isinstance(about, dict) else {}
    metadata = attributes.take(to_structure, _PREFIX + "metadata")
    request = metadata if isinstance(metadata, dict) else {}
    counts = _counts(attributes)
    default: Kind = "generation" if counts and request.get("model") else "chain"
    operation = Operation(KINDS.get(str(about.get("type")), default), name=string(about.get("name")))
    set_provider(operation, string(request.get("provider")))
    if operation.kind == "generation":
        read_parameters(operation, {name: value for name, value in request.items() if name != "metadata"})
        operation.tools = tools_of(request.get("tools"))
        operation.response_id = string(request.get("id"))
        _read_call(operation, attributes)
    else:
        operation.metadata.update(request)
        operation.input_state = attributes.take(parse_quoted_json, _PREFIX + "input_json", _PREFIX + "input")
        operation.output_state = attributes.take(parse_quoted_json, _PREFIX + "output_json", _PREFIX + "output")
    if counts:
        seconds = counts.pop("time_to_first_token", None)
        operation.time_to_first_token = seconds if isinstance(seconds, (int, float)) else None
        merge_usage(operation, usage_of(counts))
    attributes.drop(_PREFIX + "parent")
    return operation


def _read_call(operation: Operation, attributes: Attributes) -> None:
    input = attributes.take(parse_json, _PREFIX + "input_json", _PREFIX + "input")
    if looks_like_request(input):
        read_request(operation, input)
    else:
        operation.input = messages_of(input)
    output = attributes.take(to_any, _PREFIX + "output_json", _PREFIX + "output")
    choices = parse_json(output)
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) and "message" in choices[0]:
        output = {"choices": choices}
    if output is not None:
        read_output(operation, output)


def _counts(attributes: Attributes) -> dict[str, Json]:
    """Token counts and seconds by Braintrust's names; ``tokens`` is the total."""
    counts: dict[str, Any] = attributes.take_prefix(_PREFIX + "metrics.")
    listed = attributes.take(to_structure, _PREFIX + "metrics")
    if isinstance(listed, dict):
        counts.update(listed)
    if "tokens" in counts:
        counts["total_tokens"] = counts.pop("tokens")
    return counts
