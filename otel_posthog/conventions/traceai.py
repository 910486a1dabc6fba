"""Future AGI's traceAI: OpenInference's flattened attributes under ``gen_ai.*`` names.

Source: traceAI-openai 0.1.10 as recorded; fi_instrumentation/fi_types.py names the attributes.
"""

from __future__ import annotations

from otel_posthog._model import Operation
from otel_posthog._spans import SpanView
from otel_posthog.conventions import openinference
from otel_posthog.conventions._attributes import Attributes

# Start of a name -> what OpenInference calls it. The response's model is written as the requested one.
NAMES: tuple[tuple[str, str], ...] = (
    ("gen_ai.span.kind", "openinference.span.kind"),
    ("gen_ai.input.messages.", "llm.input_messages."),
    ("gen_ai.output.messages.", "llm.output_messages."),
    ("gen_ai.tool.definitions.", "llm.tools."),
    ("gen_ai.request.parameters", "llm.invocation_parameters"),
    ("gen_ai.request.model", "llm.model_name"),
)
# Repeated in the attributes above: the tools, and the images of the messages. ``null`` where there are none.
_REPEATED = ("gen_ai.tool.definitions", "gen_ai.input.images")


def matches(span: SpanView) -> bool:
    """Whether the messages are flattened under GenAI names, or traceAI wrote the span."""
    return span.has("gen_ai.input.messages.", "gen_ai.output.messages.") or (
        span.scope_name.startswith(("traceai_", "fi_instrumentation")) and span.has("gen_ai.")
    )


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation as OpenInference's reader sees it."""
    for name in list(attributes):
        known = next(((start, other) for start, other in NAMES if name.startswith(start)), None)
        if known is not None:
            start, other = known
            attributes.left[other + name[len(start) :]] = attributes.left.pop(name)
    attributes.drop(*_REPEATED)
    return openinference.parse(span, attributes)
