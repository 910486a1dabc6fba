"""Mirascope's own tracing of its calls."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from tests.support.drivers import chat_steps, history
from tests.support.llm.steps import Record, Seen, SpanIds, Step, run
from tests.support.recorder import Source

REQUIRES = ("mirascope[openai,ops]",)
NAMES = ("plain", "stream", "tool_ask", "cached", "reasoning", "err429", "json", "unicode")
STEPS = [*chat_steps(NAMES, "chat.completions")]


def drive(base_url: str, names: Iterable[str] | None, finished: SpanIds | None) -> list[Record]:
    os.environ.update(OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=f"{base_url}/v1")
    from mirascope import llm, ops
    from opentelemetry import trace

    provider: Any = trace.get_tracer_provider()
    ops.configure(tracer_provider=provider)
    ops.instrument_llm()

    @llm.tool
    def get_weather(city: str, unit: str = "celsius") -> str:
        """Get the current weather in a city."""
        return f"24 C in {city}"

    def call(step: Step) -> Seen:
        options = {k: v for k, v in step.options.items() if k in ("temperature", "max_tokens")}
        model = llm.Model(f"openai/{step.model}:completions", **options)
        makers: dict[str, Any] = {"system": llm.messages.system, "user": llm.messages.user}
        messages = [
            makers[role](text) if role in makers else llm.messages.assistant(text, model_id=None, provider_id=None)
            for role, text in history(step)
        ]
        tools = [get_weather] if "tools" in step.options else []
        if step.streaming:
            for _ in model.stream(messages, tools=tools).chunk_stream():
                pass
        else:
            model.call(messages, tools=tools)
        return Seen()

    return run(STEPS, call, names, finished)


SOURCE = Source("mirascope", "openai", drive)
