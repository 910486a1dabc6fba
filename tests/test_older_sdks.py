"""Log records of SDKs that have no event names: the event API writes them as an attribute."""

from __future__ import annotations

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider

from otel_posthog import PostHogLogRecordProcessor, PostHogSpanProcessor
from otel_posthog.local import LocalPostHog

_events = pytest.importorskip("opentelemetry._events", reason="gone from newer SDKs")
sdk_events = pytest.importorskip("opentelemetry.sdk._events", reason="gone from newer SDKs")


def test_events_of_the_older_api_join_their_span(posthog: LocalPostHog) -> None:
    processor = PostHogSpanProcessor("phc_test", posthog.url)
    spans, logs = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
    spans.add_span_processor(processor)
    logs.add_log_record_processor(PostHogLogRecordProcessor(processor.exporter.log_records))
    logger = sdk_events.EventLoggerProvider(logs).get_event_logger("app")
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
    with spans.get_tracer("app").start_as_current_span("chat", attributes=chat) as span:
        ids = span.get_span_context()
        for name, body in (
            ("gen_ai.user.message", {"content": "question"}),
            ("gen_ai.choice", {"index": 0, "finish_reason": "stop", "message": {"content": "answer"}}),
        ):
            event = _events.Event(name, body=body, trace_id=ids.trace_id, span_id=ids.span_id)
            logger.emit(event)
    assert processor.force_flush()
    (event,) = posthog.events()
    assert event["properties"]["$ai_input"] == [{"role": "user", "content": "question"}]
    assert event["properties"]["$ai_output_choices"][0]["content"] == "answer"
    processor.shutdown()
