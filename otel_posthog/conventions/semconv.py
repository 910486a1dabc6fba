"""OpenTelemetry's GenAI semantic conventions, every published generation.

Sources: semantic conventions 1.27 to 1.36 (``gen_ai.system``, ``gen_ai.*.message`` events, ``gen_ai.prompt``), 1.37 and
later (``gen_ai.provider.name``, ``gen_ai.input.messages``, ``gen_ai.client.inference.operation.details``). Readers of
other conventions that also write ``gen_ai.*`` end with :func:`fill`, which sets only what is still unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from otel_posthog.conventions._attributes import (
    Attributes,
    UnusableError,
    flag,
    identifier,
    integer,
    number,
    state,
    strings,
    structure,
    text,
)
from otel_posthog.conventions._common import set_provider
from otel_posthog.conventions._messages import legacy_messages, messages_of, system_of, text_in, tools_of
from otel_posthog.conventions._recovery import json_prefix
from otel_posthog.operation import Cost, Kind, Message, Operation, Usage
from otel_posthog.spans import EventView, SpanView

DETAILS = "gen_ai.client.inference.operation.details"

# gen_ai.operation.name (spec: gen-ai-spans.md, gen-ai-agent-spans.md; the others as libraries write them)
KINDS: dict[str, Kind] = {
    "chat": "generation",
    "text_completion": "generation",
    "generate_content": "generation",
    "completion": "generation",  # OpenLLMetry llm.request.type
    "acompletion": "generation",  # LiteLLM
    "responses": "generation",
    "aresponses": "generation",
    "message": "generation",
    "embeddings": "embedding",
    "embedding": "embedding",
    "aembedding": "embedding",
    "embed_content": "embedding",
    "execute_tool": "tool",
    "invoke_agent": "agent",
    "create_agent": "agent",
    "invoke_workflow": "chain",
    "execute_task": "chain",
    "retrieval": "retrieval",
    "retrieve": "retrieval",
    "vectordb": "retrieval",
    "rerank": "rerank",
    "evaluation": "evaluation",
    "guardrail": "guardrail",
}

# parameter -> (conversion, attributes). Spec: "GenAI request attributes"; vendor ones from openai and botocore.
PARAMETERS: tuple[tuple[str, Callable[[Any], Any], tuple[str, ...]], ...] = (
    ("temperature", number, ("gen_ai.request.temperature",)),
    ("top_p", number, ("gen_ai.request.top_p", "llm.request.top_p")),
    ("top_k", number, ("gen_ai.request.top_k", "llm.top_k")),
    ("max_tokens", integer, ("gen_ai.request.max_tokens", "gen_ai.request.max_output_tokens",
                             "gen_ai.request.max_completion_tokens")),
    ("frequency_penalty", number, ("gen_ai.request.frequency_penalty", "llm.frequency_penalty")),
    ("presence_penalty", number, ("gen_ai.request.presence_penalty", "llm.presence_penalty")),
    ("repetition_penalty", number, ("gen_ai.request.repetition_penalty",)),
    ("seed", integer, ("gen_ai.request.seed", "gen_ai.openai.request.seed")),
    ("stop", strings, ("gen_ai.request.stop_sequences", "llm.chat.stop_sequences")),
    ("n", integer, ("gen_ai.request.choice.count", "gen_ai.request.n")),
    ("encoding_formats", strings, ("gen_ai.request.encoding_formats",)),
    ("dimensions", integer, ("gen_ai.embeddings.dimension.count",)),
    ("output_type", text, ("gen_ai.output.type",)),
    ("response_format", state, ("gen_ai.openai.request.response_format", "gen_ai.request.response_format",
                                "gen_ai.request.structured_output_schema")),
    ("reasoning_effort", text, ("gen_ai.request.reasoning_effort", "gen_ai.openai.request.reasoning_effort",
                                "gen_ai.request.reasoning.effort", "gen_ai.request.reasoning.level")),
    ("service_tier", text, ("gen_ai.openai.request.service_tier", "openai.request.service_tier")),
    ("tool_choice", state, ("gen_ai.request.tool_choice",)),
)  # fmt: skip

# field of Usage -> attributes. Synonyms are of different generations and libraries (conventions.md, "Tokens").
USAGE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("input", ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")),
    ("output", ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")),
    ("total", ("gen_ai.usage.total_tokens", "llm.usage.total_tokens", "gen_ai.client.token.usage")),
    ("cache_read", ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
                    "gen_ai.usage.cached_input_tokens", "gen_ai.usage.details.cache_read_tokens",
                    "gen_ai.usage.text.cache_read.input_tokens", "gen_ai.usage.details.cached_tokens",
                    "gen_ai.usage.prompt_tokens_details.cached_tokens")),
    ("cache_write", ("gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_write.input_tokens",
                     "gen_ai.usage.cache_creation_input_tokens", "gen_ai.usage.cache_write_input_tokens",
                     "gen_ai.usage.details.cache_write_tokens",
                     "gen_ai.usage.details.cache_creation_input_tokens")),
    ("cache_write_5m", ("anthropic.usage.cache_creation.ephemeral_5m_input_tokens",
                        "gen_ai.usage.cache_creation.ephemeral_5m_input_tokens")),
    ("cache_write_1h", ("anthropic.usage.cache_creation.ephemeral_1h_input_tokens",
                        "gen_ai.usage.cache_creation.ephemeral_1h_input_tokens")),
    ("reasoning", ("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens",
                   "gen_ai.usage.details.reasoning_tokens", "gen_ai.usage.thoughts_tokens",
                   "gen_ai.usage.completion_tokens_details.reasoning_tokens",
                   "gen_ai.usage.details.thoughts_tokens")),
    ("cache_read_audio", ("gen_ai.usage.audio.cache_read.input_tokens",)),
    ("web_searches", ("gen_ai.usage.server_tool_use.web_search_requests",)),
)  # fmt: skip

# Who acts in a span of this kind: its name is what people look for, not the span's.
_ACTORS: dict[Kind, str] = {"tool": "gen_ai.tool.name", "agent": "gen_ai.agent.name", "chain": "gen_ai.workflow.name"}

_MODALITIES = tuple(
    ((modality, direction), f"gen_ai.usage.{modality}.{direction}_tokens")
    for modality in ("text", "audio", "image", "video")
    for direction in ("input", "output")
)

# Instrumentations that copy the provider's numbers where the provider counts the cache outside the input
# (recordings: botocore 0.66b2, OpenLIT 1.45 and OpenLLMetry 0.62 for Bedrock, OpenLIT 1.45 for Anthropic).
_CACHE_OUTSIDE_SCOPES = (
    "opentelemetry.instrumentation.botocore",
    "opentelemetry.instrumentation.bedrock",
    "openlit.instrumentation.anthropic",
    "openlit.instrumentation.bedrock",
)

_COST: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("input", ("gen_ai.cost.input_cost", "gen_ai.usage.cost.input", "gen_ai.usage.input_cost")),
    ("output", ("gen_ai.cost.output_cost", "gen_ai.usage.cost.output", "gen_ai.usage.output_cost")),
    ("total", ("operation.cost", "gen_ai.cost.total_cost", "gen_ai.usage.cost", "gen_ai.usage.cost.total")),
)


def recognises(span: SpanView) -> bool:
    """Whether the span carries anything of ``gen_ai.*``, or only its content in log records.

    A conversation id alone is none of it: apps set it on their server span, next to ``user.id``.
    """
    return any(name.startswith("gen_ai.") and name != "gen_ai.conversation.id" for name in span.attributes) or any(
        event.name.startswith("gen_ai.") for event in (*span.logs, *span.events)
    )


def read(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of a span of the GenAI semantic conventions."""
    operation = Operation(kind="other")
    fill(operation, span, attributes)
    return operation


