"""Azure's inference client, which traces itself through azure-core."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.support.drivers import chat_steps
from tests.support.llm.drive_openai import chat_arguments
from tests.support.llm.steps import Record, Seen, SpanIds, Step, run
from tests.support.recorder import Source

REQUIRES = ("azure-ai-inference[opentelemetry]", "azure-core-tracing-opentelemetry")
NAMES = ("plain", "stream", "tool_ask", "tool_result", "cached", "err429", "stream_tool")
STEPS = [*chat_steps(NAMES, "chat.completions", provider="azure")]


def drive(base_url: str, names: Iterable[str] | None, finished: SpanIds | None) -> list[Record]:
    from azure.ai.inference import ChatCompletionsClient
    from azure.ai.inference.tracing import AIInferenceInstrumentor
    from azure.core.credentials import AzureKeyCredential
    from azure.core.settings import settings

    settings.tracing_implementation = "opentelemetry"
    AIInferenceInstrumentor().instrument(enable_content_recording=True)
    client: Any = ChatCompletionsClient(
        f"{base_url}/v1", AzureKeyCredential("test"), retry_total=0, permit_insecure=True
    )

    def call(step: Step) -> Seen:
        arguments = chat_arguments(step)
        tools = arguments.pop("tools", None)
        arguments.pop("stream_options", None)
        messages = arguments.pop("messages")
        body = {"messages": messages, **arguments, **({"tools": tools} if tools else {})}
        if step.streaming:
            body["stream_options"] = {"include_usage": True}
        reply = client.complete(body) if not step.streaming else client.complete(body, stream=True)
        for _ in reply if step.streaming else ():
            pass
        return Seen()

    return run(STEPS, call, names, finished)


SOURCE = Source("azure-ai-inference", "azure-ai-inference", drive)
