"""PostHogSpanExporter: OpenTelemetry's contract, and what of a span is sent."""

from __future__ import annotations

import inspect
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry._logs import LogRecord
from opentelemetry.context import get_current
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import NonRecordingSpan, StatusCode, set_span_in_context

from otel_posthog import PostHogLogRecordProcessor, PostHogSpanExporter, Settings, feedback
from otel_posthog.local import LocalPostHog
from otel_posthog.local.faults import Fault
from tests.support.made import made_span
from tests.support.spans import ANSWER, CHAT, QUESTION, ai_span, ai_spans, http_span, tool_span, torn

SUCCESS, FAILURE = SpanExportResult.SUCCESS, SpanExportResult.FAILURE
MakeExporter = Callable[..., PostHogSpanExporter]


@pytest.fixture
def exporter_for() -> Iterator[MakeExporter]:
    """Makes exporters to a host, and shuts them down when the test is over."""
    made: list[PostHogSpanExporter] = []

    def make(host: str, **options: Any) -> PostHogSpanExporter:
        made.append(PostHogSpanExporter("phc_test", host, **options))
        return made[-1]

    yield make
    for exporter in made:
        exporter.shutdown()
        assert exporter.stats().pending == 0


@pytest.fixture
def exporter(posthog: LocalPostHog, exporter_for: MakeExporter) -> PostHogSpanExporter:
    return exporter_for(posthog.url, timeout=5)


# --- the contract


def test_an_ai_span_becomes_an_event(posthog: LocalPostHog, exporter: PostHogSpanExporter) -> None:
    assert exporter.export([ai_span()]) is SUCCESS
    (event,) = posthog.events()
    assert event["event"] == "$ai_generation"
    assert event["properties"]["$ai_model"] == "gpt-5-mini"
    assert event["properties"]["$ai_input"] == [{"role": "user", "content": QUESTION}]


def test_one_export_is_one_request(posthog: LocalPostHog, exporter: PostHogSpanExporter) -> None:
    assert exporter.export(ai_spans(20)) is SUCCESS
    assert [request.events for request in posthog.requests()] == [20]


def test_no_spans_are_a_success_without_request(posthog: LocalPostHog, exporter: PostHogSpanExporter) -> None:
    assert exporter.export([]) is SUCCESS
    assert posthog.requests() == []


def test_other_spans_are_a_success_without_request(posthog: LocalPostHog, exporter: PostHogSpanExporter) -> None:
    assert exporter.export([http_span(), http_span()]) is SUCCESS
    assert posthog.requests() == []
    assert exporter.stats().accepted == 0


def test_other_spans_among_ai_spans_are_left_out(posthog: LocalPostHog, exporter: PostHogSpanExporter) -> None:
    assert exporter.export([http_span(), ai_span(), http_span()]) is SUCCESS
    assert [event["event"] for event in posthog.events()] == ["$ai_generation"]


def test_a_span_that_is_exported_twice_is_one_event(posthog: LocalPostHog, exporter: PostHogSpanExporter) -> None:
    span = ai_span()
    exporter.export([span])
    exporter.export([span])
    assert [event["deliveries"] for event in posthog.events()] == [2]


def test_lost_events_are_a_failure(posthog: LocalPostHog, exporter: PostHogSpanExporter) -> None:
    posthog.faults = [Fault.parse("402")]
    assert exporter.export(ai_spans(2)) is FAILURE
    assert exporter.stats().dropped == {"http_402": 2}


def test_a_failure_that_passed_is_a_success(posthog: LocalPostHog, exporter: PostHogSpanExporter) -> None:
    posthog.faults = [Fault.parse("503:times=1")]
    assert exporter.export(ai_spans(2)) is SUCCESS
    assert exporter.stats().delivered == 2


def test_an_export_after_a_failure_is_a_success(posthog: LocalPostHog, exporter: PostHogSpanExporter) -> None:
    posthog.faults = [Fault.parse("402:times=1")]
    assert exporter.export([ai_span()]) is FAILURE
    assert exporter.export([ai_span()]) is SUCCESS


def test_force_flush_has_nothing_to_do(exporter: PostHogSpanExporter) -> None:
    assert exporter.force_flush(10) is True


