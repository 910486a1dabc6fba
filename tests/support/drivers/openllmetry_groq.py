"""OpenLLMetry on the client of groq."""

from __future__ import annotations

from collections.abc import Iterable

from tests.support.drivers import chat_steps
from tests.support.llm.drive_openai import chat_arguments
from tests.support.llm.steps import Record, Seen, SpanIds, Step, run
from tests.support.recorder import Source

REQUIRES = ("opentelemetry-instrumentation-groq", "groq")
NAMES = ("plain", "stream", "tool_ask", "tool_result", "cached", "err429", "json", "stream_tool")
STEPS = [*chat_steps(NAMES, "chat.completions", provider="groq")]


def drive(base_url: str, names: Iterable[str] | None, finished: SpanIds | None) -> list[Record]:
    import groq

    client = groq.Groq(base_url=base_url, api_key="gsk-test", max_retries=0)

    def call(step: Step) -> Seen:
        arguments = chat_arguments(step)
        arguments.pop("stream_options", None)
        arguments.pop("response_format", None)
        reply = client.chat.completions.create(**arguments)
        for _ in reply if step.streaming else ():
            pass
        return Seen()

    return run(STEPS, call, names, finished)


SOURCE = Source(
    "opentelemetry-instrumentation-groq",
    "groq",
    drive,
    ("opentelemetry.instrumentation.groq:GroqInstrumentor",),
)
