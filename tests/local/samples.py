"""Traces as real apps make them, for looking at the page and for its tests. Times are relative to now."""

from __future__ import annotations

import base64
import struct
import time
import zlib
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any
from uuid import UUID, uuid5

import requests

_NAMESPACE = UUID(int=17)


def png(width: int, height: int, colour: bytes) -> str:
    """A picture of one colour (three bytes), in base64."""
    rows = (b"\x00" + colour * width) * height
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    packed = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + packed).decode()


WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
EXPLANATION = {
    "reader": "openinference",
    "scope": "openinference.instrumentation.openai 0.1.66",
    "span_name": "ChatCompletion",
    "span_id": "6a3d91cc0f2b7e54",
    "sources": {
        "$ai_model": ["llm.model_name"],
        "$ai_input": ["llm.input_messages.0.message.role", "llm.input_messages.0.message.content"],
        "$ai_input_tokens": ["llm.token_count.prompt"],
    },
    "unread": ["llm.provider.region"],
    "dropped": {
        "llm.system": "the event is the same without it: other attributes say it too, or its value is of no use"
    },
    "notes": [],
    "merged": [
        {"scope": "opentelemetry.instrumentation.openai_v2", "span_name": "chat gpt-4o", "span_id": "00f067aa0ba902b7"}
    ],
}


def event(
    name: str, at: float, trace_id: str, user: str = "user-8812", uuid: str | None = None, **properties: Any
) -> dict[str, Any]:
    """A raw event; ``at`` in seconds since 1970, properties without their `$ai_`."""
    known = {f"$ai_{key}": value for key, value in properties.items() if not key.startswith("_")}
    stamp = datetime.fromtimestamp(at, timezone.utc).isoformat().replace("+00:00", "Z")
    identity = uuid or str(uuid5(_NAMESPACE, f"{name} {trace_id} {properties.get('span_id')} {at}"))
    extra = properties.get("_extra", {})
    properties = {"$ai_trace_id": trace_id, **known, **extra}
    return {"event": name, "distinct_id": user, "uuid": identity, "timestamp": stamp, "properties": properties}


def weather_agent(now: float, trace_id: str = "5b3fcdfbfffe9bbed75f68277389af09") -> list[dict[str, Any]]:
    """An agent with tool calls, reasoning, a retrieval and an evaluation."""
    system = {"role": "system", "content": "You are a travel assistant. Use the tools, then answer in one sentence."}
    question = {"role": "user", "content": "Do I need an umbrella in Lisbon tomorrow?"}
    arguments = '{"city": "Lisbon", "day": "tomorrow"}'
    call = {"id": "call_7f3a", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}
    asked = {"role": "assistant", "content": None, "tool_calls": [call]}
    answered = {"role": "tool", "tool_call_id": "call_7f3a", "content": '{"rain": 0.1, "celsius": 24, "wind": "NW 12"}'}
    thought = {"type": "thinking", "thinking": "Ten percent is low. No umbrella, but mention the wind."}
    final = {"type": "text", "text": "No umbrella needed: Lisbon stays dry at 24 °C, with a light north-westerly wind."}
    common: dict[str, Any] = {"session_id": "chat-2291", "provider": "openai", "model": "gpt-4o-2024-08-06"}
    call_common: dict[str, Any] = {**common, "tools": [WEATHER_TOOL], "temperature": 0.2, "max_tokens": 400}
    why = {"_extra": {"$otel_posthog_explain": EXPLANATION}}
    return [
        event("$ai_span", now, trace_id, span_id="a1", parent_id=trace_id, span_name="travel agent", latency=3.42,
              span_type="agent", session_id="chat-2291", input_state=[question], output_state=[
                  {"role": "assistant", "content": final["text"]}]),
        event("$ai_embedding", now + 0.05, trace_id, span_id="b1", parent_id="a1", span_name="embed question",
              provider="openai", model="text-embedding-3-small", input=question["content"], input_tokens=11,
              latency=0.08),
        event("$ai_span", now + 0.15, trace_id, span_id="b2", parent_id="a1", span_name="search places", latency=0.21,
              span_type="retrieval", input_state={"query": "Lisbon weather", "top_k": 3},
              output_state={"documents": [{"id": "lis-1", "score": 0.93, "title": "Lisbon climate"}]}),
        event("$ai_generation", now + 0.4, trace_id, span_id="b3", parent_id="a1", span_name="chat gpt-4o",
              **call_common, input=[system, question], output_choices=[asked], input_tokens=1820, output_tokens=41,
              latency=1.1, cache_read_input_tokens=1024, time_to_first_token=0.32, stop_reason="tool_calls", **why),
        event("$ai_span", now + 1.55, trace_id, span_id="b4", parent_id="a1", span_name="get_weather", latency=0.34,
              span_type="tool", input_state={"city": "Lisbon", "day": "tomorrow"},
              output_state={"rain": 0.1, "celsius": 24, "wind": "NW 12"}),
        event("$ai_generation", now + 1.95, trace_id, span_id="b5", parent_id="a1", span_name="chat gpt-4o",
              **call_common, input=[system, question, asked, answered],
              output_choices=[{"role": "assistant", "content": [thought, final]}], input_tokens=1911, output_tokens=64,
              latency=1.4, cache_read_input_tokens=1792, reasoning_tokens=24, time_to_first_token=0.41,
              stop_reason="stop", **why),
        event("$ai_evaluation", now + 4, trace_id, span_id="e1", target_span_id="b5", evaluation_name="helpfulness",
              evaluation_result=0.92, evaluation_result_type="number", evaluation_type="imported",
              evaluation_reasoning="Answers the question and gives the reason."),
        event("$ai_trace", now, trace_id, span_id=trace_id, trace_name="Travel question", session_id="chat-2291"),
    ]  # fmt: skip


