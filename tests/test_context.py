"""otel_posthog.context: who the spans inside are for, in threads, tasks and other processes."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import attach, detach

import otel_posthog
from otel_posthog import live
from otel_posthog.local import LocalPostHog
from tests.support.spans import ai_span
from tests.test_live import CHAT, App


@pytest.fixture
def app(posthog: LocalPostHog) -> Iterator[App]:
    running = App(posthog)
    yield running
    running.provider.shutdown()


def call(app: App, **attributes: Any) -> None:
    app.tracer.start_span("chat", attributes={**CHAT, **attributes}).end()


def test_everything_given_is_on_the_event(app: App) -> None:
    with otel_posthog.context(
        distinct_id="ada", session_id="s1", groups={"company": "acme"}, properties={"plan": "pro"}
    ):
        call(app)
    call(app)
    inside, outside = app.events()
    assert inside["distinct_id"] == "ada"
    assert inside["properties"]["$ai_session_id"] == "s1"
    assert inside["properties"]["$groups"] == {"company": "acme"}
    assert inside["properties"]["plan"] == "pro"
    assert outside["properties"]["$process_person_profile"] is False
    assert "plan" not in outside["properties"]


def test_no_attribute_appears_that_others_would_see(app: App) -> None:
    with otel_posthog.context(distinct_id="ada", properties={"plan": "pro"}):
        span = app.tracer.start_span("chat", attributes=CHAT)
    assert dict(span.attributes) == CHAT  # type: ignore[attr-defined]
    span.end()


def test_an_inner_context_keeps_what_it_does_not_say(app: App) -> None:
    outer = otel_posthog.context(distinct_id="ada", properties={"a": 1})
    with outer, otel_posthog.context(session_id="s1", properties={"b": 2}):
        call(app)
    (event,) = app.events()
    properties = event["properties"]
    assert (event["distinct_id"], properties["$ai_session_id"], properties["a"], properties["b"]) == ("ada", "s1", 1, 2)


def test_the_span_itself_wins_and_the_request_comes_after(app: App) -> None:
    request = app.tracer.start_as_current_span("POST", attributes={"user.id": "request", "session.id": "request"})
    with request, otel_posthog.context(distinct_id="context"):
        call(app)
        call(app, **{"user.id": "span"})
    found = [(event["distinct_id"], event["properties"]["$ai_session_id"]) for event in app.events()]
    assert found == [("context", "request"), ("span", "request")]


def test_as_a_decorator(app: App) -> None:
    @otel_posthog.context(distinct_id="ada")
    def answer(value: int) -> int:
        call(app)
        return value + 1

    assert answer(1) == 2
    assert answer.__name__ == "answer"
    (event,) = app.events()
    assert event["distinct_id"] == "ada"


def test_as_an_async_decorator_and_context_manager(app: App) -> None:
    @otel_posthog.context(distinct_id="decorated")
    async def decorated() -> None:
        await asyncio.sleep(0)
        call(app)

    async def managed(user: str) -> None:
        async with otel_posthog.context(distinct_id=user):
            await asyncio.sleep(0)
            call(app)

    async def main() -> None:
        await asyncio.gather(decorated(), *(managed(f"user-{n}") for n in range(5)), decorated())

    asyncio.run(main())
    users = sorted(event["distinct_id"] for event in app.events())
    assert users == ["decorated", "decorated", *(f"user-{n}" for n in range(5))]


def test_a_thread_that_carries_the_context_carries_this(app: App) -> None:
    with otel_posthog.context(distinct_id="ada"):
        carried = contextvars.copy_context()
    thread = threading.Thread(target=carried.run, args=(call, app))
    thread.start()
    thread.join()
    (event,) = app.events()
    assert event["distinct_id"] == "ada"


def test_content_can_be_kept_in_the_process(app: App) -> None:
    said = {"gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "secret"}]}]'}
    with otel_posthog.context(capture_content=False):
        call(app, **said)
    call(app, **said)
    kept, sent = app.events()
    assert "$ai_input" not in kept["properties"]
    assert sent["properties"]["$ai_input"] == [{"role": "user", "content": "secret"}]


def test_nothing_is_propagated_unless_asked() -> None:
    with otel_posthog.context(distinct_id="ada", session_id="s1"):
        assert baggage.get_all() == {}
    with otel_posthog.context(distinct_id="ada", session_id="s1", groups={"company": "acme"}, propagate=True):
        assert dict(baggage.get_all()) == {"posthog.distinct_id": "ada", "posthog.session_id": "s1"}


def test_another_process_reads_it_from_baggage(app: App) -> None:
    headers: dict[str, str] = {}
    with otel_posthog.context(distinct_id="ada", session_id="s1", propagate=True):
        W3CBaggagePropagator().inject(headers)
    token = attach(W3CBaggagePropagator().extract(headers))
    call(app)
    with app.tracer.start_as_current_span("POST", attributes={"user.id": "request"}):
        call(app)
    detach(token)
    found = sorted((event["distinct_id"], event["properties"]["$ai_session_id"]) for event in app.events())
    assert found == [("ada", "s1"), ("request", "s1")]


def test_the_posthog_sdks_own_context_is_read(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    sdk: Any = types.ModuleType("posthog.contexts")
    sdk.get_context_distinct_id = lambda: "ada"
    sdk.get_context_session_id = lambda: "s1"
    monkeypatch.setitem(sys.modules, "posthog.contexts", sdk)
    call(app)
    sdk.get_context_distinct_id = None  # a version without it
    call(app)
    one, two = app.events()
    assert (one["distinct_id"], one["properties"]["$ai_session_id"]) == ("ada", "s1")
    assert two["properties"]["$process_person_profile"] is False


def test_ids_that_are_no_texts_become_one(app: App) -> None:
    with otel_posthog.context(distinct_id=42, session_id=7, groups="acme", properties={1: 2}):  # type: ignore[arg-type]
        call(app)
    (event,) = app.events()
    assert (event["distinct_id"], event["properties"]["$ai_session_id"], event["properties"]["1"]) == ("42", "7", 2)


def test_an_id_that_posthog_refuses_hides_none(app: App) -> None:
    with otel_posthog.context(distinct_id="ada"):
        call(app, **{"user.id": "anonymous", "posthog.distinct_id": "null"})
    (event,) = app.events()
    assert event["distinct_id"] == "ada"


def test_one_object_in_two_threads(app: App) -> None:
    shared = otel_posthog.context(distinct_id="ada")
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with shared:
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait(10)
    with shared:
        leave.set()
        thread.join()
        call(app)
    call(app)
    assert sorted(event["distinct_id"] == "ada" for event in app.events()) == [False, True]


def test_an_inner_context_does_not_propagate_the_user_of_the_outer() -> None:
    with otel_posthog.context(distinct_id="ada", propagate=True), otel_posthog.context(distinct_id="grace"):
        assert baggage.get_baggage("posthog.distinct_id") == "grace"


def test_a_plain_exporter_sends_no_content_once_any_code_keeps_its_own(
    posthog: LocalPostHog, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = otel_posthog.PostHogSpanExporter("phc_test", posthog.url)
    exporter.export([ai_span()])
    with otel_posthog.context(capture_content=False):
        exporter.export([ai_span()])
    exporter.shutdown()
    before, after = (event["properties"] for event in posthog.events())
    assert "$ai_input" in before
    assert "$ai_input" not in after
    assert "the plain exporter cannot tell where" in caplog.text


def test_the_content_of_a_span_that_was_forgotten_stays_here(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_TRACES", 1)
    with otel_posthog.context(capture_content=False):
        span = app.tracer.start_span("chat", attributes={**CHAT, "gen_ai.input.messages": "a secret"})
    app.tracer.start_span("other").end()
    span.end()
    assert "a secret" not in str(app.events())


def test_a_generator_is_not_decorated_in_silence() -> None:
    def answers() -> Iterator[str]:
        yield "one"

    with pytest.raises(TypeError, match=r"context\(\) cannot decorate the generator"):
        otel_posthog.context(distinct_id="ada")(answers)
