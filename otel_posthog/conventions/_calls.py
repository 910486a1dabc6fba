"""The kind of a span of the GenAI conventions, above all whether it is a model call: only those are priced."""

from __future__ import annotations

import re

from otel_posthog._model import Kind
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import Attributes
from otel_posthog.conventions._providers import provider_of_scope
from otel_posthog.conventions._semconv_tables import KINDS, USAGE_PREFIXES
from otel_posthog.conventions._usage import field_of

_CALLS = frozenset(name for name, kind in KINDS.items() if kind in ("generation", "embedding"))
_MODELS = ("gen_ai.request.model", "gen_ai.response.model")
# With a model, one of these shows that the model was called.
_CONTENT = (
    "gen_ai.output.messages",
    "gen_ai.input.messages",
    "gen_ai.response.id",
    "gen_ai.completion",
    "gen_ai.prompt",
)
# Paths of the providers' inference APIs: counting tokens or listing models is not a call.
_INFERENCE = re.compile(
    r"/(?:completions|messages|responses|embeddings|converse(?:-stream)?|invoke(?:-with-response-stream)?)(?:[?#]|$)"
    r"|:(?:streamG|g)enerateContent|:(?:batchE|e)mbedContents?"
)
_USAGE_RECORD_NANOS = 1_000_000


def kind_of(operation_name: str | None, span: SpanView, attributes: Attributes) -> Kind:
    """The kind of a span from its operation name, else from its name and attributes."""
    if operation_name is not None:
        return KINDS.get(operation_name.lower()) or _kind_of_unknown(operation_name, span, attributes)
    # Attribute limits evict the oldest attributes first; the spec names spans "{operation} {model or target}".
    return KINDS.get(span.name.partition(" ")[0]) or _kind_by_content(span, attributes)


def is_failed_call_without_attributes(span: SpanView) -> bool:
    """OpenLIT 1.33 to 1.36 writes a failed call as a span "{operation} {model}" and nothing else."""
    operation, _, model = span.name.partition(" ")
    return (
        bool(model)
        and operation in _CALLS
        and span.status_code == "ERROR"
        and (span.scope_name.startswith("openlit.") or provider_of_scope(span.scope_name) is not None)
    )


def _kind_of_unknown(operation_name: str, span: SpanView, attributes: Attributes) -> Kind:
    """Some libraries name operations after tasks (NeMo Guardrails) or methods (Langtrace): a client span with a model
    and output tokens is a call. Only embeddings have no output."""
    if span.kind != "CLIENT" or not any(name in attributes for name in _MODELS):
        return "other"
    if "embed" in operation_name.lower():
        return "embedding"
    has_output = any(name.startswith(USAGE_PREFIXES) and field_of(name) == "output" for name in attributes)
    return "generation" if has_output else "other"


def _kind_by_content(span: SpanView, attributes: Attributes) -> Kind:
    """Without an operation name, a call has a model and its tokens, its content or the request."""
    if "gen_ai.tool.name" in attributes or "gen_ai.tool.call.id" in attributes:
        return "tool"
    if any(name in attributes for name in _MODELS):
        counts = any(name.startswith(USAGE_PREFIXES) for name in attributes)
        content = any(name in attributes for name in _CONTENT)
        if (counts or content or _is_inference(attributes)) and not _is_usage_record(content, span, attributes):
            return "embedding" if "embed" in str(attributes.peek("gen_ai.request.model")) else "generation"
    return "agent" if "gen_ai.agent.name" in attributes else "other"


def _is_inference(attributes: Attributes) -> bool:
    """The Mistral SDK before 2.0 writes the HTTP request and the model only."""
    url = attributes.peek("url.full") or attributes.peek("http.url")
    return isinstance(url, str) and "http.request.method" in attributes and _INFERENCE.search(url) is not None


def _is_usage_record(content: bool, span: SpanView, attributes: Attributes) -> bool:
    """AG2 1.2 writes a span without duration for the tokens of the call beside it."""
    is_instant = span.end_unix_nano - span.start_unix_nano < _USAGE_RECORD_NANOS
    return is_instant and not content and "gen_ai.request.model" not in attributes
