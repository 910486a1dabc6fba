"""LangWatch's tracking of OpenAI's client inside a trace of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.support.drivers import chat_steps
from tests.support.llm.drive_openai import chat_arguments
from tests.support.llm.steps import Record, Seen, SpanIds, Step, run
from tests.support.recorder import Source

REQUIRES = ("langwatch", "openai")
NAMES = ("plain", "stream", "tool_ask", "tool_result", "cached", "err429", "image")
STEPS = chat_steps(NAMES, "chat.completions")


def drive(base_url: str, names: Iterable[str] | None, finished: SpanIds | None) -> list[Record]:
    import langwatch
    import openai
    from opentelemetry import trace

    provider: Any = trace.get_tracer_provider()
    langwatch.setup(api_key="test", endpoint_url="http://127.0.0.1:9", tracer_provider=provider)
    client = openai.OpenAI(base_url=f"{base_url}/v1", api_key="sk-test", max_retries=0)

    def call(step: Step) -> Seen:
        with langwatch.trace(name="answer", metadata={"user_id": "user-77", "thread_id": "session-8"}) as current:
            current.autotrack_openai_calls(client)
            reply = client.chat.completions.create(**chat_arguments(step))
            for _ in reply if step.streaming else ():
                pass
        return Seen()

    return run(STEPS, call, names, finished)


SOURCE = Source("langwatch", "openai", drive)
