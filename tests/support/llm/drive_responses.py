"""The OpenAI client through the scenarios: the responses API."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from .drive_openai import IMAGE_URL, TOOLS, client_options
from .openai_api import call_id
from .scenarios import BY_NAME, Scenario, Usage
from .steps import (
    PERSON_SCHEMA,
    WEATHER_TOOL,
    Call,
    Json,
    Record,
    Seen,
    SpanIds,
    Step,
    run,
    step_maker,
)

_response = step_maker("openai", "responses")
RESPONSES_STEPS: tuple[Step, ...] = (
    _response("plain", "gpt-4.1", options={"temperature": 0.3, "max_output_tokens": 100}),
    _response("stream", "gpt-4.1", streaming=True),
    _response("tool_ask", "gpt-4.1", options=TOOLS),
    _response("tool_result", "gpt-4.1", options=TOOLS),
    _response("reasoning", "gpt-5-mini", options={"max_output_tokens": 2000}),
    _response(
        "reasoning",
        "gpt-5-mini",
        name="stream_reasoning",
        streaming=True,
        options={"max_output_tokens": 2000},
    ),
    _response("cached", "gpt-4.1"),
    _response("image", "gpt-4o"),
    _response("json", "gpt-4o"),
    _response("length", "gpt-4.1", options={"max_output_tokens": 16}),
    _response("filter", "gpt-4.1", streaming=True),
    _response("refusal", "gpt-4.1", streaming=True),
    _response("stream_tool", "gpt-4.1", streaming=True, options=TOOLS),
    _response("err429", "gpt-4.1"),
)


def drive_openai_responses(
    base_url: str,
    names: Iterable[str] | None = None,
    finished_span_ids: SpanIds | None = None,
) -> list[Record]:
    """Call the responses API."""
    with response_calls(base_url) as call:
        return run(RESPONSES_STEPS, call, names, finished_span_ids)


@contextmanager
def response_calls(base_url: str) -> Iterator[Call]:
    import openai

    def call(step: Step) -> Seen:
        reply: Any = client.responses.create(**_arguments(step))
        if not step.streaming:
            return _seen(reply)
        with reply:
            events = list(reply)
        whole = _seen(events[-1].response)
        # The pieces must say the same as the whole; what they say is what the app shows.
        texts = [event.delta for event in events if event.type == "response.output_text.delta"]
        return Seen(**{**vars(whole), "answers": ("".join(texts),) if texts else ()})

    with openai.OpenAI(**client_options(base_url)) as client:
        yield call


def _arguments(step: Step) -> dict[str, Json]:
    scenario = step.scenario
    arguments: dict[str, Json] = {
        "model": step.model,
        "input": _input(scenario),
        "stream": step.streaming,
        **step.options,
    }
    if scenario.system:
        arguments["instructions"] = scenario.system
    if "tools" in arguments:
        arguments["tools"] = [{"type": "function", "strict": False, **WEATHER_TOOL}]
    if scenario.thinking:
        arguments["reasoning"] = {"effort": "medium", "summary": "auto"}
    if scenario.name == "json":
        kind = {"type": "json_schema", "name": "person", "strict": True, "schema": PERSON_SCHEMA}
        arguments["text"] = {"format": kind}
    return arguments


def _input(scenario: Scenario) -> Json:
    if scenario.has_image:
        image = {"type": "input_image", "image_url": IMAGE_URL, "detail": "low"}
        text = {"type": "input_text", "text": scenario.user}
        return [{"role": "user", "content": [text, image]}]
    if not scenario.history and not scenario.tool_results:
        return scenario.user
    items: list[Json] = [{"role": role, "content": text} for role, text in scenario.history]
    items.append({"role": "user", "content": scenario.user})
    if scenario.tool_results:
        calls = [
            {
                "type": "function_call",
                "call_id": call_id(call, index),
                "name": call.name,
                "arguments": json.dumps(call.arguments),
            }
            for index, call in enumerate(BY_NAME["tool_ask"].tool_calls)
        ]
        results = [
            {"type": "function_call_output", "call_id": call["call_id"], "output": result}
            for call, result in zip(calls, scenario.tool_results, strict=True)
        ]
        items += calls + results
    return items


def _seen(reply: Any) -> Seen:
    parts = [part for item in reply.output if item.type == "message" for part in item.content]
    calls = [item for item in reply.output if item.type == "function_call"]
    thoughts = [part.text for i in reply.output if i.type == "reasoning" for part in i.summary]
    return Seen(
        answers=tuple(part.text for part in parts if part.type == "output_text"),
        tool_calls=tuple((call.name, json.loads(call.arguments)) for call in calls),
        finish=_finish(reply, bool(calls)),
        usage=Usage(
            reply.usage.input_tokens,
            reply.usage.output_tokens,
            cache_read=reply.usage.input_tokens_details.cached_tokens,
            cache_write=reply.usage.input_tokens_details.cache_write_tokens,
            reasoning=reply.usage.output_tokens_details.reasoning_tokens,
        ),
        thinking="".join(thoughts) or None,
        refusal=next((part.refusal for part in parts if part.type == "refusal"), None),
    )


def _finish(reply: Any, has_calls: bool) -> str:
    """The response has no finish reason; its status and its items say the same."""
    if reply.status == "incomplete":
        reason = str(reply.incomplete_details.reason)
        return "length" if reason == "max_output_tokens" else reason
    return "tool_calls" if has_calls else "stop"
