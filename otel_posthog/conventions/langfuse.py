"""Langfuse SDK 3 to 5: ``langfuse.observation.*`` and ``langfuse.trace.*``.

Source: langfuse 5.0.4 as recorded; its documentation "OpenTelemetry, property mapping".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from otel_posthog._model import Cost, Failure, Json, Kind, Message, Operation, Text, Usage
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import Attributes, parse_json, to_any, to_str, to_str_list, to_structure
from otel_posthog.conventions._failures import status_in
from otel_posthog.conventions._json import string
from otel_posthog.conventions._messages import messages_in, messages_of
from otel_posthog.conventions._payloads import looks_like_request, read_output, read_parameters, read_request
from otel_posthog.conventions._times import seconds_into
from otel_posthog.conventions._tools import tools_of
from otel_posthog.conventions._usage import usage_of

_OBSERVATION = "langfuse.observation."

_OWN = tuple(_OBSERVATION + name for name in ("type", "input", "output", "model.name", "usage_details"))

KINDS: dict[str, Kind] = {
    "generation": "generation",
    "embedding": "embedding",
    "tool": "tool",
    "agent": "agent",
    "chain": "chain",
    "retriever": "retrieval",
    "guardrail": "guardrail",
    "evaluator": "evaluation",
    "span": "chain",
}


def matches(span: SpanView) -> bool:
    """Whether the span is a Langfuse observation: other libraries write hints for Langfuse onto their own spans
    (LiveKit Agents 1.8: ``langfuse.observation.completion_start_time``)."""
    return span.has(*_OWN)


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of a Langfuse observation."""
    kind = attributes.take(to_str, _OBSERVATION + "type") or "span"
    operation = Operation(kind=KINDS.get(kind.lower(), "other"), framework="langfuse")
    operation.response_model = attributes.take(to_str, _OBSERVATION + "model.name")
    parameters = attributes.take(to_structure, _OBSERVATION + "model.parameters")
    if isinstance(parameters, dict):
        read_parameters(operation, parameters)
    usage = attributes.take(to_structure, _OBSERVATION + "usage_details")
    if isinstance(usage, dict):
        operation.usage = _usage_of_buckets(usage)
    cost = attributes.take(to_structure, _OBSERVATION + "cost_details")
    if isinstance(cost, dict):
        operation.cost = Cost(**{field: _amount(cost.get(field)) for field in ("input", "output", "total")})
    _read_first_token(operation, span, attributes)
    _read_failure(operation, attributes)
    _read_trace(operation, attributes)
    operation.prompt_name = attributes.take(to_str, _OBSERVATION + "prompt.name")
    operation.prompt_version = attributes.take(parse_json, _OBSERVATION + "prompt.version")
    if operation.is_call:
        _read_content(operation, attributes)
        _read_outputs_metadata(operation)
    else:
        operation.input_state = _arguments(attributes.take(parse_json, _OBSERVATION + "input"))
        operation.output_state = attributes.take(parse_json, _OBSERVATION + "output")
    return operation


def _usage_of_buckets(details: dict[str, Any]) -> Usage:
    """Langfuse's usage types exclude each other: ``input`` is what ``input_cache_read``… leaves of it. Details that are
    written by hand may include them instead, which their total shows.

    Source: https://langfuse.com/docs/observability/features/token-and-cost-tracking
    """
    usage = usage_of(details)
    counts = {name: count for name, count in details.items() if isinstance(count, int) and name != "total"}
    parts = [name for name in counts if name.startswith(("input_", "output_")) and not name.endswith("_tokens")]
    if not parts or usage.total not in (None, sum(counts.values())):
        return usage
    input = sum(count for name, count in counts.items() if name.startswith("input"))
    output = sum(count for name, count in counts.items() if name.startswith("output"))
    return replace(usage, input=input, output=output, cache_inside=True, reasoning_inside=True)


