"""The OpenAI client through the scenarios: chat completions and embeddings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from .openai_api import call_id
from .scenarios import BY_NAME, Scenario, Usage
from .steps import (
    NO_SERVER,
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

IMAGE_URL = f"data:image/png;base64,{PIXEL}"
_BREAK_AFTER = 4  # chunks
TOOLS = {"tools": ["get_weather"]}
_ASYNC = {"api": "chat.completions (async client)"}

_chat = step_maker("openai", "chat.completions")
CHAT_STEPS: tuple[Step, ...] = (
    _chat(
        "plain",
        "gpt-4o-mini",
        options={
            "temperature": 0.2,
            "max_tokens": 64,
            "top_p": 0.9,
            "seed": 7,
            "stop": ["END"],
            "frequency_penalty": 0.1,
            "presence_penalty": 0.2,
        },
    ),
    _chat("stream", "gpt-4o-mini", streaming=True, options={"temperature": 0.7}),
    _chat("tool_ask", "gpt-4o", options=TOOLS),
    _chat("tool_result", "gpt-4o", options=TOOLS),
    _chat("cached", "gpt-4.1"),
    _chat("reasoning", "o4-mini", options={"reasoning_effort": "medium", "max_tokens": 2000}),
    _chat("nested", "gpt-4o-mini"),
    _chat("err429", "gpt-4o-mini"),
    _chat("err401", "gpt-4o-mini"),
    _chat("err400", "gpt-4o-mini", options={"temperature": 3.5}),
    _chat("err500", "gpt-4o-mini"),
    _chat(
        "stream_nousage",
        "gpt-4o-mini",
        streaming=True,
        note="streaming, include_usage not asked: the server sends no usage",
    ),
    _chat("stream_tool", "gpt-4o", streaming=True, options=TOOLS),
    _chat(
        "stream_break",
        "gpt-4o-mini",
        streaming=True,
        note=f"the app closes the stream after {_BREAK_AFTER} chunks; usage never arrives",
    ),
    _chat("image", "gpt-4o", options={"max_tokens": 50}),
    _chat("n2", "gpt-4o-mini", options={"temperature": 1.1, "n": 2}),
    _chat("json", "gpt-4o", options={"response_format": "json_schema"}),
    _chat("length", "gpt-4o-mini", options={"max_tokens": 16}),
    _chat("filter", "gpt-4o-mini"),
    _chat("refusal", "gpt-4o-mini"),
    _chat("unicode", "gpt-4o-mini"),
    _chat("long", "gpt-4o-mini"),
    _chat("async", "gpt-4o-mini", **_ASYNC),
    _chat("stream", "gpt-4o-mini", name="stream_async", streaming=True, **_ASYNC),
    _chat("plain", "gpt-4o-mini", name="refused", note="connection refused: no server at the port"),
)

_embedding = step_maker("openai", "embeddings")
_embed = _embedding("embed", "text-embedding-3-small", options={"dimensions": 8})
EMBEDDING_STEPS: tuple[Step, ...] = (_embed,)


def drive_openai_chat(
    base_url: str,
    names: Iterable[str] | None = None,
    finished_span_ids: SpanIds | None = None,
) -> list[Record]:
    """Call chat completions, also with the async client; ``names`` are names of steps."""
    with chat_calls(base_url) as call:
        return run(CHAT_STEPS, call, names, finished_span_ids)


def drive_openai_embeddings(
    base_url: str,
    names: Iterable[str] | None = None,
    finished_span_ids: SpanIds | None = None,
) -> list[Record]:
    """Call the embeddings API."""
    with embedding_calls(base_url) as call:
        return run(EMBEDDING_STEPS, call, names, finished_span_ids)


def client_options(base_url: str) -> dict[str, Json]:
    # No retries: one call is one request, and an error is seen at once.
    return {"base_url": f"{base_url}/v1", "api_key": "sk-test", "max_retries": 0}


@contextmanager
def chat_calls(base_url: str) -> Iterator[Call]:
    import openai

    async def call_async(step: Step) -> Seen:
        client: Any  # the overloads of the client are of no help here
        async with openai.AsyncOpenAI(**client_options(base_url)) as client:
            reply = await client.chat.completions.create(**chat_arguments(step))
            return await _chunks_seen_async(reply) if step.streaming else _chat_seen(reply)

    def call(step: Step) -> Seen:
        if step.is_async:
            return asyncio.run(call_async(step))
        server: Any = client if step.has_server else client.with_options(base_url=NO_SERVER)
        reply = server.chat.completions.create(**chat_arguments(step))
        if not step.streaming:
            return _chat_seen(reply)
        with reply:
            limit = _BREAK_AFTER if step.scenario.name == "stream_break" else None
            return _chunks_seen(list(islice(reply, limit)))

    with openai.OpenAI(**client_options(base_url)) as client:
        yield call


def chat_arguments(step: Step) -> dict[str, Json]:
    arguments = {"model": step.model, "messages": _messages(step.scenario), **step.options}
    if "tools" in arguments:
        arguments["tools"] = [{"type": "function", "function": WEATHER_TOOL}]
    if "response_format" in arguments:
        schema = {"name": "person", "strict": True, "schema": PERSON_SCHEMA}
        arguments["response_format"] = {"type": "json_schema", "json_schema": schema}
    if "reasoning_effort" in arguments:  # reasoning models refuse the old name
        arguments["max_completion_tokens"] = arguments.pop("max_tokens")
    if step.streaming:
        arguments["stream"] = True
        if step.scenario.name != "stream_nousage":
            arguments["stream_options"] = {"include_usage": True}
    return arguments


def _messages(scenario: Scenario) -> list[Json]:
    messages: list[Json] = []
    if scenario.system:
        messages.append({"role": "system", "content": scenario.system})
    messages += [{"role": role, "content": text} for role, text in scenario.history]
    messages.append({"role": "user", "content": scenario.user})
    if scenario.has_image:
        image = {"type": "image_url", "image_url": {"url": IMAGE_URL, "detail": "low"}}
        messages[-1]["content"] = [{"type": "text", "text": scenario.user}, image]
    if scenario.tool_results:
        calls = [
            {
                "id": call_id(call, index),
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for index, call in enumerate(BY_NAME["tool_ask"].tool_calls)
        ]
        messages.append({"role": "assistant", "content": None, "tool_calls": calls})
        messages += [
            {"role": "tool", "tool_call_id": call["id"], "content": result}
            for call, result in zip(calls, scenario.tool_results, strict=True)
        ]
    return messages


def _chat_seen(reply: Any) -> Seen:
    message = reply.choices[0].message
    calls = [call.function for call in message.tool_calls or ()]
    return Seen(
        answers=tuple(c.message.content for c in reply.choices if c.message.content),
        tool_calls=tuple((call.name, json.loads(call.arguments)) for call in calls),
        finish=reply.choices[0].finish_reason,
        usage=_chat_usage(reply.usage),
        refusal=message.refusal,
    )


def _chat_usage(usage: Any) -> Usage | None:
    if usage is None:
        return None
    return Usage(
        usage.prompt_tokens,
        usage.completion_tokens,
        cache_read=usage.prompt_tokens_details.cached_tokens,
        reasoning=usage.completion_tokens_details.reasoning_tokens,
    )


async def _chunks_seen_async(reply: AsyncIterator[Any]) -> Seen:
    return _chunks_seen([chunk async for chunk in reply])


def _chunks_seen(chunks: list[Any]) -> Seen:
    choices = [choice for chunk in chunks for choice in chunk.choices]
    text = "".join(choice.delta.content or "" for choice in choices)
    refusal = "".join(choice.delta.refusal or "" for choice in choices)
    calls: dict[int, list[str]] = {}
    for part in (part for choice in choices for part in choice.delta.tool_calls or ()):
        name_and_arguments = calls.setdefault(part.index, [part.function.name, ""])
        name_and_arguments[1] += part.function.arguments
    usages = [chunk.usage for chunk in chunks if chunk.usage is not None]
    return Seen(
        answers=(text,) if text else (),
        tool_calls=tuple((name, json.loads(arguments)) for name, arguments in calls.values()),
        finish=next((c.finish_reason for c in choices if c.finish_reason), None),
        usage=_chat_usage(usages[-1]) if usages else None,
        refusal=refusal or None,
    )


@contextmanager
def embedding_calls(base_url: str) -> Iterator[Call]:
    import openai

    def call(step: Step) -> Seen:
        inputs = list(step.scenario.inputs)
        reply = client.embeddings.create(model=step.model, input=inputs, **dict(step.options))
        found = tuple(item.embedding for item in reply.data)
        return Seen(usage=Usage(reply.usage.prompt_tokens, 0), vectors=found)

    with openai.OpenAI(**client_options(base_url)) as client:
        yield call
