"""The table of PostHog's properties: value, source, privacy and truncation of each.

Names: PostHog's "Manual capture" page (https://posthog.com/docs/llm-analytics/manual-capture) and the further
properties that its LLM analytics pages read. ``docs/properties.md`` is generated from this table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from otel_posthog._model import Failure, Json, Message, Operation, Part, Text, ToolCall, ToolResult
from otel_posthog.events import rules
from otel_posthog.events.messages import posthog_messages, posthog_tools, tools_called

Value = Callable[[Operation], Json]


@dataclass(frozen=True, slots=True)
class Property:
    """A row of the table.

    Args:
        name: the property.
        source: where the value comes from, in Markdown.
        value: gets it from an operation (``None``: absent); ``None`` if it is worked out elsewhere in ``events``.
        without_content: what of it is sent where content is off.
        where: what a ``redact`` callable is told; ``None``: never redacted.
        cut: order in which a property that makes the event too large is cut; 0: with all that is not content.
    """

    name: str
    source: str
    value: Value | None = None
    without_content: rules.Rule = rules.keep
    where: str | None = None
    cut: int = 0


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
    scheme, found, rest = url.partition("?")[0].partition("#")[0].rpartition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{found}{host.rpartition('@')[2]}{slash}{path}"


def _input_state(op: Operation) -> Json:
    """The last user message: the calls below have the others."""
    return _last(op.input, "user") if op.input_state is None and op.input else op.input_state


def _output_state(op: Operation) -> Json:
    """The final answer; some records have the whole run in one message."""
    if op.output_state is not None or not op.output:
        return op.output_state
    return _last([_without_calls(message) for message in op.output], "assistant")


def _without_calls(message: Message) -> Message:
    """The text of a message that has any."""
    texts: list[Part] = [part for part in message.parts if not isinstance(part, (ToolCall, ToolResult))]
    return replace(message, parts=texts) if any(isinstance(part, Text) for part in texts) else message


def _last(messages: list[Message], role: str) -> Json:
    """The last message of a role with more than tool results: some put those into a user message."""
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
    Property("$ai_provider", "`gen_ai.provider.name`, `gen_ai.system`, `llm.provider`…", lambda op: op.provider),
    Property("$ai_framework", "the convention, where it names a framework", lambda op: op.framework),
    Property("$ai_is_error", "span status ERROR or `error.type`", lambda op: True if op.failure is not None else None),
    Property(
        "$ai_error",
        "the latest exception event, else `error.message`, else the status description",
        lambda op: error_text(op.failure) if op.failure else None,
        rules.remove,
        "error",
        6,
    ),
    Property(
        "$ai_error_type",
        "`error.type`, `exception.type`",
        lambda op: op.failure.type if op.failure else None,
        rules.identifier,
        "error",
    ),
    Property(
        "$ai_http_status",
        "`http.response.status_code`, `error.code`, or the number in the error's text",
        lambda op: op.http_status,
    ),
    Property(
        "$ai_base_url", "`gen_ai.openai.api_base`, `server.address`, `server.port`", lambda op: _bare(op.base_url)
    ),
    Property("$ai_request_url", "`url.full`, `http.url`", lambda op: _bare(op.request_url)),
    Property(
        "$ai_prompt_name",
        "`gen_ai.prompt.name`, prompt templates",
        lambda op: op.prompt_name,
        rules.short_name,
        "prompt",
    ),
    Property(
        "$ai_prompt_version",
        "`gen_ai.prompt.version`, prompt templates",
        lambda op: op.prompt_version,
        rules.version,
        "prompt",
    ),
    Property("tags", "the convention's tags", lambda op: op.tags, rules.remove, "metadata"),
    Property("metadata", "the convention's metadata", lambda op: op.metadata or None, rules.remove, "metadata"),
    Property(
        "$ai_content_truncated",
        "set where an attribute limit cut the messages, or PostHog's size limit the event",
        lambda op: True if op.truncated else None,
    ),
)

# On generations and embeddings.
CALL: tuple[Property, ...] = (
    Property("$ai_model", "`gen_ai.response.model`, else `gen_ai.request.model`", _model),
    Property("$ai_response_id", "`gen_ai.response.id`", lambda op: op.response_id),
    Property(
        "$ai_input",
        "input messages and system instructions, from attributes, span events or log records",
        _input,
        rules.remove,
        "input",
        1,
    ),
    Property(
        "$ai_output_choices",
        "output messages, from attributes, span events or log records",
        _output,
        rules.remove,
        "output",
        2,
    ),
    Property(
        "$ai_tools",
        "`gen_ai.tool.definitions`; only the names without content",
        lambda op: posthog_tools(op.tools) if op.tools else None,
        rules.tool_names,
        "tools",
    ),
    Property("$ai_tools_called", "tool calls in the output", lambda op: tools_called(op.output or ()) or None),
    Property(
        "$ai_stop_reason",
        "`gen_ai.response.finish_reasons`, else the output message's",
        _stop_reason,
        lambda value: rules.word(value),
    ),
    Property(
        "$ai_temperature",
        "`gen_ai.request.temperature`",
        lambda op: op.parameters.get("temperature"),
        rules.numbers_only,
    ),
    Property(
        "$ai_max_tokens", "`gen_ai.request.max_tokens`", lambda op: op.parameters.get("max_tokens"), rules.numbers_only
    ),
    Property("$ai_stream", "`gen_ai.request.stream` and its synonyms", lambda op: op.streaming),
    Property(
        "$ai_model_parameters",
        "all `gen_ai.request.*` parameters",
        lambda op: op.parameters or None,
        rules.settings,
        "parameters",
    ),
    Property(
        "$ai_time_to_first_token",
        "`gen_ai.response.time_to_first_chunk` and its synonyms, in seconds",
        lambda op: op.time_to_first_token if op.streaming is not False else None,
    ),
    Property("$ai_input_cost_usd", "`gen_ai.cost.input_cost`…", _cost("input")),
    Property("$ai_output_cost_usd", "`gen_ai.cost.output_cost`…", _cost("output")),
    Property("$ai_request_cost_usd", "set it on the span", _cost("request")),
    Property("$ai_web_search_cost_usd", "set it on the span", _cost("web_search")),
    Property("$ai_total_cost_usd", "`operation.cost`, `gen_ai.usage.cost`…", _cost("total")),
)

# On spans and traces.
STATE: tuple[Property, ...] = (
    Property("$ai_span_type", "what the span did: agent, tool, chain, retrieval…", lambda op: op.kind),
    Property("$ai_model", "`gen_ai.request.model`, where an agent names one", _model),
    Property(
        "$ai_tools",
        "`gen_ai.tool.definitions`; only the names without content",
        lambda op: posthog_tools(op.tools) if op.tools else None,
        rules.tool_names,
        "tools",
    ),
    Property(
        "$ai_input_state",
        "tool arguments, the query, the last message of the user",
        _input_state,
        rules.remove,
        "input",
        3,
    ),
    Property("$ai_output_state", "tool result, documents, the final answer", _output_state, rules.remove, "output", 4),
)

# Worked out elsewhere in `events`: ids, identity, tokens.
COMPUTED: tuple[Property, ...] = (
    Property("$ai_trace_id", "the span's trace id, lowercase hex"),
    Property("$ai_session_id", "`$ai_session_id`, `session.id`, `gen_ai.conversation.id`…, on the span or above"),
    Property("$ai_span_id", "the span's id, lowercase hex"),
    Property("$ai_parent_id", "the id of the parent span, the trace id for a root"),
    Property("$ai_span_name", "the tool's or agent's name, else the span's", where="name"),
    Property("$ai_latency", "end minus start of the span, in seconds"),
    Property("$ai_sample_rate", "the share of such traces that is exported, with `sample_rate`"),
    Property("$groups", "`posthog.groups`, `$groups`, `context(groups=…)`"),
    Property("$ai_input_tokens", "`gen_ai.usage.input_tokens` and its synonyms"),
    Property("$ai_output_tokens", "`gen_ai.usage.output_tokens` and its synonyms, reasoning as the provider bills it"),
    Property("$ai_total_tokens", "`gen_ai.usage.total_tokens`"),
    Property("$ai_cache_read_input_tokens", "`gen_ai.usage.cache_read.input_tokens` and its synonyms"),
    Property("$ai_cache_creation_input_tokens", "`gen_ai.usage.cache_creation.input_tokens` and its synonyms"),
    Property("$ai_cache_creation_5m_input_tokens", "`anthropic.usage.cache_creation.ephemeral_5m_input_tokens`"),
    Property("$ai_cache_creation_1h_input_tokens", "`anthropic.usage.cache_creation.ephemeral_1h_input_tokens`"),
    Property("$ai_cache_reporting_exclusive", "set when cache tokens are known: are they outside `$ai_input_tokens`?"),
    Property("$ai_cache_read_audio_tokens", "`gen_ai.usage.audio.cache_read.input_tokens`"),
    Property("$ai_reasoning_tokens", "`gen_ai.usage.reasoning.output_tokens` and its synonyms"),
    Property("$ai_audio_input_tokens", "`gen_ai.usage.audio.input_tokens`"),
    Property("$ai_image_input_tokens", "`gen_ai.usage.image.input_tokens`"),
    Property("$ai_text_output_tokens", "`gen_ai.usage.text.output_tokens`"),
    Property("$ai_web_search_count", "`gen_ai.usage.server_tool_use.web_search_requests`"),
    Property("$ai_lib", "`otel-posthog`"),
    Property("$ai_lib_version", "the version of this package"),
    Property("$lib", "`otel-posthog`"),
    Property("$lib_version", "the version of this package"),
    Property("$ai_ingestion_source", "`otel`"),
    Property("$geoip_disable", "`true`: a server's address is not the user's"),
    Property("$process_person_profile", "`false` on events without a known user"),
)

# On evaluations, feedback and metrics.
EVALUATION: tuple[Property, ...] = (
    Property("$ai_evaluation_id", "derived from the evaluation's name"),
    Property("$ai_evaluation_run_id", "the event's own uuid"),
    Property("$ai_evaluation_name", "`gen_ai.evaluation.name`"),
    Property("$ai_evaluation_type", "`imported`"),
    Property(
        "$ai_evaluation_result",
        "`gen_ai.evaluation.score.label`, else `gen_ai.evaluation.score.value`",
        without_content=rules.label,
        where="evaluation",
    ),
    Property("$ai_evaluation_result_type", "`label` or `number`"),
    Property(
        "$ai_evaluation_reasoning", "`gen_ai.evaluation.explanation`", without_content=rules.remove, where="evaluation"
    ),
    # Feedback is given in order to be sent, so it stays where content is off.
    Property("$ai_feedback_text", "`feedback()`", where="evaluation"),
    Property("$ai_metric_name", "`metric()`"),
    Property("$ai_metric_value", "`metric()`", without_content=rules.label, where="evaluation"),
    Property("$ai_target_span_id", "the span that was evaluated"),
    Property("$ai_target_event_id", "the uuid of that span's event"),
)

# Nothing in telemetry states these: an app sets them as span attributes of the same name.
SET_BY_APP: tuple[Property, ...] = (
    *(
        Property(name, "a span attribute of this name")
        for name in (
            "$ai_input_token_price",
            "$ai_output_token_price",
            "$ai_cache_read_token_price",
            "$ai_cache_write_token_price",
            "$ai_request_price",
            "$ai_request_count",
            "$ai_web_search_price",
            "$session_id",
        )
    ),
    Property("$ai_trace_name", "a span attribute of this name", without_content=rules.numbers_only, where="name"),
)

# Not written here, but apps set them, and PostHog's own SDKs know them as content.
_ALSO_CONTENT = tuple(
    Property(name, "a span attribute of this name", without_content=rules.numbers_only, where=name, cut=5)
    for name in ("$ai_output", "$ai_instructions", "$ai_error_message")
)

ROWS: dict[str, Property] = {
    row.name: row for row in (*_ALSO_CONTENT, *SET_BY_APP, *EVALUATION, *COMPUTED, *COMMON, *STATE, *CALL)
}

_NEVER_CONTENT = ("_id", "_url", "_model", "_provider")  # ends of `$ai_…` names


def without_content(name: str, value: Json) -> Json:
    """What of a property is sent where content is off. A text without a row is content, unless the app gave it the
    name of a PostHog property (``$set``, ``$session_id``…)."""
    row = ROWS.get(name)
    if row is not None:
        return row.without_content(value)
    return value if name.startswith("$") else rules.numbers_only(value)


def redacted_as(name: str) -> str | None:
    """What a redaction is told of this property, ``None`` where it is not redacted: ids, models, addresses, persons."""
    row = ROWS.get(name)
    if row is not None:
        return row.where
    if not name.startswith("$") or (name.startswith("$ai_") and not name.endswith(_NEVER_CONTENT)):
        return name
    return None


def span_name_without_content(operation_name: str | None, name: str) -> str:
    """``chat gpt-4o`` says what was done, ``Ask: why…`` what was said: of that, the first word."""
    first, _, rest = name.partition(" ")
    if len(name) <= 60 and " " not in rest and (not rest or first == operation_name):
        return name
    return first[:60]
