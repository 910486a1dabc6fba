"""Hints: one line, once, for a setup that works but sends less, or more, than its owner expects."""

from __future__ import annotations

import logging
import sys
from types import ModuleType
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import otel_posthog
from otel_posthog import PostHogSpanExporter, PostHogSpanProcessor
from otel_posthog.local import LocalPostHog
from tests.support.processes import run_python
from tests.support.spans import CHAT

EMPTY_CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5-mini"}


class App:
    """A provider with our processor, and what that has logged."""

    def __init__(self, posthog: LocalPostHog, caplog: pytest.LogCaptureFixture, **options: Any) -> None:
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.processor = PostHogSpanProcessor("phc_test", posthog.url, **options)
        self.provider.add_span_processor(self.processor)
        self._caplog = caplog

    def end(self, count: int, scope: str = "app", **attributes: Any) -> None:
        for _ in range(count):
            self.provider.get_tracer(scope).start_span("span", attributes=attributes).end()

    def hints(self) -> list[str]:
        self.provider.force_flush()
        return [record.getMessage() for record in self._caplog.records if "unencrypted" not in record.getMessage()]


ONLY_OTHERS = (
    "100 spans have ended, and none is an LLM call: PostHog gets nothing from this process. Is an instrumentation of "
    "your LLM client installed and active? `otel-posthog doctor` tells."
)
UNUSED = (
    "No LLM call was traced in the first 5 minutes. If there were any, is an instrumentation of your LLM client "
    "installed and active? `otel-posthog doctor` tells."
)
WITHOUT_CONTENT = (
    "LLM calls of my.app arrive without prompts and answers: it does not record them. Most instrumentations do with "
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY, older ones with =true; `otel-posthog doctor` tells."
)
TWICE = (
    "The same spans are sent to PostHog twice. Keep one of configure(), PostHogSpanProcessor, PostHogSpanExporter and "
    "OTEL_TRACES_EXPORTER=posthog."
)
LATE = (
    "A library has set up its own tracer provider after PostHog was configured, and its spans do not reach PostHog. "
    "Call otel_posthog.configure() after it."
)


def test_many_spans_without_an_ai_span_are_a_hint_once(posthog: LocalPostHog, caplog: pytest.LogCaptureFixture) -> None:
    app = App(posthog, caplog)
    app.end(250)
    assert app.hints() == [ONLY_OTHERS]


def test_spans_around_ai_spans_are_no_hint(posthog: LocalPostHog, caplog: pytest.LogCaptureFixture) -> None:
    app = App(posthog, caplog)
    app.end(1, **CHAT)
    app.end(250)
    assert app.hints() == []


def test_no_ai_span_after_some_minutes_is_a_hint_once(posthog: LocalPostHog, caplog: pytest.LogCaptureFixture) -> None:
    app = App(posthog, caplog)
    app.processor.exporter.hint_if_unused(300)
    app.processor.exporter.hint_if_unused(300)
    assert app.hints() == [UNUSED]


def test_an_app_in_use_or_shut_down_is_not_called_unused(
    posthog: LocalPostHog, caplog: pytest.LogCaptureFixture
) -> None:
    used, ended = App(posthog, caplog), App(posthog, caplog)
    used.end(1, **CHAT)
    used.provider.force_flush()
    ended.processor.shutdown()
    used.processor.exporter.hint_if_unused(300)
    ended.processor.exporter.hint_if_unused(300)
    assert used.hints() == []