def fill(operation: Operation, span: SpanView, attributes: Attributes) -> None:
    """Complete an operation with ``gen_ai.*`` attributes, span events and log records, where it lacks them."""
    for event in (*span.events, *span.logs):
        if event.name == DETAILS:
            _merge_details(event, attributes)
    _fill_kind(operation, span, attributes)
    _fill_call(operation, span, attributes)
    _fill_usage(operation, span, attributes)
    _fill_messages(operation, span, attributes)
    if operation.kind in ("generation", "embedding"):
        return
    if operation.input_state is None:
        operation.input_state = attributes.take(
            state, "gen_ai.tool.call.arguments", "gen_ai.tool.input", "gen_ai.retrieval.query.text", "gen_ai.task.input"
        )
    if operation.output_state is None:
        operation.output_state = attributes.take(
            state, "gen_ai.tool.call.result", "gen_ai.tool.output", "gen_ai.retrieval.documents", "gen_ai.task.output"
        )
    if operation.kind == "tool":
        _tool_events(operation)


def _merge_details(event: EventView, attributes: Attributes) -> None:
    """The details event repeats the span's attributes and adds the content the span may not carry."""
    body = event.body if isinstance(event.body, Mapping) else {}
    for name, value in (*event.attributes.items(), *body.items()):
        if not isinstance(name, str) or not name.startswith("gen_ai.") or value is None:
            continue
        known = attributes.left.get(name)
        if known is None:
            attributes.left[name] = value
        elif known != value and name in ("gen_ai.input.messages", "gen_ai.output.messages"):
            _join_messages(attributes, name, known, value)


