"""Haystack's own tracing with content."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.support.drivers import chat_steps, history
from tests.support.llm.steps import WEATHER_TOOL, Record, Seen, SpanIds, Step, run
from tests.support.recorder import Source

REQUIRES = ("haystack-ai", "opentelemetry-exporter-otlp")
NAMES = ("plain", "stream", "tool_ask", "cached", "reasoning", "err429", "json", "stream_tool")
STEPS = [*chat_steps(NAMES, "chat.completions")]


def drive(base_url: str, names: Iterable[str] | None, finished: SpanIds | None) -> list[Record]:
    import haystack.tracing
    from haystack import Pipeline
    from haystack.components.generators.chat import OpenAIChatGenerator
    from haystack.dataclasses import ChatMessage
    from haystack.tools import Tool
    from haystack.tracing import OpenTelemetryTracer
    from haystack.utils import Secret
    from opentelemetry import trace

    haystack.tracing.tracer.is_content_tracing_enabled = True
    haystack.tracing.enable_tracing(OpenTelemetryTracer(trace.get_tracer("haystack")))
    makers: dict[str, Any] = {
        "system": ChatMessage.from_system,
        "user": ChatMessage.from_user,
        "assistant": ChatMessage.from_assistant,
    }

    def call(step: Step) -> Seen:
        options = {k: v for k, v in step.options.items() if k in ("temperature", "max_tokens")}
        tool = Tool(function=lambda **_: "24 C", **WEATHER_TOOL)
        generator = OpenAIChatGenerator(
            model=step.model,
            api_base_url=f"{base_url}/v1",
            api_key=Secret.from_token("sk-test"),
            max_retries=0,
            generation_kwargs=options,
            streaming_callback=(lambda _: None) if step.streaming else None,
            tools=[tool] if "tools" in step.options else None,
        )
        pipeline = Pipeline()
        pipeline.add_component("llm", generator)
        pipeline.run({"llm": {"messages": [makers[role](text) for role, text in history(step)]}})
        return Seen()

    return run(STEPS, call, names, finished)


SOURCE = Source("haystack-ai", "openai", drive, env={"HAYSTACK_CONTENT_TRACING_ENABLED": "true"})
