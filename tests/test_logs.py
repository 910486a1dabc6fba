"""Message content from log records: joined to its span, bounded, and never in the app's way."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Span, Tracer, set_span_in_context

from otel_posthog import PostHogLogRecordProcessor, PostHogSpanProcessor, logs
from otel_posthog._spans import EventView
from otel_posthog.local import LocalPostHog
from otel_posthog.logs import LogRecords
from tests.support.spans import HTTP

if "event_name" not in inspect.signature(LogRecord).parameters:
    pytest.skip("the records here are made the way newer SDKs do", allow_module_level=True)

CALL: dict[str, Any] = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5-mini"}
QUESTION = {"content": "What is the airspeed of an unladen swallow?"}
ANSWER = {
    "index": 0,
    "finish_reason": "stop",
    "message": {"role": "assistant", "content": "African or European?"},
}


class App:
    """An app with a tracer and a logger that go to PostHog."""

    def __init__(self, url: str) -> None:
        self.processor = PostHogSpanProcessor("phc_test", url)
        self.records = self.processor.exporter.log_records
        self._spans = TracerProvider(shutdown_on_exit=False)
        self._spans.add_span_processor(self.processor)
        self._logs = LoggerProvider(shutdown_on_exit=False)
        self._logs.add_log_record_processor(PostHogLogRecordProcessor(self.records))
        self.tracer: Tracer = self._spans.get_tracer("tests")

    def log(self, name: str | None, body: Any, span: Span | None = None, attributes: Any = None) -> None:
        """Emit a record in the current context, or in that of a span."""
        context = None if span is None else set_span_in_context(span)
        record = LogRecord(event_name=name, body=body, attributes=attributes, context=context)
        self._logs.get_logger("tests").emit(record)

    def shutdown(self) -> None:
        self._spans.shutdown()
        self._logs.shutdown()


@pytest.fixture
def app(posthog: LocalPostHog) -> Iterator[App]:
    running = App(posthog.url)
    yield running
    running.shutdown()


def taken(app: App, span: Span) -> list[EventView]:
    context = span.get_span_context()
    return list(app.records.take(context.trace_id, context.span_id))


def test_records_in_a_span_become_its_input_and_output(posthog: LocalPostHog, app: App) -> None:
    with app.tracer.start_as_current_span("chat", attributes=CALL):
        app.log("gen_ai.user.message", QUESTION)
        app.log("gen_ai.choice", ANSWER)
    app.processor.force_flush()
    properties = posthog.events()[0]["properties"]
    assert properties["$ai_input"] == [{"role": "user", "content": QUESTION["content"]}]
    assert properties["$ai_output_choices"][0]["content"] == ANSWER["message"]["content"]  # type: ignore[index]


def test_records_go_to_their_own_span(posthog: LocalPostHog, app: App) -> None:
    spans = [app.tracer.start_span(f"chat {number}", attributes=CALL) for number in range(3)]
    for number, span in enumerate(spans):
        app.log("gen_ai.user.message", {"content": f"question {number}"}, span)
    for span in spans:
        span.end()
    app.processor.force_flush()
    asked = {e["properties"]["$ai_span_name"]: e["properties"]["$ai_input"][0]["content"] for e in posthog.events()}
    assert set(asked.values()) == {"question 0", "question 1", "question 2"}
    by_id = {e["properties"]["$ai_span_id"]: e["properties"]["$ai_input"][0]["content"] for e in posthog.events()}
    assert [by_id[f"{span.get_span_context().span_id:016x}"] for span in spans] == [
        "question 0",
        "question 1",
        "question 2",
    ]


def test_the_name_may_be_in_the_attribute_of_older_sdks(posthog: LocalPostHog, app: App) -> None:
    with app.tracer.start_as_current_span("chat", attributes=CALL):
        app.log(None, QUESTION, attributes={"event.name": "gen_ai.user.message"})
    app.processor.force_flush()
    assert posthog.events()[0]["properties"]["$ai_input"] == [{"role": "user", "content": QUESTION["content"]}]


def test_records_keep_their_order(app: App) -> None:
    with app.tracer.start_as_current_span("plain") as span:
        for number in range(10):
            app.log("gen_ai.user.message", {"content": number})
    assert [record.body["content"] for record in taken(app, span)] == list(range(10))


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        (None, None),
        ("", None),
        ("http.request", None),
        ("gen_ai", None),
        ("app.gen_ai.user.message", None),
        (None, {"event.name": 7}),
        (None, {"event.name": "http.request"}),
    ],
)
def test_other_records_are_ignored(app: App, name: str | None, attributes: Any) -> None:
    with app.tracer.start_as_current_span("plain") as span:
        app.log(name, {"content": "x"}, attributes=attributes)
    assert taken(app, span) == []


def test_a_record_outside_of_any_span_is_ignored(app: App) -> None:
    app.log("gen_ai.user.message", QUESTION)
    assert app.records.take(0, 0) == ()


def test_records_are_taken_once(app: App) -> None:
    with app.tracer.start_as_current_span("plain") as span:
        app.log("gen_ai.user.message", QUESTION)
    assert len(taken(app, span)) == 1
    assert taken(app, span) == []


def test_a_span_without_records_has_none(app: App) -> None:
    assert list(app.records.take(1, 2)) == []


def test_an_app_that_logs_as_ever_is_left_alone(
    posthog: LocalPostHog, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    with app.tracer.start_as_current_span("GET", attributes=HTTP):
        logging.getLogger("app").warning("hello")
        app.log(None, "hello")
    app.processor.force_flush()
    assert posthog.requests() == []
    assert caplog.messages == ["hello"]


class Odd:
    """A record where looking at anything raises."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


