"""Pydantic AI and Logfire's own instrumentations.

Source: pydantic-ai 1.0 (instrumentation version 1: ``events``) and 2.68 (versions 2 to 6: GenAI attributes), logfire
5.2 (openai, anthropic) as recorded. What both write beside the GenAI conventions is read here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from otel_posthog._model import Operation, Usage
from otel_posthog._spans import EventView, SpanView
from otel_posthog.conventions import semconv
from otel_posthog.conventions._attributes import Attributes, parse_json, to_number, to_str, to_structure
from otel_posthog.conventions._legacy import legacy_messages
from otel_posthog.conventions._messages import messages_of
from otel_posthog.conventions._payloads import read_request, read_response
from otel_posthog.conventions._tools import tools_of
from otel_posthog.conventions._usage import merge_usage, usage_of

_STREAM_LOG = "log"  # logfire.span_type of the span that Logfire writes when a stream has ended


def matches(span: SpanView) -> bool:
    """Whether Pydantic AI or Logfire wrote the span, and it is about AI."""
    attributes = span.attributes
    if span.scope_name == "pydantic-ai" or "pydantic_ai.all_messages" in attributes:
        return True
    return span.scope_name.startswith("logfire") and ("request_data" in attributes or semconv.matches(span))


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of a Pydantic AI or Logfire span."""
    pydantic = span.scope_name == "pydantic-ai"
    operation = Operation(kind="other", framework="pydantic-ai" if pydantic else None)
    attributes.drop("logfire.json_schema", "logfire.msg", "logfire.msg_template", "logfire.span_type",
                    "logfire.level_num")  # fmt: skip
    if pydantic:
        _read_pydantic(operation, span, attributes)
    else:
        _read_logfire(operation, span, attributes)
    return operation


def finish(operation: Operation, span: SpanView) -> Operation:
    """Logfire writes a streamed call twice: the request, without an answer, and a log when the stream has ended.

    The log has everything, so it is the call; the two may be exported minutes apart.
    """
    if span.scope_name == "pydantic-ai":
        return operation
    if _is_request_of_a_stream(operation, span):
        operation = replace(operation, kind="chain", streaming=True)
    if "{" in span.name and operation.request_model is not None:
        # Logfire's names are templates: Chat Completion with {request_data[model]!r}
        operation = replace(operation, name=f"{operation.operation_name or 'chat'} {operation.request_model}")
    return operation


def _is_request_of_a_stream(operation: Operation, span: SpanView) -> bool:
    usage = operation.usage
    answered = operation.output or operation.response_id or (usage and (usage.input or usage.output))
    failed = span.status_code == "ERROR" or any(event.name == "exception" for event in span.events)
    is_request = span.attributes.get("logfire.span_type") == "span" and span.scope_name != "logfire"
    return operation.kind == "generation" and is_request and not answered and not failed


def _read_pydantic(operation: Operation, span: SpanView, attributes: Attributes) -> None:
    _read_events(operation, attributes, "events")
    parameters = attributes.take(to_structure, "model_request_parameters")
    if isinstance(parameters, dict):
        functions = [*(parameters.get("function_tools") or ()), *(parameters.get("output_tools") or ())]
        operation.tools = tools_of([_tool(function) for function in functions if isinstance(function, dict)])
    if "tool_arguments" in attributes or span.name.startswith("running tool"):
        operation.kind = "tool" if "gen_ai.tool.name" in attributes else "chain"
        operation.input_state = attributes.take(parse_json, "tool_arguments", "tools")
        operation.output_state = attributes.take(parse_json, "tool_response")
    elif "agent_name" in attributes or "pydantic_ai.all_messages" in attributes or span.name == "agent run":
        operation.kind = "agent"
        operation.name = attributes.take(to_str, "agent_name")
        operation.request_model = attributes.take(to_str, "model_name")
        _read_events(operation, attributes, "all_messages_events")
        if operation.input is None:
            operation.input = messages_of(attributes.take(to_structure, "pydantic_ai.all_messages"))
        operation.output_state = attributes.take(parse_json, "final_result")
    attributes.drop("all_messages_events", "pydantic_ai.all_messages")


def _tool(function: dict[str, Any]) -> dict[str, Any]:
    return {key: function.get(key) for key in ("name", "description", "parameters_json_schema")}


def _read_events(operation: Operation, attributes: Attributes, name: str) -> None:
    """Instrumentation version 1 puts the legacy events into an attribute: ``[{"event.name", "role", …}]``."""
    listed = attributes.take(to_structure, name)
    if not isinstance(listed, list):
        return
    events = [EventView(str(e.get("event.name") or ""), {}, e) for e in listed if isinstance(e, dict)]
    input, output = legacy_messages(events)
    operation.input = operation.input or input or None
    operation.output = operation.output or output or None


def _read_logfire(operation: Operation, span: SpanView, attributes: Attributes) -> None:
    request = attributes.take(to_structure, "request_data")
    response = attributes.take(to_structure, "response_data")
    has_messages = "gen_ai.input.messages" in attributes
    if isinstance(request, dict):
        # Since version 4 the messages are in gen_ai.* as well, and request_data keeps the rest.
        read_request(operation, {k: v for k, v in request.items() if k != "messages"} if has_messages else request)
    if isinstance(response, dict):
        _read_response_data(operation, response)
    raw = attributes.take(to_structure, "gen_ai.usage.raw")
    if isinstance(raw, dict):
        _read_raw_usage(operation, usage_of(raw), "gen_ai.usage.input_tokens" in attributes)
    _read_events(operation, attributes, "events")
    if span.attributes.get("logfire.span_type") == _STREAM_LOG:
        duration = attributes.take(to_number, "duration")
        if duration is not None:
            # Written when the stream has ended, as a span without length.
            operation.latency = duration
            operation.streaming = True


def _read_response_data(operation: Operation, response: dict[str, Any]) -> None:
    if "combined_chunk_content" in response:  # a stream's answer, Logfire up to 3
        operation.output = messages_of(response["combined_chunk_content"], "assistant")
    elif isinstance(response.get("message"), dict):
        operation.output = messages_of([response["message"]], "assistant")
    usage = response.get("usage")
    if isinstance(usage, dict):
        merge_usage(operation, usage_of(usage))
    if operation.output is None and "message" not in response:
        read_response(operation, response)


def _read_raw_usage(operation: Operation, raw: Usage, summed: bool) -> None:
    """The provider's own usage. Logfire's ``gen_ai.usage.input_tokens`` adds Anthropic's cache to the input."""
    if summed:
        raw.input = raw.output = None
        raw.cache_inside = True
    merge_usage(operation, raw)
