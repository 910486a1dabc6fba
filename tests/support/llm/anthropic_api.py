"""Anthropic's messages API: POST /v1/messages, whole and as a stream of events.

https://docs.anthropic.com/en/api/messages. Its ``input_tokens`` leave out what was read from the
cache or written to it, and thinking is inside ``output_tokens``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from starlette.responses import Response

from .scenarios import Scenario, ToolCall, Usage, scenario_for
from .wire import (
    Handler,
    Json,
    all_text,
    dumps,
    error_reply,
    json_reply,
    new_id,
    pieces,
    sse_reply,
    text_of,
)

_DATED_MODELS: Mapping[str, str] = {
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
}
_STOP_REASONS: Mapping[str, str] = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
}
_ERRORS: Mapping[int, tuple[str, str]] = {
    400: ("invalid_request_error", "temperature: Input should be less than or equal to 1"),
    401: ("authentication_error", "invalid x-api-key"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit."),
    500: ("api_error", "Internal server error"),
    529: ("overloaded_error", "Overloaded"),
}
_SIGNATURE = "EqQBCkgIBhABGAIiQL8tFw=="


def messages(body: Json, _path: Mapping[str, str]) -> Response:
    """POST /v1/messages"""
    for field in ("model", "messages", "max_tokens"):
        if not body.get(field):
            return _error(400, f"{field}: Field required")
    scenario = _scenario(body)
    if scenario.status is not None:
        return _error(scenario.status)
    whole = {
        "id": new_id("msg_01", 22),
        "type": "message",
        "role": "assistant",
        "model": _DATED_MODELS.get(body["model"], body["model"]),
        "content": list(_content(body, scenario)),
        "stop_reason": "refusal" if scenario.refusal else _STOP_REASONS[scenario.finish],
        "stop_sequence": None,
        "usage": _usage(scenario.usage),
    }
    return sse_reply(_events(whole)) if body.get("stream") else json_reply(whole)


def count_tokens(body: Json, _path: Mapping[str, str]) -> Response:
    """POST /v1/messages/count_tokens"""
    return json_reply({"input_tokens": _scenario(body).usage.input})


def _scenario(body: Json) -> Scenario:
    asked = body["messages"]
    prompt = all_text(body.get("system"), *(message.get("content") for message in asked))
    answered = False
    for message in reversed(asked):
        if message.get("role") != "user":
            continue
        content = message.get("content")
        if isinstance(content, list):
            answered = answered or any(block.get("type") == "tool_result" for block in content)
        if text_of(content):
            return scenario_for(text_of(content), answered, prompt)
    return scenario_for("", answered, prompt)


def tool_use_id(call: ToolCall, index: int) -> str:
    """The id of a tool call: the same in every answer, so that scripts can refer to it."""
    return f"toolu_01{call.name}{index}"


def _content(body: Json, scenario: Scenario) -> Iterator[dict[str, Json]]:
    wants_thinking = (body.get("thinking") or {}).get("type") in ("enabled", "adaptive")
    if scenario.thinking and wants_thinking:
        yield {"type": "thinking", "thinking": scenario.thinking, "signature": _SIGNATURE}
    text = scenario.refusal or scenario.answer
    if text:
        yield {"type": "text", "text": text}
    for index, call in enumerate(scenario.tool_calls):
        yield {
            "type": "tool_use",
            "id": tool_use_id(call, index),
            "name": call.name,
            "input": call.arguments,
        }


def _usage(usage: Usage) -> dict[str, Json]:
    return {
        "input_tokens": usage.fresh,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": usage.output,
        "service_tier": "standard",
    }


def _events(whole: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    """The events of a stream, each named by its type."""
    for event in _typed_events(whole):
        yield event["type"], event


def _typed_events(whole: dict[str, Json]) -> Iterator[dict[str, Json]]:
    # At the start one output token is counted; the last event has them all.
    begun = {**whole, "content": [], "stop_reason": None}
    begun["usage"] = {**whole["usage"], "output_tokens": 1}
    yield {"type": "message_start", "message": begun}
    for index, block in enumerate(whole["content"]):
        at = {"index": index}
        yield {"type": "content_block_start", **at, "content_block": _empty(block)}
        if index == 0:
            yield {"type": "ping"}
        for delta in _deltas(block):
            yield {"type": "content_block_delta", **at, "delta": delta}
        yield {"type": "content_block_stop", **at}
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    usage = whole["usage"]
    counted = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    cumulative = {key: usage[key] for key in (*counted, "output_tokens")}
    yield {"type": "message_delta", "delta": delta, "usage": cumulative}
    yield {"type": "message_stop"}


def _empty(block: dict[str, Json]) -> dict[str, Json]:
    """A content block as it is announced, before its content."""
    blank: dict[str, Json] = {"text": "", "thinking": "", "signature": "", "input": {}}
    return {key: value if key == "type" else blank.get(key, value) for key, value in block.items()}


def _deltas(block: dict[str, Json]) -> Iterator[dict[str, Json]]:
    if block["type"] == "tool_use":
        text = dumps(block["input"])
        yield {"type": "input_json_delta", "partial_json": ""}
        yield {"type": "input_json_delta", "partial_json": text[: len(text) // 2]}
        yield {"type": "input_json_delta", "partial_json": text[len(text) // 2 :]}
        return
    kind = block["type"]
    for piece in pieces(block[kind]):
        yield {"type": f"{kind}_delta", kind: piece}
    if kind == "thinking":
        yield {"type": "signature_delta", "signature": block["signature"]}


def _error(status: int, message: str | None = None) -> Response:
    kind, usual = _ERRORS.get(status, _ERRORS[500])
    request_id = new_id("req_01", 22)
    body = {"type": kind, "message": message or usual}
    return error_reply(
        status,
        {"type": "error", "error": body, "request_id": request_id},
        {"request-id": request_id},
    )


ROUTES: Mapping[str, Handler] = {
    "POST /v1/messages": messages,
    "POST /v1/messages/count_tokens": count_tokens,
}
