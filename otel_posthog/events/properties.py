"""The table of PostHog's properties: each with how it is worked out and where it comes from.

``docs/properties.md`` is generated from this table. Source of the names: PostHog's "manual capture" document and the
properties that its product reads (posthog.md sections 1 and 4).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from otel_posthog._model import Failure, Json, Message, Operation, Part, Text, ToolCall, ToolResult
from otel_posthog.events.messages import posthog_messages, tools_called

Value = Callable[[Operation], Json]


@dataclass(frozen=True, slots=True)
class Property:
    """A row: the property, its value for an operation (``None``: absent), where it comes from, is it content."""

    name: str
    value: Value
    source: str
    content: bool = False


def _model(op: Operation) -> Json:
    return op.response_model or op.request_model


def _input(op: Operation) -> Json:
    if op.input is None:
        return op.input_state
    if op.kind == "embedding":
        return _texts(op.input)
    return posthog_messages(op.input)


def _texts(messages: list[Message]) -> Json:
    """An embedding's input: the text, or the list of texts."""
    texts = [part.text for message in messages for part in message.parts if isinstance(part, Text)]
    if len(texts) != sum(len(message.parts) for message in messages):
        return posthog_messages(messages)
    return texts[0] if len(texts) == 1 else texts


def _output(op: Operation) -> Json:
    if op.kind == "embedding":
        return None
    if op.output is None:
        return None if op.output_state is None else [{"role": "assistant", "content": op.output_state}]
    return posthog_messages(op.output)


def _bare(url: str | None) -> str | None:
    """A URL without query and user: some providers take the API key there."""
    if not isinstance(url, str):
        return url
    scheme, found, rest = re.split(r"[?#]", url, maxsplit=1)[0].rpartition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{found}{host.rpartition('@')[2]}{slash}{path}"


def _input_state(op: Operation) -> Json:
    """Of messages the last that the user said: the calls below have the others."""
    return _last(op.input, "user") if op.input_state is None and op.input else op.input_state


def _output_state(op: Operation) -> Json:
    """Of messages the final answer; some records have the whole run in one message."""
    if op.output_state is not None or not op.output:
        return op.output_state
    return _last([_without_calls(message) for message in op.output], "assistant")


def _without_calls(message: Message) -> Message:
    """The words of a message that has any."""
    said: list[Part] = [part for part in message.parts if not isinstance(part, (ToolCall, ToolResult))]
    return replace(message, parts=said) if any(isinstance(part, Text) for part in said) else message


def _last(messages: list[Message], role: str) -> Json:
    """The last message of a role that says something itself: some put what tools answered into a user message."""
    for message in reversed(messages):
        if message.role == role and any(not isinstance(part, ToolResult) for part in message.parts):
            return posthog_messages([message])
    return posthog_messages(messages)


def _stop_reason(op: Operation) -> Json:
    if op.finish_reasons:
        return op.finish_reasons[0]
    return next((message.finish_reason for message in op.output or () if message.finish_reason), None)


def error_text(failure: Failure) -> str | None:
    """``Type: message``, as PostHog's own OTLP mapping writes it."""
    if failure.message is None:
        return failure.type
    if failure.type is None or failure.message.startswith(failure.type):
        return failure.message
    return f"{failure.type}: {failure.message}"


def _cost(field: str) -> Value:
    return lambda op: getattr(op.cost, field) if op.cost is not None else None


# On every event.
COMMON: tuple[Property, ...] = (
    Property("$ai_session_id", lambda op: op.session, "`$ai_session_id`, `session.id`, `gen_ai.conversation.id`…"),
    Property("$ai_provider", lambda op: op.provider, "`gen_ai.provider.name`, `gen_ai.system`, `llm.provider`…"),
    Property("$ai_framework", lambda op: op.framework, "the convention, where it names a framework"),
    Property("$ai_is_error", lambda op: True if op.failure is not None else None, "span status ERROR or `error.type`"),
    Property("$ai_error", lambda op: error_text(op.failure) if op.failure else None,
             "the latest exception event, else `error.message`, else the status description", content=True),
    Property("$ai_error_type", lambda op: op.failure.type if op.failure else None, "`error.type`, `exception.type`"),
    Property("$ai_http_status", lambda op: op.http_status,
             "`http.response.status_code`, `error.code`, or the number in the error's text"),
    Property("$ai_base_url", lambda op: _bare(op.base_url),
             "`gen_ai.openai.api_base`, `server.address` and `server.port`"),
    Property("$ai_request_url", lambda op: _bare(op.request_url), "`url.full`, `http.url`"),
    Property("$ai_prompt_name", lambda op: op.prompt_name, "`gen_ai.prompt.name`, prompt templates"),
    Property("$ai_prompt_version", lambda op: op.prompt_version, "`gen_ai.prompt.version`, prompt templates"),
    Property("$groups", lambda op: dict(op.groups) if op.groups else None, "`posthog.groups`, `$groups`"),
    Property("tags", lambda op: op.tags, "the convention's tags", content=True),
    Property("metadata", lambda op: op.metadata or None, "the convention's metadata", content=True),
    Property("$ai_sample_rate", lambda op: op.sample_rate, "the share of such traces that is sent, with `sample_rate`"),
    Property("$ai_content_truncated", lambda op: True if op.truncated else None,
             "set where an attribute limit cut the messages"),
)  # fmt: skip

