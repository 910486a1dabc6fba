"""The google-genai client through the scenarios."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from .gemini_api import call_id
from .scenarios import BY_NAME, Scenario, Usage
from .steps import (
    PERSON_SCHEMA,
    PIXEL,
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

_FLASH, _PRO = "gemini-2.5-flash", "gemini-2.5-pro"
_FINISH = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter"}
_TOOLS = {"tools": ["get_weather"]}
_STREAM = {"api": "generate_content_stream", "streaming": True}
_step = step_maker("google-genai", "generate_content")

GEMINI_STEPS: tuple[Step, ...] = (
    _step(
        "plain",
        _FLASH,
        options={
            "temperature": 0.2,
            "max_output_tokens": 64,
            "top_p": 0.9,
            "top_k": 40,
            "seed": 7,
        },
    ),
    _step("stream", _FLASH, **_STREAM),
    _step("tool_ask", _FLASH, options=_TOOLS),
    _step("tool_result", _FLASH, options=_TOOLS),
    _step("cached", _PRO),
    _step(
        "reasoning",
        _PRO,
        note="wire: candidatesTokenCount=19, thoughtsTokenCount=192 (NOT inside candidates)",
    ),
    _step("reasoning", _PRO, name="stream_reasoning", **_STREAM),
    _step("nested", _FLASH),
    _step("image", _FLASH),
    _step("n2", _FLASH, options={"n": 2}),
    _step("json", _FLASH),
    _step("length", _FLASH, options={"max_output_tokens": 16}),
    _step("filter", _FLASH, note="candidate has no content, finishReason SAFETY"),
    _step("unicode", _FLASH),
    _step("stream_tool", _FLASH, options=_TOOLS, **_STREAM),
    _step("err429", _FLASH),
    _step("err400", _FLASH),
    _step("err500", _FLASH),
    _step("embed", "gemini-embedding-001", api="embed_content"),
    _step("async", _FLASH, api="aio generate_content"),
)


def drive_gemini(
    base_url: str,
    names: Iterable[str] | None = None,
    finished_span_ids: SpanIds | None = None,
) -> list[Record]:
    """Generate content and embed it, also with the async client."""
    with gemini_calls(base_url) as call:
        return run(GEMINI_STEPS, call, names, finished_span_ids)


@contextmanager
def gemini_calls(base_url: str) -> Iterator[Call]:
    from google import genai

    def new_client() -> Any:
        # One attempt: one call is one request, and an error is seen at once.
        http: Any = {"base_url": base_url, "retry_options": {"attempts": 1}}
        return genai.Client(api_key="test", vertexai=False, http_options=http)

    async def call_async(step: Step) -> Seen:
        async with new_client().aio as aio:
            return _seen([await aio.models.generate_content(**_arguments(step))])

    def call(step: Step) -> Seen:
        if step.is_async:
            return asyncio.run(call_async(step))
        if step.api == "embed_content":
            inputs = list(step.scenario.inputs)
            reply = client.models.embed_content(model=step.model, contents=inputs)
            return Seen(vectors=tuple(tuple(e.values) for e in reply.embeddings))
        if step.streaming:
            return _seen(list(client.models.generate_content_stream(**_arguments(step))))
        return _seen([client.models.generate_content(**_arguments(step))])

    with new_client() as client:
        yield call


def _arguments(step: Step) -> dict[str, Json]:
    scenario = step.scenario
    config: dict[str, Json] = dict(step.options)
    if scenario.system:
        config["system_instruction"] = scenario.system
    if "n" in config:
        config["candidate_count"] = config.pop("n")
    if "tools" in config:
        tool = dict(WEATHER_TOOL)
        tool["parametersJsonSchema"] = tool.pop("parameters")
        config["tools"] = [{"function_declarations": [tool]}]
    if scenario.thinking:
        config["thinking_config"] = {"includeThoughts": True}
    if scenario.name == "json":
        config["response_mime_type"] = "application/json"
        config["response_json_schema"] = PERSON_SCHEMA
    return {"model": step.model, "contents": _contents(scenario), "config": config}


def _contents(scenario: Scenario) -> Json:
    asked: list[Json] = [{"text": scenario.user}]
    if scenario.has_image:
        asked.insert(0, {"inline_data": {"mime_type": "image/png", "data": PIXEL}})
    elif not scenario.history and not scenario.tool_results:
        return scenario.user
    roles = {"user": "user", "assistant": "model"}
    turns = scenario.history
    contents: list[Json] = [{"role": roles[who], "parts": [{"text": text}]} for who, text in turns]
    contents.append({"role": "user", "parts": asked})
    if scenario.tool_results:
        calls = BY_NAME["tool_ask"].tool_calls
        named = [{"id": call_id(call, i), "name": call.name} for i, call in enumerate(calls)]
        arguments = [{"args": dict(call.arguments)} for call in calls]
        asking = [{"function_call": a | b} for a, b in zip(named, arguments, strict=True)]
        answering = [
            {"function_response": {**name, "response": {"result": result}}}
            for name, result in zip(named, scenario.tool_results, strict=True)
        ]
        contents.append({"role": "model", "parts": asking})
        contents.append({"role": "user", "parts": answering})
    return contents


def _seen(replies: list[Any]) -> Seen:
    """What one reply, or the chunks of one stream, say together."""
    answers: dict[int, str] = {}
    thinking = ""
    calls: list[tuple[str, Json]] = []
    for candidate in (c for reply in replies for c in reply.candidates or ()):
        for part in (candidate.content.parts if candidate.content else None) or ():
            if part.function_call:
                calls.append((part.function_call.name, part.function_call.args))
            elif part.thought:
                thinking += part.text
            else:
                answers[candidate.index] = answers.get(candidate.index, "") + part.text
    reason = replies[-1].candidates[0].finish_reason
    usage = replies[-1].usage_metadata
    thoughts = usage.thoughts_token_count or 0
    return Seen(
        answers=tuple(answers.values()),
        tool_calls=tuple(calls),
        finish="tool_calls" if calls else _FINISH.get(reason.value),
        usage=Usage(
            usage.prompt_token_count,
            (usage.candidates_token_count or 0) + thoughts,
            cache_read=usage.cached_content_token_count or 0,
            reasoning=thoughts,
        ),
        thinking=thinking or None,
    )