@pytest.mark.parametrize("options", [{}, {"spool_dir": "spool"}])
def test_force_flush_takes_no_longer_than_it_may(
    posthog: LocalPostHog, exporter_for: MakeExporter, tmp_path: Path, options: dict[str, str]
) -> None:
    posthog.faults = [Fault.parse("hang:times=1")]
    exporter = exporter_for(posthog.url, timeout=2, **{name: tmp_path / value for name, value in options.items()})
    logs = LoggerProvider(shutdown_on_exit=False)
    logs.add_log_record_processor(PostHogLogRecordProcessor(exporter.log_records))
    feedback("good", trace_id="0af7651916cd43dd8448eb211c80319c", logger_provider=logs)
    begun = time.monotonic()
    assert exporter.force_flush(300) is False
    assert time.monotonic() - begun < 2
    assert exporter.force_flush(10_000) is True


def test_settings_may_be_handed_over_ready(posthog: LocalPostHog) -> None:
    exporter = PostHogSpanExporter(settings=Settings(api_key="phc_ready", host=posthog.url))
    assert exporter.export([ai_span()]) is SUCCESS
    exporter.shutdown()


def test_settings_come_from_the_environment(posthog: LocalPostHog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTHOG_API_KEY", "phc_environment")
    monkeypatch.setenv("OTEL_EXPORTER_POSTHOG_HOST", posthog.url)
    exporter = PostHogSpanExporter()
    assert exporter.export([ai_span()]) is SUCCESS
    exporter.shutdown()


def test_twenty_threads_may_export_at_once(posthog: LocalPostHog, exporter_for: MakeExporter) -> None:
    exporter = exporter_for(posthog.url, timeout=60)
    results: list[SpanExportResult] = []
    threads = [threading.Thread(target=lambda: results.append(exporter.export(ai_spans(3)))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [SUCCESS] * 20
    assert len(posthog.events()) == 60


# --- shut down, switched off


def test_an_export_after_shutdown_is_refused_quietly(
    posthog: LocalPostHog, exporter: PostHogSpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    exporter.shutdown()
    assert exporter.export([ai_span()]) is FAILURE
    assert posthog.requests() == []
    assert caplog.messages == []


def test_shutdown_may_be_called_twice(exporter: PostHogSpanExporter) -> None:
    exporter.export([ai_span()])
    exporter.shutdown()
    exporter.shutdown(timeout_millis=10)
    assert exporter.stats().delivered == 1


@pytest.mark.parametrize("how", ["argument", "OTEL_SDK_DISABLED", "POSTHOG_DISABLED"])
def test_a_disabled_exporter_sends_nothing_and_says_success(
    posthog: LocalPostHog, exporter_for: MakeExporter, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    span = ai_span()
    if how != "argument":
        monkeypatch.setenv(how, "true")
    exporter = exporter_for(posthog.url, disabled=True if how == "argument" else None)
    assert exporter.export([span]) is SUCCESS
    exporter.shutdown()
    assert exporter.export([span]) is SUCCESS
    assert posthog.requests() == []


# --- never an exception

ODD_ATTRIBUTES: list[Any] = [
    {"gen_ai.input.messages": object()},
    {"gen_ai.input.messages": "{not json"},
    {"gen_ai.input.messages": '[{"role": "user", "parts": 3}]'},
    {"gen_ai.input.messages": b"\xff"},
    {"gen_ai.output.messages": [[[]]]},
    {"gen_ai.usage.input_tokens": "many"},
    {"gen_ai.usage.input_tokens": float("nan")},
    {"gen_ai.usage.input_tokens": 10**400},
    {"gen_ai.usage.output_tokens": -1},
    {"gen_ai.request.model": 7},
    {"gen_ai.request.model": "\ud800"},
    {"gen_ai.operation.name": ["chat"]},
    {"gen_ai.operation.name": {}},
    {"gen_ai.response.finish_reasons": 5},
    {"gen_ai.request.temperature": "warm"},
    {"server.port": "http"},
    {"user.id": {"a": set()}},
    {"anything": {1, 2}},
    {"anything": object()},
    {3: "a name that is no text"},
    {None: 1},
]


@pytest.mark.parametrize("odd", ODD_ATTRIBUTES)
def test_an_odd_attribute_costs_no_event(posthog: LocalPostHog, exporter: PostHogSpanExporter, odd: Any) -> None:
    spans = [made_span(attributes=CHAT | odd), ai_span()]
    assert exporter.export(spans) is SUCCESS
    assert len(posthog.events()) == 2


def test_a_span_that_cannot_be_read_is_a_failure_without_exception(
    exporter: PostHogSpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    assert exporter.export([torn()]) is FAILURE
    assert len([record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]) == 1


def test_a_span_that_cannot_be_read_costs_only_itself(posthog: LocalPostHog, exporter: PostHogSpanExporter) -> None:
    exporter.export([ai_span(), torn(), ai_span()])
    assert len(posthog.events()) == 2


def test_a_span_that_cannot_be_read_is_counted(exporter: PostHogSpanExporter) -> None:
    exporter.export([torn()])
    stats = exporter.stats()
    assert (stats.accepted, sum(stats.dropped.values())) == (1, 1)


def test_a_span_without_ids_times_and_scope_is_no_exception(exporter: PostHogSpanExporter) -> None:
    bare = ReadableSpan("chat", attributes=CHAT)
    assert exporter.export([bare]) in (SUCCESS, FAILURE)


# --- our own requests


def test_our_requests_are_not_to_be_traced(exporter: PostHogSpanExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP instrumentations wrap this very method, and ask this very question there."""
    enabled: list[bool] = []
    send = requests.Session.send

    def instrumented(session: requests.Session, request: Any, **options: Any) -> requests.Response:
        enabled.append(is_instrumentation_enabled())
        return send(session, request, **options)

    monkeypatch.setattr(requests.Session, "send", instrumented)
    exporter.export([ai_span()])
    assert set(enabled) == {False}
    assert is_instrumentation_enabled()


def test_the_context_is_as_before_after_an_export(exporter: PostHogSpanExporter) -> None:
    before = get_current()
    exporter.export([ai_span()])
    exporter.export([torn()])
    assert get_current() == before


def test_instrumented_requests_leave_no_span_of_ours(posthog: LocalPostHog, exporter: PostHogSpanExporter) -> None:
    instrumentation = pytest.importorskip("opentelemetry.instrumentation.requests").RequestsInstrumentor()
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    instrumentation.instrument(tracer_provider=provider)
    try:
        exporter.export([ai_span()])
    finally:
        instrumentation.uninstrument()
    assert len(posthog.events()) == 1
    assert kept.get_finished_spans() == ()


# --- what of a span is sent


def failed_span() -> ReadableSpan:
    return made_span(
        attributes=CHAT | {"error.type": "RateLimitError", "app.note": "a secret note", "app.number": 7},
        status=StatusCode.ERROR,
        description="secret refused",
        events=[("exception", {"exception.type": "RateLimitError", "exception.message": "secret refused"})],
    )


def test_without_content_nothing_of_it_is_in_the_event(posthog: LocalPostHog, exporter_for: MakeExporter) -> None:
    tool = made_span(
        "execute_tool swallow",
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "swallow",
            "gen_ai.tool.call.arguments": '{"a": "secret argument"}',
            "gen_ai.tool.call.result": "secret result",
            "gen_ai.tool.description": "secret description",
        },
        span_id="b7ad6b7169203332",
    )
    system = ai_span(**{"gen_ai.system_instructions": '[{"type":"text","content":"secret system"}]'})
    exporter_for(posthog.url, capture_content=False).export([failed_span(), tool, system])
    written = json.dumps(posthog.events())
    assert len(posthog.events()) == 3
    for content in (QUESTION, ANSWER, "secret"):
        assert content not in written


def test_without_content_the_numbers_stay(posthog: LocalPostHog, exporter_for: MakeExporter) -> None:
    exporter_for(posthog.url, capture_content=False).export([failed_span()])
    properties = posthog.events()[0]["properties"]
    expected = {
        "$ai_model": "gpt-5-mini",
        "$ai_input_tokens": 12,
        "$ai_output_tokens": 3,
        "$ai_is_error": True,
        "$ai_error": "RateLimitError",
        "app.number": 7,
    }
    assert properties.items() >= expected.items()


def test_without_content_that_of_log_records_stays_out_too(posthog: LocalPostHog, exporter_for: MakeExporter) -> None:
    span = made_span(attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5-mini"})
    exporter = exporter_for(posthog.url, capture_content=False)
    logs = LoggerProvider(shutdown_on_exit=False)
    logs.add_log_record_processor(PostHogLogRecordProcessor(exporter.log_records))
    around = set_span_in_context(NonRecordingSpan(span.get_span_context()))
    if "event_name" not in inspect.signature(LogRecord).parameters:
        pytest.skip("the record here is made the way newer SDKs do")
    record = LogRecord(event_name="gen_ai.user.message", body={"content": "secret"}, context=around)
    logs.get_logger("app").emit(record)
    exporter.export([span])
    assert "secret" not in json.dumps(posthog.events())


def test_without_spans_calls_alone_are_sent(posthog: LocalPostHog, exporter_for: MakeExporter) -> None:
    exporter_for(posthog.url, capture_spans=False).export([tool_span(), ai_span()])
    assert [event["event"] for event in posthog.events()] == ["$ai_generation"]


def test_with_spans_tools_are_sent_too(posthog: LocalPostHog, exporter: PostHogSpanExporter) -> None:
    exporter.export([tool_span(), ai_span()])
    assert sorted(event["event"] for event in posthog.events()) == ["$ai_generation", "$ai_trace"]


@pytest.mark.parametrize(("option", "kept"), [(True, True), (False, False)])
def test_unmapped_attributes(posthog: LocalPostHog, exporter_for: MakeExporter, option: bool, kept: bool) -> None:
    exporter_for(posthog.url, capture_unmapped=option).export([ai_span(**{"app.tenant": "blue"})])
    assert ("app.tenant" in posthog.events()[0]["properties"]) is kept


def test_static_properties_are_on_every_event(posthog: LocalPostHog, exporter_for: MakeExporter) -> None:
    exporter_for(posthog.url, properties={"team": "search", "level": 3}).export([ai_span(), tool_span()])
    for event in posthog.events():
        assert event["properties"].items() >= {"team": "search", "level": 3}.items()


def test_a_static_property_does_not_replace_what_the_span_says(
    posthog: LocalPostHog, exporter_for: MakeExporter
) -> None:
    exporter_for(posthog.url, properties={"$ai_model": "none", "$ai_trace_id": "none"}).export([ai_span()])
    properties = posthog.events()[0]["properties"]
    assert properties["$ai_model"] == "gpt-5-mini"
    assert properties["$ai_trace_id"] != "none"


def test_the_configured_distinct_id_is_of_spans_that_name_nobody(
    posthog: LocalPostHog, exporter_for: MakeExporter
) -> None:
    exporter_for(posthog.url, distinct_id="ada").export([ai_span(), ai_span(**{"user.id": "grace"})])
    assert [event["distinct_id"] for event in posthog.events()] == ["ada", "grace"]
    assert all("$process_person_profile" not in event["properties"] for event in posthog.events())


def test_without_any_user_events_are_anonymous(posthog: LocalPostHog, exporter: PostHogSpanExporter) -> None:
    exporter.export([ai_span()])
    (event,) = posthog.events()
    assert event["properties"]["$process_person_profile"] is False
    assert event["distinct_id"] == event["properties"]["$ai_trace_id"]


def test_two_exporters_do_not_know_each_other(exporter_for: MakeExporter) -> None:
    with LocalPostHog() as one, LocalPostHog() as other:
        first, second = exporter_for(one.url, distinct_id="one"), exporter_for(other.url, distinct_id="other")
        first.export([ai_span()])
        second.export(ai_spans(2))
        first.shutdown()
        assert second.export([ai_span()]) is SUCCESS
    assert ([e["distinct_id"] for e in one.events()], len(other.events())) == (["one"], 3)
    assert (first.stats().delivered, second.stats().delivered) == (1, 3)
