"""The conventions: one reader each, asked in this order; the first that recognises a span owns it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from opentelemetry.sdk.trace import ReadableSpan

from otel_posthog.conventions import (
    generic,
    genkit,
    haystack,
    langfuse,
    langsmith,
    litellm,
    mcp,
    mlflow,
    openinference,
    openllmetry,
    pydantic_ai,
    semconv,
    vercel_ai,
    verdicts,
)
from otel_posthog.conventions._attributes import Attributes
from otel_posthog.conventions._common import SESSION_ATTRIBUTES, USER_ATTRIBUTES, complete
from otel_posthog.operation import Operation
from otel_posthog.spans import SpanView

__all__ = ["MARKERS", "READERS", "SESSION_ATTRIBUTES", "USER_ATTRIBUTES", "VERDICTS", "Reader", "is_ai_span", "read"]

VERDICTS = frozenset(verdicts.KINDS)  # names of log records that are events of their own


@dataclass(frozen=True, slots=True)
class Reader:
    """How one convention is read: ``recognises`` says whether a span is its own, ``read`` gives the operation.

    ``read`` takes what it understands from the attributes; the rest passes through to the event.
    """

    name: str
    recognises: Callable[[SpanView], bool]
    read: Callable[[SpanView, Attributes], Operation]


# Most specific first: a span may carry two conventions, and the specific one knows what the other repeats.
READERS: tuple[Reader, ...] = (
    Reader("verdicts", verdicts.recognises, verdicts.read),
    Reader("genkit", genkit.recognises, genkit.read),
    Reader("haystack", haystack.recognises, haystack.read),
    Reader("vercel_ai", vercel_ai.recognises, vercel_ai.read),
    Reader("langfuse", langfuse.recognises, langfuse.read),
    Reader("langsmith", langsmith.recognises, langsmith.read),
    Reader("mlflow", mlflow.recognises, mlflow.read),
    Reader("openinference", openinference.recognises, openinference.read),
    Reader("pydantic_ai", pydantic_ai.recognises, pydantic_ai.read),
    Reader("mcp", mcp.recognises, mcp.read),
    Reader("litellm", litellm.recognises, litellm.read),
    Reader("openllmetry", openllmetry.recognises, openllmetry.read),
    Reader("semconv", semconv.recognises, semconv.read),
    Reader("generic", generic.recognises, generic.read),
)


# A span is of interest if an attribute starts with one of these. PostHog's OTLP ingestion asks the same way
# (posthog.md section 3); app spans that MLflow marks with its own type alone are none.
MARKERS = (
    "gen_ai.",
    "llm.",
    "openinference.",
    "embedding.",
    "traceloop.",
    "langfuse.observation.",
    "langsmith.span.",
    "mlflow.spanInputs",
    "mlflow.spanType",
    "ai.operationId",
    "ai.model.",
    "ai.toolCall.",
    "pydantic_ai.",
    "all_messages_events",
    "request_data",
    "litellm.",
    "genkit:",
    "haystack.",
    "mcp.",
    "$ai_",
)


def is_ai_span(span: ReadableSpan) -> bool:
    """Whether any convention may own the span: cheap, for a queue that only AI spans may enter."""
    try:
        return any(name.startswith(MARKERS) for name in span.attributes or ())
    except AttributeError:  # a name that is no text, which the API forbids
        return any(str(name).startswith(MARKERS) for name in span.attributes or ())


def read(span: SpanView, readers: tuple[Reader, ...] = READERS) -> Operation | None:
    """The operation that a span describes, ``None`` if it is no AI span."""
    for reader in readers:
        if reader.recognises(span):
            attributes = Attributes(span.attributes)
            operation = reader.read(span, attributes)
            complete(operation, span, attributes)
            return operation
    return None
