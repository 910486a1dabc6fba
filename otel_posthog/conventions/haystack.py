"""Haystack: ``haystack.component.*``, ``haystack.pipeline.*`` and ``haystack.agent.*``.

Source: haystack-ai's tracing (haystack/tracing, core/pipeline/base.py), 2.31 and 3.4 as recorded; content only with
``HAYSTACK_CONTENT_TRACING_ENABLED``. A chat generator's usage is in the ``meta`` of its replies. Values that
contain tools are written as the ``repr`` of Python objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_posthog._model import Json, Kind, Operation
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import Attributes, ConversionError, to_str, to_structure
from otel_posthog.conventions._json import first, loads
from otel_posthog.conventions._messages import messages_of
from otel_posthog.conventions._payloads import read_parameters
from otel_posthog.conventions._recovery import json_prefix
from otel_posthog.conventions._reprs import repr_value
from otel_posthog.conventions._times import seconds_into
from otel_posthog.conventions._tools import tools_of
from otel_posthog.conventions._usage import merge_usage, usage_of

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

# Likewise the provider: a failed call has no reply that names its model.
PROVIDERS: tuple[tuple[str, str], ...] = (
    ("OpenAI", "openai"),
    ("AzureOpenAI", "azure"),
    ("Anthropic", "anthropic"),
    ("AmazonBedrock", "bedrock"),
    ("GoogleGenAI", "gemini"),
    ("GoogleAI", "gemini"),
    ("VertexAI", "vertex_ai"),
    ("Mistral", "mistral"),
    ("Cohere", "cohere"),
    ("Ollama", "ollama"),
    ("HuggingFace", "huggingface"),
)

# Since version 3 the model calls and tool calls of an agent are spans without a component.
_INPUTS = ("haystack.component.input", "haystack.pipeline.input_data", "haystack.agent.input", "haystack.tool.input",
          "haystack.agent.step.llm.input", "haystack.agent.step.tool.input")  # fmt: skip
_OUTPUTS = ("haystack.component.output", "haystack.pipeline.output_data", "haystack.agent.output",
             "haystack.tool.output", "haystack.agent.step.llm.output", "haystack.agent.step.tool.output")  # fmt: skip


def matches(span: SpanView) -> bool:
    """Whether Haystack wrote the span."""
    return span.has("haystack.")


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of a Haystack component, pipeline or agent."""
    component = attributes.take(to_str, "haystack.component.type") or ""
    kind: Kind = next((kind for ending, kind in ENDINGS if component.endswith(ending)), "chain")
    if "haystack.agent.max_steps" in attributes or span.name == "haystack.agent.run":
        kind = "agent"
    if span.has("haystack.agent.step.llm"):
        kind = "generation"
    elif "haystack.tool.name" in attributes:
        kind = "tool"
    operation = Operation(kind=kind, framework="haystack")
    operation.name = attributes.take(to_str, "haystack.component.name", "haystack.tool.name") or component or None
    input, output = attributes.take(_json, *_INPUTS), attributes.take(_json, *_OUTPUTS)
    if operation.is_call:
        operation.provider = next((provider for start, provider in PROVIDERS if component.startswith(start)), None)
        _read_call(operation, span, input, output)
    else:
        operation.input_state, operation.output_state = input, output
    return operation


def _json(value: Any) -> Json:
    if not isinstance(value, str):
        return to_structure(value)
    if value[:1] not in ("{", "["):
        return value
    try:
        return loads(value)
    except ValueError:
        pass
    try:
        return repr_value(value)
    except ConversionError:
        return json_prefix(value)[0]


def _read_call(operation: Operation, span: SpanView, input: Json, output: Json) -> None:
    if isinstance(input, Mapping):
        messages = first(dict(input), "messages", "prompt", "text", "documents")
        operation.input = messages_of([_message(item) for item in messages] if isinstance(messages, list) else messages)
        operation.tools = tools_of(input.get("tools"))
        parameters = input.get("generation_kwargs")
        if isinstance(parameters, Mapping):
            read_parameters(operation, parameters)
    if not isinstance(output, Mapping):
        return
    replies = output.get("replies")
    if operation.kind == "generation" and isinstance(replies, list):
        operation.output = messages_of([_message(reply) for reply in replies], "assistant")
    metas = [reply.get("meta") or reply.get("_meta") for reply in replies or () if isinstance(reply, Mapping)]
    component_meta = output.get("meta")
    metas += component_meta if isinstance(component_meta, list) else [component_meta]
    for meta in metas:
        if isinstance(meta, Mapping):
            _read_meta(operation, span, meta)


def _message(written: Json) -> Json:
    """A message in the usual shape; a ``repr`` has private fields, and parts without their type."""
    if not isinstance(written, Mapping):
        return written
    message = {name.removeprefix("_"): value for name, value in written.items() if name not in ("meta", "_meta")}
    if isinstance(message.get("content"), list):
        message["content"] = [_part(part) for part in message["content"]]
    return message


def _part(part: Json) -> Json:
    if isinstance(part, Mapping) and "tool_name" in part:
        return {"tool_call": part}
    if isinstance(part, Mapping) and "origin" in part:
        return {"tool_call_result": part}
    return part


def _read_meta(operation: Operation, span: SpanView, meta: Mapping[str, Any]) -> None:
    model = meta.get("model")
    if isinstance(model, str):
        operation.response_model = operation.response_model or model
    reason = meta.get("finish_reason")
    if isinstance(reason, str) and not operation.finish_reasons:
        operation.finish_reasons = [reason]
    usage = meta.get("usage")
    if isinstance(usage, Mapping):
        merge_usage(operation, usage_of(usage))
    begun = meta.get("completion_start_time")
    if isinstance(begun, str) and operation.streaming is None:  # only streams have it
        operation.streaming = True
        operation.time_to_first_token = seconds_into(span, begun)
