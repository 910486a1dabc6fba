"""LlamaIndex's own OpenTelemetry package: messages in span events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.support.drivers import chat_steps, embedding_step, history
from tests.support.llm.steps import WEATHER_TOOL, Record, Seen, SpanIds, Step, run
from tests.support.recorder import Source

REQUIRES = (
    "llama-index-observability-otel",
    "llama-index-llms-openai",
    "llama-index-embeddings-openai",
)
STEPS = [
    *chat_steps(["plain", "stream", "tool_ask", "cached", "reasoning", "err429", "json"], "chat.completions"),
    embedding_step(),
]


def drive(base_url: str, names: Iterable[str] | None, finished: SpanIds | None) -> list[Record]:
    from llama_index.core.llms import ChatMessage
    from llama_index.core.tools import FunctionTool
    from llama_index.embeddings.openai import OpenAIEmbedding
    from llama_index.llms.openai import OpenAI
    from llama_index.observability.otel import LlamaIndexOpenTelemetry
    from opentelemetry import trace

    provider: Any = trace.get_tracer_provider()
    LlamaIndexOpenTelemetry(tracer_provider=provider, service_name_or_resource="recorded").start_registering()

    def get_weather(city: str, unit: str = "celsius") -> str:
        return f"24 C in {city}"

    def call(step: Step) -> Seen:
        options = {k: v for k, v in step.options.items() if k in ("temperature", "max_tokens")}
        if "embed" in step.api:
            model = OpenAIEmbedding(api_base=f"{base_url}/v1", api_key="sk-test", model_name=step.model, max_retries=0)
            model.get_text_embedding_batch(list(step.scenario.inputs))
            return Seen()
        llm = OpenAI(model=step.model, api_base=f"{base_url}/v1", api_key="sk-test", max_retries=0, **options)
        messages = [ChatMessage(role=role, content=text) for role, text in history(step)]
        if step.streaming:
            for _ in llm.stream_chat(messages):
                pass
        elif "tools" in step.options:
            tool = FunctionTool.from_defaults(get_weather, description=str(WEATHER_TOOL["description"]))
            llm.chat_with_tools([tool], chat_history=messages)
        else:
            llm.chat(messages)
        return Seen()

    return run(STEPS, call, names, finished)


SOURCE = Source("llama-index-observability-otel", "llama-index-llms-openai", drive)
