"""Every example runs as it stands, against the local PostHog and a small LLM server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_posthog.local import LocalPostHog
from tests.support.processes import ONLY_OPENAI, run_python

pytest.importorskip("opentelemetry.instrumentation.openai_v2")
pytest.importorskip("openinference.instrumentation.anthropic")

from examples.fake_llm import FakeLLM

EXAMPLES = Path(__file__).parents[1] / "examples"
ASKED = "What is the capital of France?"
ANSWERED = "The capital of France is Paris."


@pytest.fixture
def environment(posthog: LocalPostHog) -> Iterator[dict[str, str]]:
    with FakeLLM() as llm:
        yield {
            "POSTHOG_API_KEY": "phc_examples",
            "POSTHOG_HOST": posthog.url,
            "OPENAI_BASE_URL": llm.url,
            "OPENAI_API_KEY": "any",
            "ANTHROPIC_BASE_URL": llm.url.removesuffix("/v1"),
            "ANTHROPIC_API_KEY": "any",
        }


def run(example: str, environment: dict[str, str], launcher: str | None = None) -> subprocess.CompletedProcess[str]:
    code = f"import runpy; runpy.run_module('examples.{example}', run_name='__main__')"
    done = run_python(code, environment, launcher=launcher)
    assert done.returncode == 0, done.stderr
    return done


def test_openai_official(posthog: LocalPostHog, environment: dict[str, str]) -> None:
    run("openai_official", environment)
    (event,) = posthog.events()
    assert event["event"] == "$ai_generation"
    assert event["properties"]["$ai_input"] == [{"role": "user", "content": ASKED}]
    assert event["properties"]["$ai_output_choices"][0]["content"] == ANSWERED


def test_zero_code(posthog: LocalPostHog, environment: dict[str, str]) -> None:
    settings = {"OTEL_TRACES_EXPORTER": "posthog", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    content = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}
    run("zero_code", {**environment, **settings, **content, **ONLY_OPENAI}, launcher="opentelemetry-instrument")
    # Two instrumentations of OpenAI are installed here, and both are set up: it is still one call.
    calls = [event for event in posthog.events() if event["event"] == "$ai_generation"]
    assert len(calls) == 1
    assert calls[0]["properties"]["$ai_output_choices"][0]["content"] == ANSWERED


def test_dual_export(posthog: LocalPostHog, environment: dict[str, str]) -> None:
    # Nobody listens at the other endpoint: what it loses is not ours to lose.
    run("dual_export", {**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    assert [event["event"] for event in posthog.events()] == ["$ai_generation"]


def test_fastapi_users(posthog: LocalPostHog, environment: dict[str, str]) -> None:
    pytest.importorskip("fastapi")
    code = """
from fastapi.testclient import TestClient
from examples.fastapi_users import app, posthog
client = TestClient(app)
for user in ("ada", "grace", "ada"):
    assert client.get("/capital", params={"of": "France"}, headers={"x-user": user, "x-session": "s-" + user}).json()
posthog.shutdown()
"""
    done = run_python(code, environment)
    assert done.returncode == 0, done.stderr
    found = [(event["distinct_id"], event["properties"]["$ai_session_id"]) for event in posthog.events()]
    assert sorted(found) == [("ada", "s-ada"), ("ada", "s-ada"), ("grace", "s-grace")]
    parents = {
        event["properties"]["$ai_parent_id"] == event["properties"]["$ai_trace_id"] for event in posthog.events()
    }
    assert parents == {True}


def test_anthropic_openinference(posthog: LocalPostHog, environment: dict[str, str]) -> None:
    run("anthropic_openinference", environment)
    calls = [event["properties"] for event in posthog.events() if event["event"] == "$ai_generation"]
    assert len(calls) == 1
    assert calls[0]["$ai_output_choices"][0]["content"] == ANSWERED
    assert calls[0]["$ai_input_tokens"] == 31
    assert calls[0]["$ai_cache_read_input_tokens"] == 2048
    assert calls[0]["$ai_cache_reporting_exclusive"] is True


def test_embeddings(posthog: LocalPostHog, environment: dict[str, str]) -> None:
    run("embeddings", environment)
    (event,) = posthog.events()
    assert event["event"] == "$ai_embedding"
    assert event["properties"]["$ai_input"] == ["alpha particle", "beta decay"]
    assert event["properties"]["$ai_input_tokens"] == 6


def test_demo_is_right() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=EXAMPLES.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 events delivered, 0 dropped" in done.stdout


def test_every_example_is_run_here() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")} - {"__init__", "fake_llm"}
    assert [name for name in names if f"def test_{name}" not in Path(__file__).read_text()] == []
