"""Real programs in TypeScript's world, through the bridge: what they say of calls, tools and users arrives right."""

from __future__ import annotations

import os
import subprocess
from typing import Any

from otel_posthog.local import LocalPostHog
from tests.bridge.conftest import NODE_PROGRAMS
from tests.support.bridges import BridgeInThread
from tests.support.llm import FakeLLM

PROMPT = "What is the weather in Porto right now?"


def run_program(node: str, program: str, bridge: BridgeInThread) -> None:
    with FakeLLM() as llm:
        environment = {**os.environ, "LLM_URL": llm.url, "PROMPT": PROMPT, "OTEL_EXPORTER_OTLP_ENDPOINT": bridge.url}
        done = subprocess.run(
            [node, str(NODE_PROGRAMS / program)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
    assert done.returncode == 0, done.stderr


def of_kind(posthog: LocalPostHog, event: str, **properties: Any) -> list[dict[str, Any]]:
    """The properties of such events."""
    return [
        found["properties"]
        for found in posthog.events()
        if found["event"] == event and all(found["properties"].get(k) == v for k, v in properties.items())
    ]


def test_the_vercel_ai_sdk(node: str, bridge: BridgeInThread, posthog: LocalPostHog) -> None:
    run_program(node, "vercel_ai.mjs", bridge)
    first, second = of_kind(posthog, "$ai_generation")
    assert first["$ai_model"] == "gpt-4o-mini-2024-07-18"
    assert first["$ai_input"] == [{"role": "user", "content": PROMPT}]
    call = first["$ai_output_choices"][0]["content"][0]["function"]
    assert call == {"name": "get_weather", "arguments": {"city": "Porto"}}
    assert second["$ai_output_choices"][0]["content"] == f"You said: {PROMPT}"
    (tool,) = of_kind(posthog, "$ai_span", **{"$ai_span_type": "tool"})
    assert (tool["$ai_span_name"], tool["$ai_output_state"]) == ("get_weather", {"city": "Porto", "celsius": 21})
    (agent,) = of_kind(posthog, "$ai_trace")
    assert "$ai_input_tokens" not in agent
    assert {event["distinct_id"] for event in posthog.events()} == {"ada"}


def test_langchain_js(node: str, bridge: BridgeInThread, posthog: LocalPostHog) -> None:
    run_program(node, "langchain.mjs", bridge)
    (generation,) = of_kind(posthog, "$ai_generation")
    assert generation["$ai_model"] == "gpt-4o-mini"
    assert generation["$ai_input"] == [{"role": "user", "content": PROMPT}]
    assert generation["$ai_output_choices"][0]["content"][0]["function"]["name"] == "get_weather"
    assert generation["$ai_input_tokens"] > 0
    assert {event["distinct_id"] for event in posthog.events()} == {"ada"}


def test_mastra(node: str, bridge: BridgeInThread, posthog: LocalPostHog) -> None:
    run_program(node, "mastra.mjs", bridge)
    first, second = of_kind(posthog, "$ai_generation")
    assert first["$ai_model"] == "gpt-4o-mini-2024-07-18"
    assert first["$ai_input"][-1] == {"role": "user", "content": PROMPT}
    assert first["$ai_input_tokens"] > 0
    assert second["$ai_output_choices"] == [{"role": "assistant", "content": f"You said: {PROMPT}"}]
    (tool,) = of_kind(posthog, "$ai_span", **{"$ai_span_type": "tool"})
    assert (tool["$ai_span_name"], tool["$ai_output_state"]) == ("get_weather", {"city": "Porto", "celsius": 21})
    (agent,) = of_kind(posthog, "$ai_trace")
    assert (agent["$ai_span_name"], agent["$ai_output_state"]) == ("forecaster", f"You said: {PROMPT}")
    assert {event["distinct_id"] for event in posthog.events()} == {"ada"}