# On generations and embeddings.
CALL: tuple[Property, ...] = (
    Property("$ai_model", _model, "`gen_ai.response.model`, else `gen_ai.request.model`"),
    Property("$ai_response_id", lambda op: op.response_id, "`gen_ai.response.id`"),
    Property("$ai_input", _input, "input messages and system instructions, from attributes, span events or logs",
             content=True),
    Property("$ai_output_choices", _output, "output messages, from attributes, span events or logs", content=True),
    Property("$ai_tools_called", lambda op: tools_called(op.output or ()) or None, "tool calls in the output"),
    Property("$ai_stop_reason", _stop_reason, "`gen_ai.response.finish_reasons`, else the output message's"),
    Property("$ai_temperature", lambda op: op.parameters.get("temperature"), "`gen_ai.request.temperature`"),
    Property("$ai_max_tokens", lambda op: op.parameters.get("max_tokens"), "`gen_ai.request.max_tokens`"),
    Property("$ai_stream", lambda op: op.streaming, "`gen_ai.request.stream` and its synonyms"),
    Property("$ai_model_parameters", lambda op: op.parameters or None, "all `gen_ai.request.*` parameters"),
    Property("$ai_time_to_first_token", lambda op: op.time_to_first_token if op.streaming is not False else None,
             "`gen_ai.response.time_to_first_chunk` and its synonyms, in seconds"),
    Property("$ai_input_cost_usd", _cost("input"), "`gen_ai.cost.input_cost`…"),
    Property("$ai_output_cost_usd", _cost("output"), "`gen_ai.cost.output_cost`…"),
    Property("$ai_request_cost_usd", _cost("request"), "set it on the span"),
    Property("$ai_web_search_cost_usd", _cost("web_search"), "set it on the span"),
    Property("$ai_total_cost_usd", _cost("total"), "`operation.cost`, `gen_ai.usage.cost`…"),
)  # fmt: skip

# On spans and traces.
STATE: tuple[Property, ...] = (
    Property("$ai_span_type", lambda op: op.kind, "what the span did: agent, tool, chain, retrieval…"),
    Property("$ai_model", _model, "`gen_ai.request.model`, where an agent names one"),
    Property("$ai_input_state", _input_state, "tool arguments, the query, the last message of the user", content=True),
    Property("$ai_output_state", _output_state, "tool result, documents, the final answer", content=True),
)  # fmt: skip

# Worked out elsewhere: ids in `events`, tokens in `events.usage`.
ELSEWHERE: tuple[tuple[str, str], ...] = (
    ("$ai_trace_id", "the span's trace id, lowercase hex"),
    ("$ai_span_id", "the span's id, lowercase hex"),
    ("$ai_parent_id", "the id of the parent span, the trace id for a root"),
    ("$ai_span_name", "the tool's or agent's name, else the span's"),
    ("$ai_latency", "end minus start of the span, in seconds"),
    ("$ai_input_tokens", "`gen_ai.usage.input_tokens` and its synonyms"),
    ("$ai_output_tokens", "`gen_ai.usage.output_tokens` and its synonyms, reasoning included"),
    ("$ai_total_tokens", "`gen_ai.usage.total_tokens`"),
    ("$ai_cache_read_input_tokens", "`gen_ai.usage.cache_read.input_tokens` and its synonyms"),
    ("$ai_cache_creation_input_tokens", "`gen_ai.usage.cache_creation.input_tokens` and its synonyms"),
    ("$ai_cache_creation_5m_input_tokens", "`anthropic.usage.cache_creation.ephemeral_5m_input_tokens`"),
    ("$ai_cache_creation_1h_input_tokens", "`anthropic.usage.cache_creation.ephemeral_1h_input_tokens`"),
    ("$ai_cache_reporting_exclusive", "set when cache tokens are known: are they outside `$ai_input_tokens`?"),
    ("$ai_cache_read_audio_tokens", "`gen_ai.usage.audio.cache_read.input_tokens`"),
    ("$ai_reasoning_tokens", "`gen_ai.usage.reasoning.output_tokens` and its synonyms"),
    ("$ai_audio_input_tokens", "`gen_ai.usage.audio.input_tokens`"),
    ("$ai_image_input_tokens", "`gen_ai.usage.image.input_tokens`"),
    ("$ai_text_output_tokens", "`gen_ai.usage.text.output_tokens`"),
    ("$ai_tools", "`gen_ai.tool.definitions`; without content only the names"),
    ("$ai_web_search_count", "`gen_ai.usage.server_tool_use.web_search_requests`"),
    ("$ai_lib", "`otel-posthog`"),
    ("$ai_lib_version", "the version of this package"),
    ("$lib", "`otel-posthog`"),
    ("$lib_version", "the version of this package"),
    ("$ai_ingestion_source", "`otel`"),
    ("$geoip_disable", "`true`: a server's address is not the user's"),
    ("$process_person_profile", "`false` on events without a known user"),
)

# Nothing in telemetry states these: an app sets them as span attributes of the same name.
BY_APP: tuple[str, ...] = (
    "$ai_input_token_price",
    "$ai_output_token_price",
    "$ai_cache_read_token_price",
    "$ai_cache_write_token_price",
    "$ai_request_price",
    "$ai_request_count",
    "$ai_web_search_price",
    "$session_id",
    "$ai_trace_name",
)


def properties_table() -> str:
    """``docs/properties.md``'s table, in Markdown."""
    rows = ["| property | events | where it comes from |", "| --- | --- | --- |"]
    for events, table in (("all", COMMON), ("generation, embedding", CALL), ("span, trace", STATE)):
        rows += [f"| `{row.name}` | {events} | {row.source} |" for row in table]
    rows += [f"| `{name}` | all that have it | {source} |" for name, source in ELSEWHERE]
    rows += [f"| `{name}` | any | a span attribute of this name |" for name in BY_APP]
    return "\n".join(rows)