def claude_call(now: float, trace_id: str = "c3d1a0e2b4f56789c3d1a0e2b4f56789") -> list[dict[str, Any]]:
    """A single call with an image and a prompt cache."""
    image = {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": png(160, 90, b"\xf5\x4e\x00")},
    }
    asked = [{"type": "text", "text": "What colour is this?"}, image]
    return [
        event("$ai_generation", now, trace_id, "maria@example.com", span_id="c1", parent_id=trace_id,
              provider="anthropic", model="claude-sonnet-4-5", span_name="messages.create",
              input=[{"role": "user", "content": asked}],
              output_choices=[{"role": "assistant", "content": [{"type": "text", "text": "It is orange-red."}]}],
              input_tokens=262, output_tokens=12, cache_read_input_tokens=2048, latency=0.92, stop_reason="end_turn",
              time_to_first_token=0.5, session_id="chat-2302"),
    ]  # fmt: skip


def failed_call(now: float, trace_id: str = "f00d5b8e1c2d3e4f5061728394a5b6c7") -> list[dict[str, Any]]:
    """A call that the provider refused, and one that a local model answered."""
    answer = "- Term: 2 years\n- Fee: EUR 4,000 a month\n- Notice: 90 days"
    message = [{"role": "user", "content": "Summarise the attached contract in three bullet points."}]
    return [
        event("$ai_generation", now, trace_id, "joe", span_id="f1", parent_id=trace_id, provider="openai",
              model="gpt-4o", input=message, is_error=True,
              error="RateLimitError: Error code: 429 - You exceeded your current quota.",
              error_type="RateLimitError", http_status=429, latency=0.21, span_name="chat gpt-4o"),
        event("$ai_generation", now + 0.3, trace_id, "joe", span_id="f2", parent_id=trace_id, provider="ollama",
              model="my-finetune:8b", input=message, span_name="chat my-finetune", latency=2.7, input_tokens=412,
              output_tokens=96, output_choices=[{"role": "assistant", "content": answer}]),
    ]  # fmt: skip


def samples(now: float | None = None) -> list[dict[str, Any]]:
    now = time.time() - 20 if now is None else now
    return [*weather_agent(now - 9), *claude_call(now - 5), *failed_call(now)]


def history(now: float, traces: int) -> Iterator[dict[str, Any]]:
    """Many small traces before ``now``, of three models."""
    rows = (("gpt-4o", "openai"), ("claude-sonnet-4-5", "anthropic"), ("gemini-2.5-flash", "gcp.gemini"))
    for number in range(traces):
        model, provider = rows[number % 3 if number % 5 else 0]
        failed = number % 17 == 0
        yield event("$ai_generation", now - 41 * (traces - number), f"{number:032x}", f"user-{number % 7}",
                    span_id=f"{number:016x}", parent_id=f"{number:032x}", provider=provider, model=model,
                    span_name="chat", latency=0.4 + (number * 37 % 50) / 20 + (4 if number % 23 == 0 else 0),
                    time_to_first_token=0.2 + (number % 9) / 20, input_tokens=300 + number * 131 % 900,
                    output_tokens=0 if failed else 40 + number * 71 % 300, is_error=failed,
                    session_id=f"chat-{number // 4}", cache_read_input_tokens=128 * (number % 3),
                    input=[{"role": "user", "content": f"Question number {number}: what is the capital of France?"}],
                    output_choices=[] if failed else [{"role": "assistant", "content": "Paris."}])  # fmt: skip


def send(url: str, events: list[dict[str, Any]], key: str = "phc_sample") -> None:
    """Post events as an SDK would."""
    for start in range(0, len(events), 500):
        document = {"api_key": key, "batch": events[start : start + 500]}
        answer = requests.post(f"{url}/i/v0/ai/batch/", json=document, timeout=30)
        answer.raise_for_status()
