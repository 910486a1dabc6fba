"""evaluation(), feedback() and metric(), and what evaluators write as log events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider

from otel_posthog import Handle, configure, context, evaluation, feedback, metric
from otel_posthog.local import LocalPostHog
from tests.support.spans import CHAT


@pytest.fixture
def app(posthog: LocalPostHog) -> Iterator[Handle]:
    handle = make(posthog)
    yield handle
    handle.shutdown()


def make(posthog: LocalPostHog, **options: Any) -> Handle:
    return configure(
        "phc_test",
        posthog.url,
        tracer_provider=TracerProvider(shutdown_on_exit=False),
        logger_provider=LoggerProvider(shutdown_on_exit=False),
        **options,
    )


def events(app: Handle, posthog: LocalPostHog) -> dict[str, dict[str, Any]]:
    assert app.flush(10_000)
    return {event["event"]: dict(event) for event in posthog.events()}


def test_inside_of_a_span_they_are_about_it(app: Handle, posthog: LocalPostHog) -> None:
    with app.tracer_provider.get_tracer("app").start_as_current_span("chat", attributes=CHAT):
        evaluation("relevance", score=0.9, label="good", explanation="it fits", logger_provider=app.logger_provider)
        feedback("I like it", logger_provider=app.logger_provider)
        metric("clicks", 3, logger_provider=app.logger_provider)
    sent = events(app, posthog)
    assert sent.keys() == {"$ai_generation", "$ai_evaluation", "$ai_feedback", "$ai_metric"}
    call = sent["$ai_generation"]["properties"]
    assert {event["properties"]["$ai_trace_id"] for event in sent.values()} == {call["$ai_trace_id"]}
    judged = sent["$ai_evaluation"]["properties"]
    assert call["$ai_span_id"] in judged.values()
    assert "relevance" in judged.values()
    assert 0.9 in judged.values()
    assert "it fits" in judged.values()
    assert sent["$ai_feedback"]["properties"]["$ai_feedback_text"] == "I like it"
    said = sent["$ai_metric"]["properties"]
    assert (said["$ai_metric_name"], said["$ai_metric_value"]) == ("clicks", 3)


def test_later_and_elsewhere_they_name_their_span(app: Handle, posthog: LocalPostHog) -> None:
    feedback("late", trace_id="0af7651916cd43dd8448eb211c80319c", logger_provider=app.logger_provider)
    (event,) = events(app, posthog).values()
    assert event["properties"]["$ai_trace_id"] == "0af7651916cd43dd8448eb211c80319c"


def test_the_user_around_them_is_theirs(app: Handle, posthog: LocalPostHog) -> None:
    with context(distinct_id="ada"):
        feedback("good", trace_id="0af7651916cd43dd8448eb211c80319c", logger_provider=app.logger_provider)
    (event,) = events(app, posthog).values()
    assert event["distinct_id"] == "ada"


def test_with_content_off_the_reasons_stay_and_feedback_goes(posthog: LocalPostHog) -> None:
    app = make(posthog, capture_content=False)
    with app.tracer_provider.get_tracer("app").start_as_current_span("chat", attributes=CHAT):
        evaluation("relevance", score=1, explanation="because of secrets", logger_provider=app.logger_provider)
        feedback("said by a person", logger_provider=app.logger_provider)
    sent = events(app, posthog)
    assert "because of secrets" not in str(sent)
    assert sent["$ai_feedback"]["properties"]["$ai_feedback_text"] == "said by a person"
    app.shutdown()


def test_without_anybody_to_hear_it_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    feedback(
        "hello?", trace_id="0af7651916cd43dd8448eb211c80319c", logger_provider=LoggerProvider(shutdown_on_exit=False)
    )
    assert "feedback() sent nothing to PostHog: call otel_posthog.configure()" in caplog.text
    assert "hello?" not in caplog.text


@pytest.mark.parametrize("bad", ["not hex", 7])
def test_an_id_that_is_none_does_not_reach_the_app(app: Handle, caplog: pytest.LogCaptureFixture, bad: Any) -> None:
    feedback("x", trace_id=bad, logger_provider=app.logger_provider)
    assert "must be lowercase hex" in caplog.text


TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    ("send", "remedy"),
    [
        (
            lambda **to: evaluation("relevance", trace_id=TRACE_ID, **to),
            "evaluation() sent nothing to PostHog: give a sc",
        ),
        (
            lambda **to: evaluation("relevance", score="good", trace_id=TRACE_ID, **to),
            "give a score, a number, or a label",
        ),
        (lambda **to: evaluation("relevance", score=0.9, **to), "no span is current, so give trace_id"),
        (lambda **to: feedback("", trace_id=TRACE_ID, **to), "feedback() sent nothing to PostHog: the text is empty"),
        (lambda **to: metric("clicks", 3, **to), "metric() sent nothing to PostHog: no span is current"),
    ],
)
def test_what_says_nothing_or_is_about_nothing_is_warned_of(
    app: Handle, posthog: LocalPostHog, caplog: pytest.LogCaptureFixture, send: Any, remedy: str
) -> None:
    send(logger_provider=app.logger_provider)
    assert remedy in caplog.text
    assert events(app, posthog) == {}
