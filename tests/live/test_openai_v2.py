"""The official OpenAI instrumentation, live, in each of its content modes."""

from __future__ import annotations

from typing import Any

import pytest

from otel_posthog.local import LocalPostHog
from tests.support.processes import run_python

pytest.importorskip("opentelemetry.instrumentation.openai_v2")

from examples.fake_llm import FakeLLM

LATEST = {"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"}
CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
MODES = {
    "log events": {CONTENT: "true"},
    "span attributes": {**LATEST, CONTENT: "SPAN_ONLY"},
    "details event": {**LATEST, CONTENT: "EVENT_ONLY"},
    "both": {**LATEST, CONTENT: "SPAN_AND_EVENT"},
}

PROGRAM = """
import sys
import otel_posthog
from openai import OpenAI, RateLimitError
from opentelemetry import trace
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from examples import demo

posthog = otel_posthog.configure()
OpenAIInstrumentor().instrument()
client = OpenAI(max_retries=0)
with trace.get_tracer("app").start_as_current_span("POST /chat", attributes={"user.id": "user-8812"}):
    for step in (demo.chat, demo.stream, demo.tool_call, demo.embedding, demo.error):
        step(client)
posthog.shutdown()
"""


def run(posthog: LocalPostHog, mode: dict[str, str]) -> list[dict[str, Any]]:
    with FakeLLM() as llm:
        environment = {
            "POSTHOG_API_KEY": "phc_live",
            "POSTHOG_HOST": posthog.url,
            "OPENAI_BASE_URL": llm.url,
            "OPENAI_API_KEY": "any",
            **mode,
        }
        done = run_python(PROGRAM, environment)
    assert done.returncode == 0, done.stderr
    return sorted((dict(event) for event in posthog.events()), key=lambda event: str(event["timestamp"]))


@pytest.mark.parametrize("mode", MODES)
def test_all_calls_arrive_right(posthog: LocalPostHog, mode: str) -> None:
    events = run(posthog, MODES[mode])
    assert [event["event"] for event in events] == [*["$ai_generation"] * 4, "$ai_embedding", "$ai_generation"]
    assert {event["distinct_id"] for event in events} == {"user-8812"}
    chat, stream, asks, answers, embedding, refused = (event["properties"] for event in events)
    assert chat["$ai_input"] == [
        {"role": "system", "content": "Answer in one short sentence."},
        {"role": "user", "content": "What is the capital of France?"},
    ]
    assert chat["$ai_output_choices"][0]["content"] == "The capital of France is Paris."
    assert (chat["$ai_input_tokens"], chat["$ai_output_tokens"]) == (31, 8)
    assert (chat["$ai_temperature"], chat["$ai_max_tokens"], chat["$ai_stop_reason"]) == (0.2, 64, "stop")
    assert stream["$ai_output_choices"][0]["content"] == "The capital of France is Paris."
    assert stream["$ai_output_tokens"] == 8
    (call,) = asks["$ai_output_choices"][0]["content"]
    assert call["function"] == {"name": "get_weather", "arguments": {"city": "Lisbon"}}
    assert asks["$ai_tools_called"] == ["get_weather"]
    assert answers["$ai_input"][-1]["role"] == "tool"
    assert answers["$ai_input"][-1]["content"] == "24 C and sunny"
    assert embedding["$ai_input_tokens"] == 6
    assert refused["$ai_is_error"] is True
    assert refused["$ai_http_status"] == 429


def test_without_content_no_word_arrives(posthog: LocalPostHog) -> None:
    events = run(posthog, {CONTENT: "false"})
    assert len(events) == 6
    assert "Lisbon" not in str(events)
    assert "capital" not in str(events)
