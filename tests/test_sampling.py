"""Filtering and sampling: which spans are sent, whole traces only, and how totals are scaled."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from otel_posthog import PostHogSpanExporter, Stats
from otel_posthog.local import LocalPostHog
from tests.support.made import made_span
from tests.support.spans import CHAT
from tests.test_live import AGENT, App


def exported(posthog: LocalPostHog, spans: list[ReadableSpan], **options: Any) -> tuple[list[dict[str, Any]], Stats]:
    exporter = PostHogSpanExporter("phc_test", posthog.url, **options)
    assert exporter.export(spans).name == "SUCCESS"
    exporter.shutdown()
    return [dict(event) for event in posthog.events()], exporter.stats()


def traces(count: int, **made: Any) -> list[ReadableSpan]:
    """Traces of an agent and its call."""
    spans = []
    for number in range(1, count + 1):
        ids = {"trace_id": f"{number * 7919:032x}"}
        spans.append(made_span("agent", AGENT, span_id=f"{1:016x}", **ids))
        spans.append(made_span(attributes=CHAT, span_id=f"{2:016x}", parent_id=f"{1:016x}", **ids, **made))
    return spans


def test_whole_traces_are_sampled_and_say_at_what_rate(posthog: LocalPostHog) -> None:
    events, stats = exported(posthog, traces(400), sample_rate=0.25)
    by_trace: dict[str, int] = {}
    for event in events:
        by_trace[event["properties"]["$ai_trace_id"]] = by_trace.get(event["properties"]["$ai_trace_id"], 0) + 1
    assert set(by_trace.values()) == {2}
    assert 60 <= len(by_trace) <= 140
    assert {event["properties"]["$ai_sample_rate"] for event in events} == {0.25}
    assert stats.dropped == {"sampled": 2 * (400 - len(by_trace))}


def test_two_services_sample_the_same_traces(posthog: LocalPostHog) -> None:
    agents, calls = traces(50)[::2], traces(50)[1::2]
    first, _ = exported(posthog, agents, sample_rate=0.5)
    posthog.clear()
    second, _ = exported(posthog, calls, sample_rate=0.5)
    kept = [{event["properties"]["$ai_trace_id"] for event in events} for events in (first, second)]
    assert kept[0] == kept[1]
    assert 0 < len(kept[0]) < 50


def test_traces_with_an_error_are_kept_and_count_for_one(posthog: LocalPostHog) -> None:
    events, _ = exported(posthog, traces(20, status=StatusCode.ERROR), sample_rate=0)
    assert len(events) == 40
    assert {event["properties"]["$ai_sample_rate"] for event in events} == {1.0}


def test_unless_they_are_to_be_sampled_too(posthog: LocalPostHog) -> None:
    events, _ = exported(posthog, traces(20, status=StatusCode.ERROR), sample_rate=0, sample_errors=True)
    assert events == []


def test_without_sampling_no_event_speaks_of_it(posthog: LocalPostHog) -> None:
    events, _ = exported(posthog, traces(1))
    assert all("$ai_sample_rate" not in event["properties"] for event in events)


def test_a_trace_that_is_flushed_in_parts_is_not_halved(posthog: LocalPostHog) -> None:
    app = App(posthog, sample_rate=0.5)
    for _ in range(30):
        with app.tracer.start_as_current_span("agent", attributes=AGENT):
            app.tracer.start_span("chat", attributes=CHAT).end()
            app.processor.force_flush()
            failed = app.tracer.start_span("chat", attributes=CHAT)
            failed.set_status(StatusCode.ERROR)
            failed.end()
    events = app.events()
    of_trace: dict[str, int] = {}
    for event in events:
        of_trace[event["properties"]["$ai_trace_id"]] = of_trace.get(event["properties"]["$ai_trace_id"], 0) + 1
    assert set(of_trace.values()) == {3}
    app.provider.shutdown()


def test_should_export_decides(posthog: LocalPostHog) -> None:
    events, _ = exported(posthog, traces(2), should_export=lambda span: span.name != "agent")
    assert [event["event"] for event in events] == ["$ai_generation"] * 2
    assert all(event["properties"]["$ai_parent_id"] == event["properties"]["$ai_trace_id"] for event in events)


def test_a_should_export_that_raises_sends_the_span(posthog: LocalPostHog, caplog: pytest.LogCaptureFixture) -> None:
    events, _ = exported(posthog, traces(1), should_export=lambda span: span.no_such_name)
    assert len(events) == 2
    assert "should export failed: AttributeError" in caplog.text


def test_spans_that_are_no_calls_may_stay_here(posthog: LocalPostHog) -> None:
    events, _ = exported(posthog, traces(2), capture_spans=False)
    assert [event["event"] for event in events] == ["$ai_generation"] * 2
    assert all(event["properties"]["$ai_parent_id"] == event["properties"]["$ai_trace_id"] for event in events)
