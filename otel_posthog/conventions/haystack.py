"""Haystack: ``haystack.component.*``, ``haystack.pipeline.*`` and ``haystack.agent.*``.

Source: haystack-ai's tracing (haystack/tracing, core/pipeline/base.py); content only with
``HAYSTACK_CONTENT_TRACING_ENABLED``. A chat generator's usage is in the ``meta`` of its replies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_posthog.conventions import semconv
from otel_posthog.conventions._attributes import Attributes, structure, text
from otel_posthog.conventions._messages import messages_of
from otel_posthog.conventions._parts import first
from otel_posthog.conventions._payloads import merge_usage, read_parameters, usage_of
from otel_posthog.conventions._recovery import json_prefix
from otel_posthog.operation import Json, Kind, Operation
from otel_posthog.spans import SpanView

# Component classes are named after what they are: OpenAIChatGenerator, InMemoryBM25Retriever.
ENDINGS: tuple[tuple[str, Kind], ...] = (
    ("Generator", "generation"),
    ("TextEmbedder", "embedding"),
    ("DocumentEmbedder", "embedding"),
    ("Retriever", "retrieval"),
    ("Ranker", "rerank"),
    ("ToolInvoker", "tool"),
    ("Agent", "agent"),
    ("PromptBuilder", "prompt"),
    ("Evaluator", "evaluation"),
)


def recognises(span: SpanView) -> bool:
    """Whether Haystack wrote the span."""
    return span.has("haystack.")


def read(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of a Haystack component, pipeline or agent."""
    component = attributes.take(text, "haystack.component.type") or ""
    kind: Kind = next((kind for ending, kind in ENDINGS if component.endswith(ending)), "chain")
    if "haystack.agent.max_steps" in attributes or span.name == "haystack.agent.run":
        kind = "agent"
    operation = Operation(kind=kind, framework="haystack")
    operation.name = attributes.take(text, "haystack.component.name", "haystack.tool.name") or component or None
    given = attributes.take(_json, "haystack.component.input", "haystack.pipeline.input_data", "haystack.agent.input",
                            "haystack.tool.input")  # fmt: skip
    answered = attributes.take(_json, "haystack.component.output", "haystack.pipeline.output_data",
                               "haystack.agent.output", "haystack.tool.output")  # fmt: skip
    if operation.is_call:
        _read_call(operation, given, answered)
    else:
        operation.input_state, operation.output_state = given, answered
    semconv.fill(operation, span, attributes)
    return operation


def _json(value: Any) -> Json:
    return json_prefix(value)[0] if isinstance(value, str) else structure(value)


def _read_call(operation: Operation, given: Json, answered: Json) -> None:
    if isinstance(given, Mapping):
        asked = first(dict(given), "messages", "prompt", "text", "documents")
        operation.input = messages_of(asked)
        parameters = given.get("generation_kwargs")
        if isinstance(parameters, Mapping):
            read_parameters(operation, parameters)
    if not isinstance(answered, Mapping):
        return
    replies = answered.get("replies")
    if operation.kind == "generation" and isinstance(replies, list):
        operation.output = messages_of([_without_meta(reply) for reply in replies], "assistant")
    metas = [reply.get("meta") or reply.get("_meta") for reply in replies or () if isinstance(reply, Mapping)]
    stated = answered.get("meta")
    metas += stated if isinstance(stated, list) else [stated]
    for meta in metas:
        if isinstance(meta, Mapping):
            _read_meta(operation, meta)


def _without_meta(reply: Json) -> Json:
    if not isinstance(reply, Mapping):
        return reply
    return {key: value for key, value in reply.items() if key not in ("meta", "_meta")}


def _read_meta(operation: Operation, meta: Mapping[str, Any]) -> None:
    model = meta.get("model")
    if isinstance(model, str):
        operation.response_model = operation.response_model or model
    reason = meta.get("finish_reason")
    if isinstance(reason, str) and not operation.finish_reasons:
        operation.finish_reasons = [reason]
    usage = meta.get("usage")
    if isinstance(usage, Mapping):
        merge_usage(operation, usage_of(usage))
