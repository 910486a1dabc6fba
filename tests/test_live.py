"""What the processor knows because it lives in the process: whole traces, open parents, users of requests."""

from __future__ import annotations

import threading
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


def remote_context() -> Context:
    remote = trace.SpanContext(0x1234, 0x5678, is_remote=True, trace_flags=trace.TraceFlags(1))
    return trace.set_span_in_context(trace.NonRecordingSpan(remote), Context())


def test_a_call_below_another_services_span_is_a_root(app: App) -> None:
    app.tracer.start_span("chat", context=remote_context(), attributes=CHAT).end()
    (event,) = app.events()
    assert event["properties"]["$ai_parent_id"] == event["properties"]["$ai_trace_id"] == format(0x1234, "032x")


def test_a_remote_parent_is_kept_on_demand(posthog: LocalPostHog) -> None:
    app = App(posthog, remote_parents=True)
    app.tracer.start_span("chat", context=remote_context(), attributes=CHAT).end()
    (event,) = app.events()
    app.provider.shutdown()
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


def start_call_in_its_own_trace(app: App) -> tuple[Any, Any]:
    """As LangChain's callbacks do, which set no current span: the client's span starts a trace of its own."""
    asked = {**CHAT, "gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": 3}
    chain, client = app.provider.get_tracer("langchain"), app.provider.get_tracer("openai")
    agent_attributes = {"gen_ai.operation.name": "invoke_agent", "user.id": "ada"}
    agent = chain.start_span("agent", context=Context(), attributes=agent_attributes)
    outer = chain.start_span("ChatModel", context=set_span_in_context(agent, Context()), attributes=asked)
    client.start_span("chat", context=Context(), attributes=asked).end()
    return agent, outer


def test_two_records_of_a_call_in_two_traces_are_one_call_in_the_outer_ones_place(app: App) -> None:
    agent, outer = start_call_in_its_own_trace(app)
    outer.end()
    agent.end()
    events = {event["event"]: event for event in app.events()}
    call, trace_id = events["$ai_generation"], format(agent.get_span_context().trace_id, "032x")
    assert sorted(events) == ["$ai_generation", "$ai_span", "$ai_trace"]
    assert (call["properties"]["$ai_trace_id"], call["distinct_id"]) == (trace_id, "ada")
    assert call["properties"]["$ai_parent_id"] == format(outer.get_span_context().span_id, "016x")


def test_a_call_that_was_exported_before_its_second_record_ended_counts_once(app: App) -> None:
    agent, outer = start_call_in_its_own_trace(app)
    assert [event["event"] for event in app.events()] == ["$ai_generation"]
    outer.end()
    agent.end()
    assert sorted(event["event"] for event in app.events()) == ["$ai_generation", "$ai_span", "$ai_trace"]


def test_a_span_that_starts_after_its_request_ended_keeps_user_and_session(app: App) -> None:
    with app.tracer.start_as_current_span("POST /chat", attributes={"user.id": "ada", "session.id": "s1"}) as request:
        pass
    assert app.events() == []
    app.tracer.start_span("chat", context=set_span_in_context(request, Context()), attributes=CHAT).end()
    (event,) = app.events()
    assert (event["distinct_id"], event["properties"]["$ai_session_id"]) == ("ada", "s1")


def test_many_open_traces_keep_their_users(app: App) -> None:
    requests = [
        app.tracer.start_span("POST /chat", context=Context(), attributes={"user.id": f"user-{number}"})
        for number in range(12_000)
    ]
    for request in requests[:50]:
        app.tracer.start_span("chat", context=set_span_in_context(request, Context()), attributes=CHAT).end()
    assert {event["distinct_id"] for event in app.events()} == {f"user-{number}" for number in range(50)}


def test_beyond_the_bound_of_memory_spans_are_exported_early_and_none_is_lost(
    posthog: LocalPostHog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    app = App(posthog, max_memory_bytes=200_000, hold=60)
    with app.tracer.start_as_current_span("POST /chat", attributes={"user.id": "ada"}):
        for number in range(100):
            attributes = {**CHAT, "gen_ai.input.messages": f"{number} " + "x" * 2000}
            app.tracer.start_span("chat", attributes=attributes).end()
        posthog.wait_for(1)
    assert len(app.events()) == 100
    assert {event["distinct_id"] for event in posthog.events()} == {"ada"}
    app.provider.shutdown()
