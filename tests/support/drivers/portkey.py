"""OpenInference on Portkey's client."""

from __future__ import annotations

from collections.abc import Iterable

from tests.support.drivers import chat_steps
from tests.support.llm.drive_openai import chat_arguments
from tests.support.llm.steps import Record, Seen, SpanIds, Step, run
from tests.support.recorder import Source

REQUIRES = ("portkey-ai", "openinference-instrumentation-portkey")
NAMES = ("plain", "stream", "tool_ask", "tool_result", "cached", "reasoning", "err429", "json", "stream_tool")
STEPS = [*chat_steps(NAMES, "chat.completions")]


def drive(base_url: str, names: Iterable[str] | None, finished: SpanIds | None) -> list[Record]:
    from portkey_ai import Portkey

    client = Portkey(base_url=f"{base_url}/v1", api_key="test", virtual_key="openai-test", max_retries=0)

    def call(step: Step) -> Seen:
        reply = client.chat.completions.create(**chat_arguments(step))
        for _ in reply if step.streaming else ():
            pass
        return Seen()

    return run(STEPS, call, names, finished)


SOURCE = Source(
    "openinference-instrumentation-portkey",
    "portkey-ai",
    drive,
    ("openinference.instrumentation.portkey:PortkeyInstrumentor",),
)