def _join_messages(attributes: Attributes, name: str, known: Any, value: Any) -> None:
    """Strands writes its messages over several details events; a repetition of the span's own is no addition."""
    before, more = state(known), state(value)
    if isinstance(more, (list, tuple)) and isinstance(before, (list, tuple)):
        attributes.left[name] = [*before, *(message for message in more if message not in before)]


def _fill_kind(operation: Operation, span: SpanView, attributes: Attributes) -> None:
    name = attributes.take(text, "gen_ai.operation.name", "llm.request.type")
    operation.operation_name = operation.operation_name or name
    if operation.kind != "other":
        return
    if name is None:
        # Attribute limits evict the oldest attributes first; the spec names spans "{operation} {model or target}".
        name = span.name.partition(" ")[0]
    kind = KINDS.get(name)
    if kind is None and operation.operation_name is None:
        kind = _kind_by_content(attributes)
    operation.kind = kind or "other"


def _kind_by_content(attributes: Attributes) -> Kind | None:
    """A span without operation name: it is a model call if a model was asked and counted its tokens."""
    if "gen_ai.tool.name" in attributes or "gen_ai.tool.call.id" in attributes:
        return "tool"
    asked = "gen_ai.request.model" in attributes or "gen_ai.response.model" in attributes
    counted = any(name.startswith("gen_ai.usage.") for name in attributes)
    if asked and (counted or "gen_ai.response.id" in attributes or "gen_ai.output.messages" in attributes):
        return "generation"
    return "agent" if "gen_ai.agent.name" in attributes else None


def _fill_call(operation: Operation, span: SpanView, attributes: Attributes) -> None:
    for name in ("gen_ai.provider.name", "gen_ai.system"):
        set_provider(operation, attributes, attributes.take(text, name), name)
    request_model = attributes.take(text, "gen_ai.request.model")
    operation.request_model = operation.request_model or request_model
    response_model = attributes.take(text, "gen_ai.response.model")
    operation.response_model = operation.response_model or response_model
    if operation.request_model is None and operation.response_model is None and operation.kind == "generation":
        operation.request_model = _model_in_name(span.name)
    response_id = attributes.take(identifier, "gen_ai.response.id")
    operation.response_id = operation.response_id or response_id
    base_url = attributes.take(text, "gen_ai.openai.api_base", "gen_ai.request.base_url")
    operation.base_url = operation.base_url or base_url
    for name, convert, names in PARAMETERS:
        value = attributes.take(convert, *names)
        if value is not None:
            operation.parameters.setdefault(name, value)
    streaming = attributes.take(
        flag, "gen_ai.request.stream", "gen_ai.is_streaming", "gen_ai.request.is_stream", "llm.is_streaming"
    )
    operation.streaming = streaming if operation.streaming is None else operation.streaming
    _fill_first_token(operation, span, attributes)
    operation.finish_reasons = (
        operation.finish_reasons
        or attributes.take(strings, "gen_ai.response.finish_reasons", "gen_ai.response.finish_reason")
        or []
    )
    attributes.drop("gen_ai.response.finish_reasons")
    acting = attributes.peek(_ACTORS.get(operation.kind, ""))
    operation.name = operation.name or (acting if isinstance(acting, str) and acting else None)
    if operation.tools is None:
        found = attributes.take(structure_or_prefix, "gen_ai.tool.definitions", "gen_ai.request.tools")
        operation.tools = tools_of(found)
    prompt = attributes.take(text, "gen_ai.prompt.name")
    operation.prompt_name = operation.prompt_name or prompt
    version = attributes.take(state, "gen_ai.prompt.version")
    operation.prompt_version = version if operation.prompt_version is None else operation.prompt_version


def _model_in_name(name: str) -> str | None:
    """The spec's span name is "{operation} {model}": the model, where attribute limits took the attribute."""
    operation, _, model = name.partition(" ")
    return model if operation in KINDS and model and " " not in model else None


def _fill_first_token(operation: Operation, span: SpanView, attributes: Attributes) -> None:
    """Seconds to the first chunk. Strands writes milliseconds; OpenLIT writes it for calls that did not stream."""
    seconds = attributes.take(number, "gen_ai.response.time_to_first_chunk", "gen_ai.response.time_to_first_token")
    at_server = attributes.take(number, "gen_ai.server.time_to_first_token")
    if seconds is None and at_server is not None:
        seconds = at_server / 1000 if span.scope_name.startswith("strands.") else at_server
    if seconds is not None and seconds >= 0 and operation.time_to_first_token is None:
        operation.time_to_first_token = seconds