def _amount(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _read_first_token(operation: Operation, span: SpanView, attributes: Attributes) -> None:
    """``completion_start_time``: the moment of the first token, ISO 8601 in JSON quotes. Only streams have one."""
    moment = attributes.take(to_str, _OBSERVATION + "completion_start_time")
    if moment is None:
        return
    operation.streaming = True
    operation.time_to_first_token = seconds_into(span, moment)


def _read_failure(operation: Operation, attributes: Attributes) -> None:
    """``level=ERROR`` with the span's status left unset."""
    level = attributes.take(to_str, _OBSERVATION + "level")
    message = attributes.take(to_str, _OBSERVATION + "status_message")
    if level == "ERROR":
        operation.failure = Failure(message=message, status=status_in(message))
    elif level is not None:
        attributes.left[_OBSERVATION + "level"] = level
        if message is not None:
            attributes.left[_OBSERVATION + "status_message"] = message


def _read_trace(operation: Operation, attributes: Attributes) -> None:
    operation.tags = attributes.take(to_str_list, "langfuse.trace.tags")
    metadata = attributes.take(to_structure, _OBSERVATION + "metadata")
    if isinstance(metadata, dict):
        operation.metadata.update(metadata)
    for prefix in ("langfuse.trace.metadata.", _OBSERVATION + "metadata."):
        for name, value in attributes.take_prefix(prefix).items():
            operation.metadata[name] = _unquoted(value)
    reason = operation.metadata.get("finish_reason")
    if isinstance(reason, str) and reason:
        operation.finish_reasons = [reason]
    # LangChain apps set user and session in the metadata of a run.
    user = attributes.take(to_str, "langfuse.user.id", "langfuse.trace.user.id")
    operation.user = operation.user or user or string(operation.metadata.pop("langfuse_user_id", None))
    session = attributes.take(to_str, "langfuse.session.id", "langfuse.trace.session.id")
    session = session or string(operation.metadata.pop("langfuse_session_id", None))
    operation.session = operation.session or session
    attributes.drop("langfuse.internal.is_app_root", "langfuse.internal.as_root")


def _unquoted(value: Any) -> Json:
    """Decode a metadata value, which is JSON."""
    if isinstance(value, str) and len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1]
    return parse_json(value)


def _read_outputs_metadata(operation: Operation) -> None:
    """Langfuse's OpenAI wrapper for JavaScript puts parts of a Responses request into the metadata."""
    instructions = operation.metadata.get("instructions")
    if isinstance(instructions, str) and operation.input and operation.input[0].role != "system":
        operation.input = [Message("system", [Text(instructions)]), *operation.input]
    if operation.tools is None and isinstance(operation.metadata.get("tools"), list):
        operation.tools = tools_of(operation.metadata["tools"])


def _read_content(operation: Operation, attributes: Attributes) -> None:
    written = attributes.take(to_any, _OBSERVATION + "input")
    input = _without_tools(operation, parse_json(written))
    if looks_like_request(input):
        read_request(operation, {**input, "messages": _with_tool_messages(input.get("messages"))})
    elif operation.kind == "embedding" or not isinstance(written, str) or operation.tools or _is_call(input):
        operation.input = messages_of(_arguments(input))
    else:
        operation.input, whole = messages_in(written)
        operation.truncated = not whole
    answer = attributes.take(to_any, _OBSERVATION + "output")
    if operation.kind == "embedding" or answer is None:
        return
    read_output(operation, answer)


# The handler for LangChain.js (version 5) drops the role of a tool's message and the id of its call.
_TOOL_MESSAGE = {"content", "additional_kwargs"}


def _with_tool_messages(messages: Json) -> Json:
    """The messages, with those of tools as answers to the calls before them, in their order."""
    if not isinstance(messages, list) or not any(isinstance(m, dict) and m.keys() == _TOOL_MESSAGE for m in messages):
        return messages
    calls: list[Json] = []
    found = []
    for message in messages:
        if isinstance(message, dict) and message.keys() == _TOOL_MESSAGE:
            call = calls.pop(0) if calls else {}
            message = {"role": "tool", "content": message["content"], "tool_call_id": call.get("id")}
        elif isinstance(message, dict):
            calls = [call for call in message.get("tool_calls") or () if isinstance(call, dict)]
        found.append(message)
    return found


def _is_call(input: Json) -> bool:
    """Whether it is what a decorated function was called with."""
    return isinstance(input, dict) and set(input) == {"args", "kwargs"}


def _without_tools(operation: Operation, input: Json) -> Json:
    """LangChain's handler writes the tool definitions as messages of the role ``tool``, which answer no call."""
    if not isinstance(input, list):
        return input
    tools = [m for m in input if _defines_tool(m)]
    operation.tools = tools_of([m["content"] for m in tools])
    return [m for m in input if m not in tools] if operation.tools else input


def _defines_tool(message: Json) -> bool:
    if not isinstance(message, dict) or message.get("role") != "tool" or message.get("tool_call_id"):
        return False
    content = message.get("content")
    return isinstance(content, dict) and ("function" in content or "input_schema" in content)


def _arguments(input: Json) -> Json:
    """A decorated function's ``{"args", "kwargs"}``, without its empty parts."""
    if isinstance(input, dict) and set(input) == {"args", "kwargs"} and not (input["args"] and input["kwargs"]):
        input = input["args"] or input["kwargs"]
        if isinstance(input, list) and len(input) == 1:
            return input[0]
    return input
