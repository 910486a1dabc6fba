"""What the processor knows because it lives in the process: whole traces, open parents, users of requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import set_span_in_context

from otel_posthog import PostHogSpanProcessor
from otel_posthog.local import LocalPostHog
from otel_posthog.local.faults import Fault

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}


class App:
    """A provider with our processor, and the local PostHog that it sends to."""

    def __init__(self, posthog: LocalPostHog, **options: Any) -> None:
        self.posthog = posthog
        self.processor = PostHogSpanProcessor("phc_test", posthog.url, **options)
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(self.processor)
        self.tracer = self.provider.get_tracer("app")

    def events(self) -> list[dict[str, Any]]:
        assert self.processor.force_flush()
        return [dict(event) for event in self.posthog.events()]


@pytest.fixture
def app(posthog: LocalPostHog) -> Iterator[App]:
    running = App(posthog)
    yield running
    running.provider.shutdown()


def test_the_user_of_the_request_is_the_user_of_its_calls(app: App) -> None:
    with app.tracer.start_as_current_span("POST /chat") as request:
        request.set_attribute("user.id", "user-8812")
        with app.tracer.start_as_current_span("chat", attributes=CHAT):
            pass
    (event,) = app.events()
    assert event["distinct_id"] == "user-8812"


def test_a_user_that_is_set_after_the_call_still_counts(app: App) -> None:
    with app.tracer.start_as_current_span("POST /chat") as request:
        with app.tracer.start_as_current_span("chat", attributes=CHAT):
            pass
        request.set_attribute("user.id", "user-8812")
    (event,) = app.events()
    assert event["distinct_id"] == "user-8812"


def test_a_call_flushed_while_its_request_is_open_knows_the_user(app: App) -> None:
    with app.tracer.start_as_current_span("POST /chat", attributes={"user.id": "user-8812"}):
        with app.tracer.start_as_current_span("chat", attributes=CHAT):
            pass
        (event,) = app.events()
    assert event["distinct_id"] == "user-8812"
    assert event["properties"]["$ai_parent_id"] == event["properties"]["$ai_trace_id"]


def test_an_open_agent_is_the_parent_of_what_is_flushed(app: App) -> None:
    with app.tracer.start_as_current_span("agent", attributes=AGENT) as agent:
        with (
            app.tracer.start_as_current_span("HTTP"),
            app.tracer.start_as_current_span("chat", attributes=CHAT),
        ):
            pass
        (early,) = app.events()
    agent_id = format(agent.get_span_context().span_id, "016x")
    assert early["properties"]["$ai_parent_id"] == agent_id
    assert [event["event"] for event in app.events()] == ["$ai_generation", "$ai_trace"]


def test_a_wrapper_that_ends_after_its_call_was_sent_is_no_second_call(app: App) -> None:
    with app.tracer.start_as_current_span("outer", attributes=CHAT):
        with app.tracer.start_as_current_span("inner", attributes=CHAT):
            pass
        assert [event["event"] for event in app.events()] == ["$ai_generation"]
    assert [event["event"] for event in app.events()] == ["$ai_generation", "$ai_trace"]


def test_a_child_that_ends_after_its_parent_keeps_it(app: App) -> None:
    with app.tracer.start_as_current_span("agent", attributes=AGENT):
        stream = app.tracer.start_span("chat", attributes=CHAT)
    stream.end()
    events = {event["event"]: event["properties"] for event in app.events()}
    assert events["$ai_generation"]["$ai_parent_id"] == events["$ai_trace"]["$ai_span_id"]


def test_a_parent_that_started_before_the_processor_is_known(posthog: LocalPostHog) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    tracer = provider.get_tracer("app")
    with tracer.start_as_current_span("POST /chat", attributes={"user.id": "user-8812"}):
        processor = PostHogSpanProcessor("phc_test", posthog.url)
        provider.add_span_processor(processor)
        with tracer.start_as_current_span("chat", attributes=CHAT):
            pass
    assert processor.force_flush()
    (event,) = posthog.events()
    assert event["distinct_id"] == "user-8812"
    assert event["properties"]["$ai_parent_id"] == event["properties"]["$ai_trace_id"]
    provider.shutdown()


def test_a_remote_parent_is_kept(app: App) -> None:
    remote = trace.SpanContext(0x1234, 0x5678, is_remote=True, trace_flags=trace.TraceFlags(1))
    context = trace.set_span_in_context(trace.NonRecordingSpan(remote))
    app.tracer.start_span("chat", context=context, attributes=CHAT).end()
    (event,) = app.events()
    assert event["properties"]["$ai_parent_id"] == format(0x5678, "016x")


def test_requests_in_parallel_keep_their_users(app: App) -> None:
    def request(number: int) -> None:
        with app.tracer.start_as_current_span("POST /chat", attributes={"user.id": f"user-{number}"}):
            for _ in range(5):
                with app.tracer.start_as_current_span("chat", attributes={**CHAT, "number": number}):
                    pass

    threads = [threading.Thread(target=request, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = app.events()
    assert len(events) == 100
    assert all(event["distinct_id"] == f"user-{event['properties']['number']}" for event in events)


def test_an_unsampled_span_is_not_sent(posthog: LocalPostHog) -> None:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    processor = PostHogSpanProcessor("phc_test", posthog.url)
    provider.add_span_processor(processor)
    provider.get_tracer("app").start_span("chat", attributes=CHAT).end()
    assert processor.force_flush()
    assert posthog.events() == []
    provider.shutdown()


def test_a_full_queue_counts_what_it_refuses(posthog: LocalPostHog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "5")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5")
    posthog.faults.append(Fault.parse("latency=0.3"))
    app = App(posthog)
    for _ in range(50):
        app.tracer.start_span("chat", attributes=CHAT).end()
    app.processor.force_flush()
    stats = app.processor.stats()
    app.provider.shutdown()
    assert stats.accepted == 50
    assert stats.dropped["queue_full"] == 50 - stats.delivered
    assert 5 <= stats.delivered < 50
    assert stats.pending == 0


def test_the_second_record_of_a_call_may_come_in_another_trace_and_later(app: App) -> None:
    """As LangChain's callbacks, which set no current span, in an agent without a span above it."""
    asked = {**CHAT, "gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": 3}
    provider = app.provider
    chain, client = provider.get_tracer("langchain"), provider.get_tracer("openai")
    agent = chain.start_span("agent", context=Context(), attributes={"gen_ai.operation.name": "invoke_agent"})
    outer = chain.start_span("ChatModel", context=set_span_in_context(agent, Context()), attributes=asked)
    client.start_span("chat", context=Context(), attributes=asked).end()
    time.sleep(0.01)
    outer.end()
    app.processor._batcher.flush(10)  # the inner one goes; the outer one waits for its trace
    agent.end()
    assert sorted(event["event"] for event in app.events()) == ["$ai_generation", "$ai_span", "$ai_trace"]
