"""The main job on real input: a real OpenAI client, traced by the official instrumentation, exported to PostHog.

Everything runs on loopback: the local PostHog, which enforces the real one's rules, and a small LLM server. Exits 0
only if every call arrived, once and right.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

from openai import OpenAI, RateLimitError
from opentelemetry import trace
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from rich.console import Console

import otel_posthog
from examples.fake_llm import RATE_LIMITED, FakeLLM
from otel_posthog.local import LocalPostHog
from otel_posthog.local.views import event_table, trace_tree

# `make local` shows this file in the browser.
DATABASE = ".local.db"

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def chat(client: OpenAI) -> None:
    """One question, one answer."""
    messages: Any = [
        {"role": "system", "content": "Answer in one short sentence."},
        {"role": "user", "content": "What is the capital of France?"},
    ]
    client.chat.completions.create(model="gpt-4o-mini", messages=messages, temperature=0.2, max_tokens=64)


def stream(client: OpenAI) -> None:
    """The same, as it is written."""
    messages: Any = [{"role": "user", "content": "Tell me the capital of France."}]
    options: Any = {"include_usage": True}
    for _ in client.chat.completions.create(
        model="gpt-4o-mini", messages=messages, stream=True, stream_options=options
    ):
        pass


def tool_call(client: OpenAI) -> None:
    """The model asks for a tool, the app runs it, the model answers."""
    messages: Any = [{"role": "user", "content": "What is the weather in Lisbon?"}]
    asked = client.chat.completions.create(model="gpt-4o", messages=messages, tools=[WEATHER])
    messages.append(asked.choices[0].message)
    messages.append({"role": "tool", "tool_call_id": "call_1", "content": "24 C and sunny"})
    client.chat.completions.create(model="gpt-4o", messages=messages, tools=[WEATHER])


def embedding(client: OpenAI) -> None:
    """Two texts as vectors."""
    client.embeddings.create(
        model="text-embedding-3-small", input=["alpha particle", "beta decay"], encoding_format="float"
    )


def error(client: OpenAI) -> None:
    """A call that the provider refuses."""
    with suppress(RateLimitError):
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": RATE_LIMITED}])


def wrong(events: list[dict[str, Any]]) -> list[str]:
    """What did not arrive as it should have, in words."""
    calls = [event for event in events if event["event"] in ("$ai_generation", "$ai_embedding")]
    found = [] if len(calls) == 6 else [f"{len(calls)} calls arrived, and 6 were made"]
    for event in calls:
        p = event["properties"]
        failed = p.get("$ai_is_error", False)
        embedded = event["event"] == "$ai_embedding"
        rules = {
            "the user": event["distinct_id"] == "user-8812",
            "the provider": p.get("$ai_provider") == "openai",
            "the model": str(p.get("$ai_model", "")).startswith(("gpt-4o", "text-embedding-3-small")),
            "the prompt": embedded or bool(p.get("$ai_input")),
            "the answer": embedded or failed or bool(p.get("$ai_output_choices")),
            "the tokens": failed or p.get("$ai_input_tokens") == (6 if embedded else 31),
            "the status of the error": not failed or p.get("$ai_http_status") == 429,
        }
        found += [f"{event['event']} {p['$ai_span_id']} lacks {name}" for name, right in rules.items() if not right]
    return found


def main() -> int:
    """Make the calls and show what arrived."""
    # In its default mode the instrumentation writes prompts and answers in log records.
    os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "true"
    console = Console(width=None if sys.stdout.isatty() else 132)
    with LocalPostHog(database=DATABASE, explain=True) as posthog, FakeLLM() as llm:
        handle = otel_posthog.configure(api_key="phc_demo", host=posthog.url)
        OpenAIInstrumentor().instrument(tracer_provider=handle.tracer_provider, logger_provider=handle.logger_provider)
        client = OpenAI(base_url=llm.url, api_key="not-needed", max_retries=0)
        # The app's own span, as a web framework would make it: it is not sent, its user is.
        with trace.get_tracer("shop").start_as_current_span("POST /chat", attributes={"user.id": "user-8812"}) as span:
            for step in (chat, stream, tool_call, embedding, error):
                step(client)
            trace_id = format(span.get_span_context().trace_id, "032x")
        handle.shutdown()
        events = posthog.store.trace(trace_id)
    console.print(event_table(events))
    console.print(trace_tree(trace_id, events))
    console.print(f"{handle.stats().delivered} events delivered, {sum(handle.stats().dropped.values())} dropped")
    console.print("To look at it in the browser: make local, then http://127.0.0.1:8010")
    for line in wrong(events):
        console.print(f"wrong: {line}", style="red")
    return 1 if wrong(events) else 0


if __name__ == "__main__":
    sys.exit(main())
