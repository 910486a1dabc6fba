"""Message content from log records: joined to its span, bounded, and never in the app's way."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry._logs import Logger, LogRecord
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Span, Tracer, set_span_in_context

from otel_posthog import PostHogLogRecordProcessor, PostHogSpanProcessor
from otel_posthog._log_store import LogStore
from otel_posthog._spans import EventView
from otel_posthog._trace import EvaluationRecord
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


class Inbox:
    """Collects what log records become."""

    def __init__(self) -> None:
        self.records: dict[tuple[int, int], list[EventView]] = {}
        self.evaluations: list[EvaluationRecord] = []

    def log_emitted(self, trace_id: int, span_id: int, record: EventView) -> None:
        self.records.setdefault((trace_id, span_id), []).append(record)

    def evaluated(self, record: EvaluationRecord, otel: Context) -> None:
        self.evaluations.append(record)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def logger(inbox: Inbox) -> Logger:
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(PostHogLogRecordProcessor(LogRecords(lambda: inbox)))
    return provider.get_logger("tests")


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


def test_records_keep_their_order(posthog: LocalPostHog, app: App) -> None:
    with app.tracer.start_as_current_span("chat", attributes=CALL):
        for number in range(10):
            app.log("gen_ai.user.message", {"content": f"question {number}"})
    app.processor.force_flush()
    (event,) = posthog.events()
    assert [m["content"] for m in event["properties"]["$ai_input"]] == [f"question {number}" for number in range(10)]


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
def test_other_records_are_ignored(inbox: Inbox, logger: Logger, name: str | None, attributes: Any) -> None:
    with TracerProvider(shutdown_on_exit=False).get_tracer("app").start_as_current_span("plain"):
        logger.emit(LogRecord(event_name=name, body={"content": "x"}, attributes=attributes))
    assert (inbox.records, inbox.evaluations) == ({}, [])


def test_a_record_outside_of_any_span_is_ignored(inbox: Inbox, logger: Logger) -> None:
    logger.emit(LogRecord(event_name="gen_ai.user.message", body=QUESTION))
    assert inbox.records == {}


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
    processor = PostHogLogRecordProcessor(LogRecords(Inbox))
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


def test_beyond_the_bound_the_oldest_spans_records_go() -> None:
    store = LogStore(max_bytes=2000)
    evicted = [store.add(1, span_id, record({"parts": ({"content": "x" * 400},)})) for span_id in range(1, 6)]
    assert [len(store.take(1, span_id)) for span_id in range(1, 6)] == [0, 0, 1, 1, 1]
    assert sum(evicted) == 2
    assert store.add(1, 6, record("x" * 5000)) == 0  # one alone may be larger
    assert len(store.take(1, 6)) == 1


def test_a_span_that_took_its_records_makes_room() -> None:
    store = LogStore(max_bytes=2000)
    for span_id in range(1, 100):
        assert store.add(1, span_id, record("x" * 400)) == 0
        assert len(store.take(1, span_id)) == 1
    assert store.size == 0


def test_the_records_of_one_span_are_bounded() -> None:
    store = LogStore(max_bytes=2**30)
    evicted = [store.add(1, 1, record(number)) for number in range(1030)]
    assert [kept.body for kept in store.take(1, 1)] == list(range(1024))
    assert sum(evicted) == 6


def test_the_same_span_id_in_two_traces_is_two_spans() -> None:
    store = LogStore(max_bytes=2000)
    store.add(1, 7, record("one"))
    store.add(2, 7, record("two"))
    assert [kept.body for kept in store.take(1, 7)] == ["one"]
    assert [kept.body for kept in store.take(2, 7)] == ["two"]


def test_records_of_spans_that_are_not_sampled_are_not_kept(inbox: Inbox, logger: Logger) -> None:
    tracer = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("app")
    with tracer.start_as_current_span("chat"):
        logger.emit(LogRecord(event_name="gen_ai.user.message", body={"content": "hi"}))
    assert inbox.records == {}


def test_threads_lose_no_record(posthog: LocalPostHog, app: App) -> None:
    def work(number: int) -> None:
        with app.tracer.start_as_current_span(f"chat {number}", attributes=CALL):
            for message in range(50):
                app.log("gen_ai.user.message", {"content": f"{number}.{message}"})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    app.processor.force_flush()
    asked = [message["content"] for event in posthog.events() for message in event["properties"]["$ai_input"]]
    assert sorted(asked) == sorted(f"{number}.{message}" for number in range(20) for message in range(50))


def test_the_processor_may_be_flushed_and_shut_down() -> None:
    processor = PostHogLogRecordProcessor(LogRecords(Inbox))
    assert processor.force_flush() is True
    processor.shutdown()
    processor.shutdown()