def _fill_usage(operation: Operation, span: SpanView, attributes: Attributes) -> None:
    counts = {field: attributes.take(integer, *names) for field, names in USAGE}
    by_modality = {key: attributes.take(integer, name) for key, name in _MODALITIES}
    if operation.usage is None:
        operation.usage = Usage(cache_inside=not span.scope_name.startswith(_CACHE_OUTSIDE_SCOPES))
    for field, count in counts.items():
        if getattr(operation.usage, field) is None:
            setattr(operation.usage, field, count)
    for key, count in by_modality.items():
        if count is not None:
            operation.usage.by_modality.setdefault(key, count)
    amounts = {field: attributes.take(number, *names) for field, names in _COST}
    if operation.cost is None and any(amount is not None for amount in amounts.values()):
        operation.cost = Cost(**amounts)
        if span.scope_name.startswith("openlit.") and _cost_is_a_guess(operation.cost, operation.usage):
            # OpenLIT prices cached tokens in full, and a model it does not know at 0: PostHog's own price is truer.
            attributes.left["gen_ai.usage.cost"] = operation.cost.total
            operation.cost = None


def _cost_is_a_guess(cost: Cost, usage: Usage) -> bool:
    return not cost.total or bool(usage.cache_read or usage.cache_write)


def _fill_messages(operation: Operation, span: SpanView, attributes: Attributes) -> None:
    given = _messages(operation, attributes, ("gen_ai.input.messages", "gen_ai.prompt"), "user")
    answered = _messages(operation, attributes, ("gen_ai.output.messages", "gen_ai.completion"), "assistant")
    instructions = attributes.take(text_or_structure, "gen_ai.system_instructions", "gen_ai.agent.instructions")
    legacy_in, legacy_out = legacy_messages(span.logs or span.events)
    if not (legacy_in or legacy_out) and span.logs and span.events:
        legacy_in, legacy_out = legacy_messages(span.events)
    given = given or legacy_in or _content_events(span, "gen_ai.content.prompt", "gen_ai.prompt", "user")
    answered = (
        answered or legacy_out or _content_events(span, "gen_ai.content.completion", "gen_ai.completion", "assistant")
    )
    system = system_of(instructions)
    if system and not _holds(given, system):
        given = [*system, *(given or [])]
    operation.input = operation.input or given or None
    operation.output = operation.output or answered or None


def structure_or_prefix(value: Any) -> Any:
    """An object or a list, or what an attribute limit left of it."""
    return structure(json_prefix(value)[0] if isinstance(value, str) else value)


def text_or_structure(value: Any) -> Any:
    """System instructions come as bare text or as a list of parts."""
    return state(text(value)) if isinstance(value, str) else structure(value)


def _holds(messages: list[Message] | None, system: list[Message]) -> bool:
    """Whether the system prompt is among the messages already (OpenLIT writes it twice)."""
    said = {text_in([p.text for p in m.parts if hasattr(p, "text")]) for m in messages or () if m.role == "system"}
    return all(text_in([p.text for p in m.parts if hasattr(p, "text")]) in said for m in system)


def _messages(operation: Operation, attributes: Attributes, names: tuple[str, ...], role: str) -> list[Message] | None:
    for name in names:
        value = attributes.take(_any, name)
        if isinstance(value, str) and value[:1] in ("[", "{"):
            decoded, whole = json_prefix(value)
            operation.truncated = operation.truncated or not whole
            value = decoded
        if isinstance(value, dict) and isinstance(value.get("messages"), list):  # LangSmith: the whole request
            value = value["messages"]
        found = messages_of(value, role)
        if found:
            return found
    return None


def _any(value: Any) -> Any:
    if value is None or value in ("", "None"):
        raise UnusableError
    return value


def _content_events(span: SpanView, event_name: str, attribute: str, role: str) -> list[Message] | None:
    """Span events of semconv 1.27 and OpenLIT 1.33: the whole prompt or completion as text or JSON."""
    found: list[Message] = []
    for event in span.events:
        if event.name == event_name and attribute in event.attributes:
            found += messages_of(state(event.attributes[attribute]), role) or []
    return found or None


def _tool_events(operation: Operation) -> None:
    """Strands writes a tool's arguments and answer as a tool message and a choice."""
    if operation.input_state is None and operation.input:
        parts = operation.input[-1].parts
        operation.input_state = getattr(parts[0], "result", None) if parts else None
        operation.input = None
    if operation.output_state is None and operation.output:
        operation.output_state = text_in([p.text for m in operation.output for p in m.parts if hasattr(p, "text")])
        operation.output = None
