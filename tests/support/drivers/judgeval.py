"""Judgeval's wrapper of OpenAI's client, inside an observed function."""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.support.drivers import SPANS, chat_steps
from tests.support.llm.drive_openai import chat_arguments
from tests.support.llm.steps import Record, Seen, SpanIds, Step, run
from tests.support.recorder import Source

REQUIRES = ("judgeval", "openai")
NAMES = ("plain", "stream", "tool_ask", "tool_result", "cached", "reasoning", "err429")
STEPS = chat_steps(NAMES, "chat.completions")


def drive(base_url: str, names: Iterable[str] | None, finished: SpanIds | None) -> list[Record]:
    import openai
    from judgeval import Tracer

    # Nothing listens at the discard port.
    options = {"api_key": "test", "organization_id": "test", "api_url": "http://127.0.0.1:9"}
    Tracer.init(**options, span_processors=[SimpleSpanProcessor(SPANS)])
    client = Tracer.wrap(openai.OpenAI(base_url=f"{base_url}/v1", api_key="sk-test", max_retries=0))

    def call(step: Step) -> Seen:
        @Tracer.observe(span_type="agent")  # type: ignore[untyped-decorator, unused-ignore]  # not installed here
        def answer(question: str) -> str:
            reply = client.chat.completions.create(**chat_arguments(step))
            for _ in reply if step.streaming else ():
                pass
            return "done"

        answer(step.scenario.user)
        return Seen()

    return run(STEPS, call, names, finished)


SOURCE = Source("judgeval", "openai", drive)
