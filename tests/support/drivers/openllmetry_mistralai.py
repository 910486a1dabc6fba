"""OpenLLMetry on the client of mistralai."""

from __future__ import annotations

from collections.abc import Iterable

from tests.support.drivers import chat_steps
from tests.support.llm.drive_openai import chat_arguments
from tests.support.llm.steps import Record, Seen, SpanIds, Step, run
from tests.support.recorder import Source

REQUIRES = ("opentelemetry-instrumentation-mistralai", "mistralai")
NAMES = ("plain", "stream", "tool_ask", "tool_result", "cached", "err429", "json")
STEPS = [*chat_steps(NAMES, "chat.completions", provider="mistralai")]


def drive(base_url: str, names: Iterable[str] | None, finished: SpanIds | None) -> list[Record]:
    try:
        from mistralai.client import Mistral
    except ImportError:
        from mistralai import Mistral

    client = Mistral(api_key="test", server_url=base_url)

    def call(step: Step) -> Seen:
        arguments = chat_arguments(step)
        for key in ("stream_options", "response_format", "stream"):
            arguments.pop(key, None)
        if step.streaming:
            for _ in client.chat.stream(**arguments):
                pass
        else:
            client.chat.complete(**arguments)
        return Seen()

    return run(STEPS, call, names, finished)


SOURCE = Source(
    "opentelemetry-instrumentation-mistralai",
    "mistralai",
    drive,
    ("opentelemetry.instrumentation.mistralai:MistralAiInstrumentor",),
)