def test_configure_asks_after_five_minutes(posthog: LocalPostHog, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    monkeypatch.setattr("otel_posthog._configure.call_later", lambda seconds, method: asked.append(seconds))
    provider = TracerProvider(shutdown_on_exit=False)
    otel_posthog.configure("phc_test", posthog.url, tracer_provider=provider)
    otel_posthog.configure("phc_quiet", posthog.url, tracer_provider=provider, hints=False)
    assert asked == [300.0]


def test_a_process_that_forks_does_not_call_itself_unused(posthog: LocalPostHog) -> None:
    code = """
import os, time
import otel_posthog, otel_posthog._configure as it
it._UNUSED_AFTER = 0.5
otel_posthog.configure()
pid = os.fork()
if pid == 0:
    os._exit(0)
os.waitpid(pid, 0)
time.sleep(1)
"""
    settings = {"POSTHOG_API_KEY": "phc_test", "POSTHOG_HOST": posthog.url}
    done = run_python(code, {**settings, "PYTHONWARNINGS": "ignore::DeprecationWarning"})  # of the fork, since 3.12
    assert (done.returncode, done.stderr) == (0, "")


def test_calls_without_content_are_a_hint_once(posthog: LocalPostHog, caplog: pytest.LogCaptureFixture) -> None:
    app = App(posthog, caplog)
    app.end(12, "my.app", **EMPTY_CHAT)
    assert app.hints() == [WITHOUT_CONTENT]


def test_content_that_is_switched_off_here_is_no_hint(posthog: LocalPostHog, caplog: pytest.LogCaptureFixture) -> None:
    app = App(posthog, caplog, capture_content=False)
    app.end(12, "my.app", **EMPTY_CHAT)
    assert app.hints() == []


def test_an_exporter_and_a_processor_on_one_provider_are_a_hint_once(
    posthog: LocalPostHog, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(posthog, caplog)
    app.provider.add_span_processor(SimpleSpanProcessor(PostHogSpanExporter("phc_test", posthog.url)))
    app.end(3, **CHAT)
    assert app.hints() == [TWICE]


def test_two_projects_on_one_provider_are_no_hint(posthog: LocalPostHog, caplog: pytest.LogCaptureFixture) -> None:
    app = App(posthog, caplog)
    app.provider.add_span_processor(PostHogSpanProcessor("phc_other", posthog.url))
    app.end(3, **CHAT)
    assert app.hints() == []


def test_posthogs_own_wrappers_beside_us_are_a_hint_once(
    posthog: LocalPostHog, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "posthog.ai.openai", ModuleType("posthog.ai.openai"))
    app = App(posthog, caplog)
    app.end(3, **CHAT)
    assert app.hints() == [
        "posthog.ai.openai is in use as well and sends its calls to PostHog by itself: a call that is also traced is "
        "counted twice. Keep one of the two; docs/recipes/migrating-from-posthog-ai.md tells how."
    ]


def test_hints_can_be_switched_off(
    posthog: LocalPostHog, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "posthog.ai.openai", ModuleType("posthog.ai.openai"))
    app = App(posthog, caplog, hints=False)
    app.end(250)
    app.processor.exporter.hint_if_unused(300)
    app.end(12, **EMPTY_CHAT)
    assert app.hints() == []


def test_a_provider_that_comes_after_configure_is_an_error(posthog: LocalPostHog) -> None:
    code = """
import otel_posthog
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
otel_posthog.configure()
trace.set_tracer_provider(TracerProvider())
"""
    done = run_python(code, {"POSTHOG_API_KEY": "phc_test", "POSTHOG_HOST": posthog.url})
    assert done.stderr.splitlines() == [LATE, "Overriding of current TracerProvider is not allowed"]


def test_the_start_is_a_line_at_debug_level(posthog: LocalPostHog, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "otel_posthog")
    key = "phc_abcdefghijklmnopqrstuvwxyz0123456789ABC"
    provider = TracerProvider(shutdown_on_exit=False)
    otel_posthog.configure(key, posthog.url, tracer_provider=provider, sample_rate=0.5)
    (line,) = (r.getMessage() for r in caplog.records if "sends to" in r.getMessage())
    assert line == (
        f"otel-posthog {otel_posthog.__version__} sends to {posthog.url} with key phc_abcd…9ABC "
        "(disabled=False, capture_content=True, spool_dir=None, sample_rate=0.5)."
    )
