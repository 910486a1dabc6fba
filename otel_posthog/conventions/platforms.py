"""LangWatch's and Judgeval's own spans: a kind, input and output under the platform's name, usage beside them.

Source: langwatch 1.4 (decorators, `autotrack_openai_calls`) and judgeval 1.6 (`Tracer.wrap`, `Tracer.observe`) as
recorded. Both may also export the spans of instrumentations with conventions of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from otel_posthog._model import Json, Kind, Operation
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import Attributes, parse_json, to_any, to_str, to_structure
from otel_posthog.conventions._payloads import read_output, read_parameters, read_request
from otel_posthog.conventions._tools import tools_in, tools_of
from otel_posthog.conventions._usage import merge_usage, usage_of

KINDS: dict[str, Kind] = {
    "llm": "generation",
    "embedding": "embedding",
    "tool": "tool",
    "agent": "agent",
    "rag": "retrieval",
    "retriever": "retrieval",
    "guardrail": "guardrail",
    "evaluation": "evaluation",
    "prompt": "prompt",
    "chain": "chain",
    "workflow": "chain",
}


@dataclass(frozen=True, slots=True)
class Platform:
    """Names of attributes; ``usage`` is a provider's or the platform's usage as JSON."""

    input: tuple[str, ...]
    output: tuple[str, ...]
    usage: str
    model: str
    parameters: str = ""


# By the attribute that holds the kind of a span.
PLATFORMS: dict[str, Platform] = {
    "langwatch.span.type": Platform(
        ("langwatch.input",), ("langwatch.output",), "langwatch.metrics", "gen_ai.request.model", "langwatch.params"
    ),
    "judgment.span_kind": Platform(
        ("gen_ai.prompt", "judgment.input"),
        ("gen_ai.completion", "judgment.output"),
        "judgment.usage.metadata",
        "judgment.llm.model",
    ),
}
PREFIXES = ("langwatch.span.", "judgment.span_kind")
_REPEATED = ("langwatch.timestamps", "gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens")


def matches(span: SpanView) -> bool:
    """Whether a span has a platform's kind."""
    return any(name in span.attributes for name in PLATFORMS)


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of a platform's span."""
    marker = next(name for name in PLATFORMS if name in attributes)
    platform = PLATFORMS[marker]
    operation = Operation(kind=KINDS.get((attributes.take(to_str, marker) or "").lower(), "other"))
    operation.request_model = attributes.take(to_str, platform.model)
    input, output = (_value(attributes, names) for names in (platform.input, platform.output))
    if operation.is_call:
        read_request(operation, input)
        read_output(operation, output)
    else:
        operation.input_state, operation.output_state = parse_json(input), parse_json(output)
    parameters = attributes.take(to_structure, platform.parameters)
    if isinstance(parameters, dict):
        read_parameters(operation, parameters)
        operation.tools = operation.tools or tools_of(tools_in(parameters))
    usage = attributes.take(to_structure, platform.usage)
    if isinstance(usage, dict) and usage:
        merge_usage(operation, usage_of(usage))
        attributes.drop(*(name for name in attributes if name.startswith("judgment.usage.")))
    metadata = attributes.take(to_structure, "metadata")
    if isinstance(metadata, dict):
        operation.user, operation.session = _text(metadata.pop("user_id", None)), _text(metadata.pop("thread_id", None))
        operation.metadata.update(metadata)
    attributes.drop(*_REPEATED)
    return operation


def _value(attributes: Attributes, names: tuple[str, ...]) -> Json:
    """A value as it was, or of LangWatch's ``{"type": "chat_messages", "value": […]}``, which may be wrapped again."""
    written = attributes.take(to_any, *names)
    typed = parse_json(written)
    if isinstance(typed, dict) and typed.keys() == {"type", "value"}:
        while isinstance(typed, dict) and typed.keys() == {"type", "value"}:
            typed = typed["value"]
        return typed
    return typed if names[0] == "gen_ai.prompt" else written


def _text(value: Json) -> str | None:
    return str(value) if value not in (None, "") else None
