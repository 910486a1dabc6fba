"""OpenAI's responses API: POST /v1/responses, whole and as a stream of typed events.

https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from starlette.responses import Response

from .openai_api import DATED_MODELS, call_id, error, missing
from .scenarios import Scenario, Usage, scenario_for
from .wire import (
    CREATED,
    Handler,
    Json,
    all_text,
    dumps,
    json_reply,
    new_id,
    pieces,
    sse_reply,
    text_of,
)

_INCOMPLETE: Mapping[str, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}
_REMEMBERED = 1000
_user_texts: dict[str, str] = {}
"""What was asked in each response, for apps that go on with ``previous_response_id``."""


def create(body: Json, _path: Mapping[str, str]) -> Response:
    """POST /v1/responses"""
    if not body.get("model") or body.get("input") is None:
        return missing("input" if body.get("model") else "model")
    user, answered, prompt = _asked(body)
    scenario = scenario_for(user, answered, prompt)
    if scenario.status is not None:
        return error(scenario.status)
    whole = _response(body, scenario)
    _remember(whole["id"], user)
    if body.get("stream"):
        return sse_reply(_events(whole))
    return json_reply(whole)


def _asked(body: Json) -> tuple[str, bool, str]:
    """The last user text, whether tool results came after it, and all text."""
    given = body["input"]
    if isinstance(given, str):
        return given, False, all_text(body.get("instructions"), given)
    prompt = all_text(body.get("instructions"), *(item.get("content") for item in given))
    answered = False
    for item in reversed(given):
        if item.get("role") == "user":
            return text_of(item.get("content")), answered, prompt
        answered = answered or item.get("type") == "function_call_output"
    return _user_texts.get(body.get("previous_response_id") or "", ""), answered, prompt


def _remember(response_id: str, user: str) -> None:
    if len(_user_texts) >= _REMEMBERED:
        _user_texts.pop(next(iter(_user_texts)))
    _user_texts[response_id] = user


def _response(body: Json, scenario: Scenario) -> dict[str, Json]:
    incomplete = _INCOMPLETE.get(scenario.finish)
    return {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": CREATED,
        "status": "incomplete" if incomplete else "completed",
        "background": False,
        "error": None,
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": None,
        "model": DATED_MODELS.get(body["model"], body["model"]),
        "output": list(_output(body, scenario)),
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": (body.get("reasoning") or {}).get("effort"), "summary": None},
        "service_tier": "default",
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools") or [],
        "top_logprobs": 0,
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": _usage(scenario.usage),
        "user": body.get("user"),
        "metadata": body.get("metadata") or {},
    }


def _usage(usage: Usage) -> dict[str, Json]:
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }


def _output(body: Json, scenario: Scenario) -> Iterator[dict[str, Json]]:
    if scenario.thinking:
        # The reasoning item always comes; its summary only if it was asked for.
        wanted = (body.get("reasoning") or {}).get("summary")
        summary = [{"type": "summary_text", "text": scenario.thinking}] if wanted else []
        yield {"id": new_id("rs_"), "type": "reasoning", "summary": summary}
    for index, call in enumerate(scenario.tool_calls):
        yield {
            "id": new_id("fc_"),
            "type": "function_call",
            "status": "completed",
            "call_id": call_id(call, index),
            "name": call.name,
            "arguments": dumps(call.arguments),
        }
    if not scenario.tool_calls:
        yield {
            "id": new_id("msg_"),
            "type": "message",
            "role": "assistant",
            "status": "incomplete" if scenario.finish in _INCOMPLETE else "completed",
            "content": _content(scenario),
        }


def _content(scenario: Scenario) -> list[Json]:
    if scenario.refusal:
        return [{"type": "refusal", "refusal": scenario.refusal}]
    if not scenario.answer:
        return []
    return [{"type": "output_text", "text": scenario.answer, "annotations": [], "logprobs": []}]


def _events(whole: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    """The events of a stream, each numbered and named by its type."""
    for number, event in enumerate(_typed_events(whole)):
        yield event["type"], {**event, "sequence_number": number}


def _typed_events(whole: dict[str, Json]) -> Iterator[dict[str, Json]]:
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    begun["incomplete_details"] = None
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(whole["output"]):
        at = {"output_index": index}
        yield {"type": "response.output_item.added", **at, "item": _empty(item)}
        yield from _ITEM_EVENTS[item["type"]](item, {**at, "item_id": item["id"]})
        yield {"type": "response.output_item.done", **at, "item": item}
    yield {"type": f"response.{whole['status']}", "response": whole}


def _empty(item: dict[str, Json]) -> dict[str, Json]:
    """An output item as it is announced, before its content."""
    blank: dict[str, Json] = {"content": [], "summary": [], "arguments": ""}
    blank["status"] = "in_progress"
    return {key: blank.get(key, value) for key, value in item.items()}


def _message_events(item: Json, at: Json) -> Iterator[dict[str, Json]]:
    for index, part in enumerate(item["content"]):
        key = "text" if part["type"] == "output_text" else "refusal"
        name = f"response.{part['type']}"
        here = {**at, "content_index": index}
        extra: dict[str, Json] = {"logprobs": []} if key == "text" else {}
        yield {"type": "response.content_part.added", **here, "part": {**part, key: ""}}
        for piece in pieces(part[key]):
            yield {"type": f"{name}.delta", **here, "delta": piece, **extra}
        yield {"type": f"{name}.done", **here, key: part[key], **extra}
        yield {"type": "response.content_part.done", **here, "part": part}


def _reasoning_events(item: Json, at: Json) -> Iterator[dict[str, Json]]:
    name = "response.reasoning_summary"
    for index, part in enumerate(item["summary"]):
        here = {**at, "summary_index": index}
        yield {"type": f"{name}_part.added", **here, "part": {**part, "text": ""}}
        for piece in pieces(part["text"]):
            yield {"type": f"{name}_text.delta", **here, "delta": piece}
        yield {"type": f"{name}_text.done", **here, "text": part["text"]}
        yield {"type": f"{name}_part.done", **here, "part": part}


def _call_events(item: Json, at: Json) -> Iterator[dict[str, Json]]:
    name, arguments = "response.function_call_arguments", item["arguments"]
    cuts = [0, len(arguments) // 2, len(arguments)]
    for start, end in itertools.pairwise(cuts):
        yield {"type": f"{name}.delta", **at, "delta": arguments[start:end]}
    yield {"type": f"{name}.done", **at, "name": item["name"], "arguments": arguments}


_ITEM_EVENTS = {
    "message": _message_events,
    "reasoning": _reasoning_events,
    "function_call": _call_events,
}

ROUTES: Mapping[str, Handler] = {"POST /v1/responses": create}
