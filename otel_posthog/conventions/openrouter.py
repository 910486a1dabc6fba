"""OpenRouter's Broadcast: a span for each request that OpenRouter routes, with GenAI attributes.

Source: https://openrouter.ai/docs/guides/features/broadcast/otel-collector. The app's metadata is in
``trace.metadata.*``, OpenRouter's own in ``trace.metadata.openrouter.*``; ``trace.*`` and ``span.*`` repeat the
content.
"""

from __future__ import annotations

from typing import Any

from otel_posthog._model import Operation
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import Attributes, ConversionError, parse_json, to_number, to_str
from otel_posthog.conventions._json import first, string
from otel_posthog.conventions._messages import messages_of

SCOPE = "openrouter"
_METADATA = "trace.metadata."
_OWN = (_METADATA + "openrouter", "span.metadata.")
_REPEATED = ("trace.input", "trace.output", "span.input", "span.output", "span.type", "span.level", "trace.name")


def matches(span: SpanView) -> bool:
    """Whether OpenRouter wrote the span, and it is about a call."""
    return (span.scope_name == SCOPE or span.has(_OWN[0])) and span.has("gen_ai.")


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of a request."""
    is_call = "gen_ai.request.model" in attributes or "gen_ai.response.model" in attributes
    operation = Operation("generation" if is_call else "chain")
    operation.name = attributes.take(to_str, "trace.name")
    milliseconds = attributes.take(to_number, _METADATA + "openrouter.first_token_ms")
    if milliseconds is not None:
        operation.time_to_first_token = milliseconds / 1000
    if "gen_ai.provider.name" not in attributes and "gen_ai.system" not in attributes:
        operation.provider = "openrouter"
    answer = attributes.take(_answer, "gen_ai.completion")
    operation.output = messages_of([answer], "assistant") if answer else None
    attributes.drop(*_REPEATED, *(name for name in attributes if name.startswith(_OWN)))
    for name, value in attributes.take_prefix(_METADATA).items():
        operation.metadata[name] = parse_json(value)
    return operation


def _answer(value: Any) -> dict[str, Any]:
    """``{"completion": …, "reasoning": …}`` as a message."""
    answer = parse_json(value)
    text = string(first(answer, "completion")) if isinstance(answer, dict) else None
    if text is None:
        raise ConversionError
    beside = {name: answer[name] for name in ("reasoning", "tool_calls", "refusal") if answer.get(name)}
    return {"role": "assistant", "content": text, **beside}
