"""The Anthropic client through the scenarios."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from .anthropic_api import tool_use_id
from .scenarios import BY_NAME, Scenario, Usage
from .steps import PIXEL, WEATHER_TOOL, Call, Json, Record, Seen, SpanIds, Step, run, step_maker

_BREAK_AFTER = 6  # events
_SONNET, _HAIKU = "claude-sonnet-4-5", "claude-haiku-4-5"
_FINISH = {"end_turn": "stop", "stop_sequence": "stop", "tool_use": "tool_calls"}
_FINISH |= {"max_tokens": "length", "refusal": "content_filter"}

_step = step_maker("anthropic", "messages")


def _message(scenario: str, model: str = _SONNET, **more: Any) -> Step:
    options = {"max_tokens": 256, **more.pop("options", {})}
    return _step(scenario, model, options=options, **more)


_TOOLS = {"tools": ["get_weather"]}
ANTHROPIC_STEPS: tuple[Step, ...] = (
    _message("plain", options={"stop_sequences": ["END"]}),
    _message("stream", streaming=True),
    _message("stream", name="stream_helper", api="messages.stream helper", streaming=True),
    _message("tool_ask", options=_TOOLS),
    _message("tool_result", options=_TOOLS),
    _message("cache_write"),
    _message(
        "cached",
        note="2310 prompt tokens of which 2048 read from cache: the wire says input_tokens=262",
    ),
    _message(
        "reasoning",
        options={"max_tokens": 4096},
        note="Anthropic counts thinking inside output_tokens, with no separate key",
    ),
    _message("reasoning", name="stream_reasoning", streaming=True, options={"max_tokens": 4096}),
    _message("nested"),
    _message("err529"),
    _message("err429"),
    _message("stream_tool", streaming=True, options=_TOOLS),
    _message(
        "stream_break",
        streaming=True,
        note=f"the app closes the stream after {_BREAK_AFTER} events",
    ),
    _message("image", _HAIKU),
    _message("length", options={"max_tokens": 16}),
    _message("unicode"),
    _message("err401"),
    _message("err500"),
    _message("async", _HAIKU, api="messages (async client)"),
)


def drive_anthropic(
    base_url: str,
    names: Iterable[str] | None = None,
    finished_span_ids: SpanIds | None = None,
) -> list[Record]:
    """Call the messages API, also with the async client and the stream helper."""
    with anthropic_calls(base_url) as call:
        return run(ANTHROPIC_STEPS, call, names, finished_span_ids)


@contextmanager
def anthropic_calls(base_url: str) -> Iterator[Call]:
    import anthropic

    # No retries: one call is one request, and an error is seen at once.
    options: dict[str, Json] = {"base_url": base_url, "api_key": "sk-ant-test", "max_retries": 0}

    async def call_async(step: Step) -> Seen:
        async with anthropic.AsyncAnthropic(**options) as client:
            return _seen(await client.messages.create(**_arguments(step)))

    def call(step: Step) -> Seen:
        arguments = _arguments(step)
        if step.is_async:
            return asyncio.run(call_async(step))
        if step.api == "messages.stream helper":
            with client.messages.stream(**arguments) as stream:
                return _seen(stream.get_final_message())
        if not step.streaming:
            return _seen(client.messages.create(**arguments))
        limit = _BREAK_AFTER if step.scenario.name == "stream_break" else None
        with client.messages.create(**arguments, stream=True) as events:
            return _events_seen(list(islice(events, limit)))

    with warnings.catch_warnings(), anthropic.Anthropic(**options) as client:
        # The models are those of the recordings; that their days are numbered is no fault here.
        warnings.filterwarnings("ignore", "The model .* is deprecated", DeprecationWarning)
        yield call


def _arguments(step: Step) -> dict[str, Json]:
    scenario = step.scenario
    arguments = {"model": step.model, "messages": _messages(scenario), **step.options}
    if scenario.system:
        arguments["system"] = scenario.system
    if scenario.usage.cache_read or scenario.usage.cache_write:
        mark = {"type": "ephemeral"}
        arguments["system"] = [{"type": "text", "text": scenario.system, "cache_control": mark}]
    if "tools" in arguments:
        tool = dict(WEATHER_TOOL)
        arguments["tools"] = [{"input_schema": tool.pop("parameters"), **tool}]
    if scenario.thinking:
        arguments["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    return arguments


def _messages(scenario: Scenario) -> list[Json]:
    messages: list[Json] = [{"role": role, "content": text} for role, text in scenario.history]
    messages.append({"role": "user", "content": scenario.user})
    if scenario.has_image:
        source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
        text = {"type": "text", "text": scenario.user}
        messages[-1]["content"] = [{"type": "image", "source": source}, text]
    if scenario.tool_results:
        calls = [
            {
                "type": "tool_use",
                "id": tool_use_id(call, index),
                "name": call.name,
                "input": call.arguments,
            }
            for index, call in enumerate(BY_NAME["tool_ask"].tool_calls)
        ]
        results = [
            {"type": "tool_result", "tool_use_id": call["id"], "content": result}
            for call, result in zip(calls, scenario.tool_results, strict=True)
        ]
        messages.append({"role": "assistant", "content": calls})
        messages.append({"role": "user", "content": results})
    return messages


def _seen(message: Any) -> Seen:
    blocks: dict[str, list[Any]] = {"text": [], "thinking": [], "tool_use": []}
    for block in message.content:
        blocks[block.type].append(block)
    usage = message.usage
    cached = (usage.cache_read_input_tokens, usage.cache_creation_input_tokens)
    return Seen(
        answers=tuple(block.text for block in blocks["text"]),
        tool_calls=tuple((block.name, block.input) for block in blocks["tool_use"]),
        finish=_FINISH.get(message.stop_reason),
        usage=Usage(usage.input_tokens + sum(cached), usage.output_tokens, *cached),
        thinking="".join(block.thinking for block in blocks["thinking"]) or None,
    )


def _events_seen(events: list[Any]) -> Seen:
    """The events put together the way the client's own stream helper does it."""
    message = events[0].message
    arguments: dict[int, str] = {}
    for event in events:
        if event.type == "content_block_start":
            message.content.append(event.content_block)
        elif event.type == "content_block_delta":
            _add(message.content[event.index], event, arguments)
        elif event.type == "message_delta":
            message.stop_reason = event.delta.stop_reason
            message.usage.output_tokens = event.usage.output_tokens
    for index, text in arguments.items():
        message.content[index].input = json.loads(text)
    return _seen(message)


def _add(block: Any, event: Any, arguments: dict[int, str]) -> None:
    delta = event.delta
    if delta.type == "text_delta":
        block.text += delta.text
    elif delta.type == "thinking_delta":
        block.thinking += delta.thinking
    elif delta.type == "input_json_delta":
        arguments[event.index] = arguments.get(event.index, "") + delta.partial_json
