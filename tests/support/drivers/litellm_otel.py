"""LiteLLM's OpenTelemetry callback."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from tests.support.drivers import SPANS, chat_steps, embedding_step
from tests.support.llm.drive_openai import chat_arguments
from tests.support.llm.steps import Record, Seen, SpanIds, Step, run
from tests.support.recorder import Source

REQUIRES = ("litellm", "opentelemetry-exporter-otlp")
NAMES = ("plain", "stream", "tool_ask", "tool_result", "cached", "reasoning", "err429", "json", "stream_tool")
STEPS = [*chat_steps(NAMES, "chat.completions"), embedding_step()]


def drive(base_url: str, names: Iterable[str] | None, finished: SpanIds | None) -> list[Record]:
    import litellm
    from litellm.integrations.opentelemetry import OpenTelemetry, OpenTelemetryConfig

    litellm.callbacks = [OpenTelemetry(config=OpenTelemetryConfig(exporter=SPANS))]

    def call(step: Step) -> Seen:
        keys: dict[str, Any] = {"api_base": f"{base_url}/v1", "api_key": "sk-test", "max_retries": 0}
        keys["metadata"] = {"trace_user_id": "user-77", "session_id": "session-8"}
        try:
            if "embed" in step.api:
                litellm.embedding(model=f"openai/{step.model}", input=list(step.scenario.inputs), **keys)
                return Seen()
            arguments = chat_arguments(step)
            arguments["model"] = f"openai/{step.model}"
            reply = litellm.completion(**arguments, **keys, user="user-77")
            for _ in reply if step.streaming else ():
                pass
        finally:
            time.sleep(0.3)  # its callbacks run on a thread of their own
        return Seen()

    return run(STEPS, call, names, finished)


SOURCE = Source("litellm", "openai", drive, env={"LITELLM_LOCAL_MODEL_COST_MAP": "True"})
