"""Finished spans of three sizes, each with words of its own, as the GenAI conventions write them."""

from __future__ import annotations

import json
import random
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

SIZES = {"small": 1_000, "medium": 8_000, "large": 100_000}  # bytes of messages
START = 1_795_489_200_000_000_000
RESOURCE = Resource({"service.name": "bench", "service.version": "1.0", "deployment.environment.name": "test"})
SCOPE = InstrumentationScope("bench", "1.0")
TOOLS = [
    {"type": "function", "name": "get_weather", "description": "Get the weather.", "parameters": {"type": "object"}}
]
WORDS = [
    f"{a}{b}" for a in ("tele", "metri", "span", "trac", "log", "quer", "cach") for b in ("a", "ed", "ing", "s", "er")
]


def _text(source: random.Random, length: int) -> str:
    words: list[str] = []
    size = 0
    while size < length:
        word = source.choice(WORDS) + str(source.randrange(1000))
        words.append(word)
        size += len(word) + 1
    return " ".join(words)


def _attributes(source: random.Random, size: int) -> dict[str, Any]:
    turns = 4 if size < 50_000 else 12
    share = max(20, size // (turns + 1))
    messages = [
        {"role": "user" if i % 2 == 0 else "assistant", "parts": [{"type": "text", "content": _text(source, share)}]}
        for i in range(turns)
    ]
    call = {"type": "tool_call", "id": "call_1", "name": "get_weather", "arguments": {"city": "Lisbon"}}
    answer = [{"type": "text", "content": _text(source, share)}, call]
    output = [{"role": "assistant", "parts": answer, "finish_reason": "stop"}]
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.response.id": f"chatcmpl-{source.getrandbits(64):x}",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 1024,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": source.randrange(5000),
        "gen_ai.usage.output_tokens": source.randrange(500),
        "gen_ai.usage.cache_read.input_tokens": 0,
        "server.address": "api.openai.com",
        "server.port": 443,
        "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
        "gen_ai.tool.definitions": json.dumps(TOOLS),
        "gen_ai.input.messages": json.dumps(messages),
        "gen_ai.output.messages": json.dumps(output),
    }


def make_spans(size: str, count: int) -> list[ReadableSpan]:
    """``count`` spans with about ``SIZES[size]`` bytes of messages each; the same in every run."""
    source = random.Random(size)
    return [
        ReadableSpan(
            name="chat gpt-4o-mini",
            context=SpanContext(source.getrandbits(128), source.getrandbits(64), False, TraceFlags(1)),
            parent=None,
            resource=RESOURCE,
            attributes=_attributes(source, SIZES[size]),
            kind=SpanKind.CLIENT,
            instrumentation_scope=SCOPE,
            status=Status(StatusCode.UNSET),
            start_time=START + i,
            end_time=START + i + 1_500_000_000,
        )
        for i in range(count)
    ]
