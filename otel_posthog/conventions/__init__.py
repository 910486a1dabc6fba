"""The conventions: one reader each; the first in the registry that matches a span owns it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from opentelemetry.sdk.trace import ReadableSpan

from otel_posthog._model import Operation
from otel_posthog._spans import SpanView, view_of
from otel_posthog.conventions import (
    braintrust,
    claude_code,
    generic,
    genkit,
    google_adk,
    haystack,
    judgeval,
    langfuse,
    langsmith,
    langwatch,
    litellm,
    llama_index,
    mastra,
    mcp,
    mlflow,
    openinference,
    openllmetry,
    openrouter,
    pipecat,
    posthog,
    pydantic_ai,
    semconv,
    traceai,
    vercel_ai,
    voltagent,
)
from otel_posthog.conventions._attributes import Attributes, ConversionError
from otel_posthog.conventions._calls import is_failed_call_without_attributes
from otel_posthog.conventions._completion import completed, filled
from otel_posthog.conventions._identity import (
    IDENTITY_NAMES,
    SESSION_ATTRIBUTES,
    USER_ATTRIBUTES,
    session_in,
    user_in,
)
from otel_posthog.conventions._plain import is_plain, plain_view
from otel_posthog.conventions.evaluations import EVALUATION_EVENTS, parse_evaluation

__all__ = [
    "EVALUATION_EVENTS",
    "IDENTITY_NAMES",
    "MARKERS",
    "READERS",
    "SESSION_ATTRIBUTES",
    "USER_ATTRIBUTES",
    "Attributes",
    "Reader",
    "is_ai_span",
    "parse_evaluation",
    "parse_span",
    "reader_of",
    "session_in",
    "user_in",
]


@dataclass(frozen=True, slots=True)
class Reader:
    """How one convention is read.

    ``matches`` says whether the convention owns a span. ``parse`` returns its operation; it takes the attributes that
    it understands, the rest passes through to the event. What it leaves ``None`` is filled in from the GenAI
    conventions, if the span carries those too; ``finish`` may then return an operation that is corrected by them.
    A span of which ``parse`` makes ``None`` is not an event: it repeats another one.
    """

    name: str
    matches: Callable[[SpanView], bool]
    parse: Callable[[SpanView, Attributes], Operation | None]
    finish: Callable[[Operation, SpanView], Operation] | None = None


# Most specific first: a span may carry two conventions, and the specific one knows what the other repeats.
READERS: tuple[Reader, ...] = (
    Reader("genkit", genkit.matches, genkit.parse),
    Reader("google_adk", google_adk.matches, google_adk.parse),
    Reader("mastra", mastra.matches, mastra.parse),
    Reader("pipecat", pipecat.matches, pipecat.parse),
    Reader("haystack", haystack.matches, haystack.parse),
    Reader("vercel_ai", vercel_ai.matches, vercel_ai.parse),
    Reader("langfuse", langfuse.matches, langfuse.parse),
    Reader("langsmith", langsmith.matches, langsmith.parse),
    Reader("mlflow", mlflow.matches, mlflow.parse),
    Reader("braintrust", braintrust.matches, braintrust.parse),
    Reader("claude_code", claude_code.matches, claude_code.parse),
    Reader("openrouter", openrouter.matches, openrouter.parse),
    Reader("voltagent", voltagent.matches, voltagent.parse),
    Reader("llama_index", llama_index.matches, llama_index.parse),
    Reader("judgeval", judgeval.matches, judgeval.parse),
    Reader("traceai", traceai.matches, traceai.parse),
    Reader("openinference", openinference.matches, openinference.parse),
    Reader("pydantic_ai", pydantic_ai.matches, pydantic_ai.parse, pydantic_ai.finish),
    Reader("langwatch", langwatch.matches, langwatch.parse),
    Reader("mcp", mcp.matches, mcp.parse),
    Reader("litellm", litellm.matches, litellm.parse, openllmetry.finish),
    Reader("openllmetry", openllmetry.matches, openllmetry.parse, openllmetry.finish),
    Reader("semconv", semconv.matches, semconv.parse),
    Reader("generic", generic.matches, generic.parse),
    Reader("posthog", posthog.matches, posthog.parse),
)


# Names of attributes of AI spans start with one of these. PostHog's own OTLP ingestion decides in the same way
# (https://posthog.com/docs/llm-analytics/installation/opentelemetry). MLflow marks all spans of an app with its type
# "null", so that the type alone does not count.
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
    "braintrust.",
    "langwatch.",
    "$ai_",
    "judgment.span_kind",
)


# Of libraries that write span events only, or bare attributes.
_SCOPES = frozenset((llama_index.SCOPE, voltagent.SCOPE, *claude_code.SCOPES))


def is_ai_span(span: ReadableSpan) -> bool:
    """Whether any convention may own the span: cheap, for a queue that only AI spans may enter."""
    try:
        if any(name.startswith(MARKERS) for name in span.attributes or ()):
            return True
    except AttributeError:  # a name that is no text, which the API forbids
        if any(str(name).startswith(MARKERS) for name in span.attributes or ()):
            return True
    scope = span.instrumentation_scope
    if scope is not None and scope.name in _SCOPES:
        return True
    return not span.status.is_ok and is_failed_call_without_attributes(view_of(span))


def parse_span(span: SpanView, own_readers: Sequence[Reader] = ()) -> Operation | None:
    """The operation that a span describes, ``None`` if it is not an event. Nothing changes it afterwards.

    Raises what a reader of the user's own raises.
    """
    try:
        return _parsed(span, own_readers)
    except Exception:  # some value is an object that no attribute may hold
        return _parsed(plain_view(span), own_readers)


def _parsed(span: SpanView, own_readers: Sequence[Reader]) -> Operation | None:
    reader = reader_of(span, own_readers)
    if reader is None:
        return None
    attributes = Attributes(span.attributes)
    if not is_plain(attributes.left.values()):
        raise ConversionError
    operation = reader.parse(span, attributes)
    if operation is None:
        return None
    if reader.parse is not semconv.parse:
        operation = filled(operation, semconv.parse(span, attributes, operation.kind))
    if reader.finish is not None:
        operation = reader.finish(operation, span)
    return completed(operation, span, attributes)


_MOST_SHAPES = 1_024
_reader_of_shape: dict[tuple[str, tuple[str, ...]], Reader | None] = {}


def reader_of(span: SpanView, own_readers: Sequence[Reader] = ()) -> Reader | None:
    """The reader that owns a span; the user's own come first.

    An app writes spans of few shapes, so the answer is remembered by scope and attribute names. The readers here look
    at nothing else but events, log records, failed calls without attributes, and the value of MLflow's type.
    """
    for reader in own_readers:
        if reader.matches(span):
            return reader
    if span.events or span.logs or span.status_code == "ERROR" or "mlflow.spanType" in span.attributes:
        return _first_match(span)
    shape = (span.scope_name, tuple(span.attributes))
    try:
        return _reader_of_shape[shape]
    except KeyError:
        found = _first_match(span)
    if len(_reader_of_shape) >= _MOST_SHAPES:
        _reader_of_shape.clear()
    _reader_of_shape[shape] = found
    return found


def _first_match(span: SpanView) -> Reader | None:
    return next((reader for reader in READERS if reader.matches(span)), None)