@pytest.mark.parametrize("record", [None, 7, object(), Odd()], ids=["none", "number", "object", "odd"])
def test_a_record_that_cannot_be_read_does_not_reach_the_app(record: Any) -> None:
    processor = PostHogLogRecordProcessor(LogRecords())
    processor.on_emit(record)
    processor.emit(record)


@pytest.mark.parametrize("body", [None, 7, [], {}, "text", {"content": object()}, b"\xff", {"message": 3}])
@pytest.mark.parametrize("name", ["gen_ai.user.message", "gen_ai.choice", "gen_ai.evaluation.result", "gen_ai.new"])
def test_an_odd_body_costs_no_event(posthog: LocalPostHog, app: App, name: str, body: Any) -> None:
    with app.tracer.start_as_current_span("chat", attributes=CALL):
        app.log(name, body)
    app.processor.force_flush()
    assert len([event for event in posthog.events() if event["event"] == "$ai_generation"]) == 1


def record(body: Any = None) -> EventView:
    return EventView("gen_ai.user.message", {}, body)


def counting(records: LogRecords) -> list[int]:
    """How many records each eviction has taken."""
    evicted: list[int] = []
    records.on_evicted = evicted.append
    return evicted


def test_at_the_bound_the_oldest_spans_records_go() -> None:
    records = LogRecords(most_spans=3)
    evicted = counting(records)
    for span_id in range(1, 6):
        records.add(1, span_id, record(span_id))
        records.add(1, span_id, record(span_id))
    assert [len(records.take(1, span_id)) for span_id in range(1, 6)] == [0, 0, 2, 2, 2]
    assert sum(evicted) == 4


def test_a_span_that_took_its_records_makes_room() -> None:
    records = LogRecords(most_spans=3)
    evicted = counting(records)
    for span_id in range(1, 100):
        records.add(1, span_id, record())
        assert len(records.take(1, span_id)) == 1
    assert sum(evicted) == 0


def test_the_records_of_one_span_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_MOST_RECORDS", 3)
    records = LogRecords()
    evicted = counting(records)
    for number in range(5):
        records.add(1, 1, record(number))
    assert [kept.body for kept in records.take(1, 1)] == [0, 1, 2]
    assert sum(evicted) == 2


def test_records_are_bounded_in_bytes_wherever_their_texts_are() -> None:
    records = LogRecords(most_bytes=1000)
    evicted = counting(records)
    for span_id in range(1, 6):
        records.add(1, span_id, record({"parts": ({"content": "x" * 400},)}))
    assert [len(records.take(1, span_id)) for span_id in range(1, 6)] == [0, 0, 0, 1, 1]
    assert sum(evicted) == 3
    records.add(1, 6, record("x" * 5000))  # one alone may be larger
    assert len(records.take(1, 6)) == 1


def test_records_of_spans_that_are_not_sampled_are_not_kept() -> None:
    records = LogRecords()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(PostHogLogRecordProcessor(records))
    tracer = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("app")
    with tracer.start_as_current_span("chat") as span:
        provider.get_logger("app").emit(LogRecord(event_name="gen_ai.user.message", body={"content": "hi"}))
    context = span.get_span_context()
    assert records.take(context.trace_id, context.span_id) == ()


def test_the_same_span_id_in_two_traces_is_two_spans() -> None:
    records = LogRecords()
    records.add(1, 7, record("one"))
    records.add(2, 7, record("two"))
    assert [kept.body for kept in records.take(1, 7)] == ["one"]
    assert [kept.body for kept in records.take(2, 7)] == ["two"]


def test_threads_lose_no_record() -> None:
    records = LogRecords()

    def work(trace_id: int) -> None:
        for number in range(200):
            records.add(trace_id, number % 10 + 1, record(number))

    threads = [threading.Thread(target=work, args=(trace_id,)) for trace_id in range(1, 21)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(len(records.take(trace, span)) for trace in range(1, 21) for span in range(1, 11)) == 4000


def test_the_processor_may_be_flushed_and_shut_down() -> None:
    processor = PostHogLogRecordProcessor(LogRecords())
    assert processor.force_flush() is True
    processor.shutdown()
    processor.shutdown()
