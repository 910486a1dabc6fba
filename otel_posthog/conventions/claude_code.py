"""Claude Code and the Claude Agent SDK: ``span.type`` and bare attributes.

Source: https://code.claude.com/docs/en/monitoring-usage, "Traces" (beta). Token counts are Anthropic's own, with the
cache outside the input; content only with detailed tracing, tool results in the span event ``tool.output``.
"""

from __future__ import annotations

from typing import Any

from otel_posthog._model import Failure, Json, Kind, Operation, Usage
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import (
    Attributes,
    parse_json,
    to_any,
    to_bool,
    to_id,
    to_int,
    to_number,
    to_str,
)
from otel_posthog.conventions._failures import http_status
from otel_posthog.conventions._messages import messages_of, system_of
from otel_posthog.conventions._placeholders import is_placeholder

SCOPES = ("com.anthropic.claude_code.tracing", "com.anthropic.claude_code.traces")

# span.type
KINDS: dict[str, Kind] = {"interaction": "agent", "llm_request": "generation", "tool": "tool"}
_UNUSED = ("duration_ms", "success", "span.type", "user_prompt_length", "new_context_message_count", "model",
           "system_prompt_hash", "system_prompt_preview", "system_prompt_length", "response.has_tool_call", "tools",
           "interaction.duration_ms", "query_source", "llm_request.context", "speed")  # fmt: skip


def matches(span: SpanView) -> bool:
    """Whether Claude Code wrote the span."""
    return span.scope_name in SCOPES


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of a prompt, a request to the model, a tool or a step of one."""
    kind = KINDS.get(str(attributes.peek("span.type")), "chain")
    operation = Operation(kind, framework="claude-code")
    if kind == "generation":
        _read_call(operation, attributes)
    elif kind == "tool":
        operation.name = attributes.take(to_str, "tool_name")
        operation.input_state = attributes.take(parse_json, "tool_input", "full_command", "file_path")
        operation.output_state = _tool_output(span)
    else:
        operation.input_state = _content(attributes.take(to_any, "user_prompt"))
    message = attributes.take(to_str, "error")
    if attributes.take(to_bool, "success") is False and span.status_code != "ERROR":
        operation.failure = Failure(message=message, status=attributes.take(http_status, "status_code"))
    attributes.drop(*_UNUSED)
    return operation


def _read_call(operation: Operation, attributes: Attributes) -> None:
    operation.request_model = attributes.take(to_str, "model")
    operation.response_id = attributes.take(to_id, "gen_ai.response.id", "request_id")
    operation.usage = Usage(
        input=attributes.take(to_int, "input_tokens"),
        output=attributes.take(to_int, "output_tokens"),
        cache_read=attributes.take(to_int, "cache_read_tokens"),
        cache_write=attributes.take(to_int, "cache_creation_tokens"),
        cache_inside=False,
    )
    milliseconds = attributes.take(to_number, "ttft_ms")
    if milliseconds is not None:
        operation.streaming = True
        operation.time_to_first_token = milliseconds / 1000
    reason = attributes.take(to_str, "stop_reason")
    operation.finish_reasons = [reason] if reason else []
    system = system_of(_content(attributes.take(to_any, "user_system_prompt", "system_prompt")))
    operation.input = [*system, *(messages_of(_content(attributes.take(to_any, "new_context"))) or [])] or None
    operation.output = messages_of(_content(attributes.take(to_any, "response.model_output")), "assistant")


def _content(value: Any) -> Json:
    return None if is_placeholder(value) else value


def _tool_output(span: SpanView) -> Json:
    for event in span.events:
        if event.name == "tool.output":
            return parse_json(event.attributes.get("content", event.attributes.get("output")))
    return None
