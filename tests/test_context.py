"""otel_posthog.context: who the spans inside are for, in threads, tasks and other processes."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
import types
import weakref
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import attach, detach, get_current, set_value

import otel_posthog
from otel_posthog._context import capture_context_of
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


def test_the_content_of_a_span_whose_context_was_evicted_is_not_sent(posthog: LocalPostHog) -> None:
    app = App(posthog, max_memory_bytes=3072)
    with otel_posthog.context(capture_content=False):
        span = app.tracer.start_span("chat", attributes={**CHAT, "gen_ai.input.messages": "a secret"})
    assert app.events() == []  # the collector has seen the start, and has no room for it
    span.end()
    (event,) = app.events()
    assert "a secret" not in str(event)
    app.provider.shutdown()


def test_a_generator_is_not_decorated_in_silence() -> None:
    def answers() -> Iterator[str]:
        yield "one"

    with pytest.raises(TypeError, match=r"context\(\) cannot decorate the generator"):
        otel_posthog.context(distinct_id="ada")(answers)


# --- left elsewhere than entered


def served(app: App) -> Any:
    """A FastAPI app whose sync generators FastAPI runs step by step, each step in a context of its own."""
    fastapi = pytest.importorskip("fastapi")
    from fastapi.responses import StreamingResponse
    from fastapi.testclient import TestClient

    api = fastapi.FastAPI()

    def known_user() -> Iterator[str]:
        with otel_posthog.context(distinct_id="ada"):
            yield "ada"

    user = fastapi.Depends(known_user)

    @api.get("/stream")
    def stream() -> Any:
        def chunks() -> Iterator[str]:
            with otel_posthog.context(distinct_id="ada"):
                call(app)
                yield "one "
                yield "two"

        return StreamingResponse(chunks())

    @api.get("/dependency")
    def dependency(user: str = user) -> str:
        return user

    @api.get("/missing")
    def missing(user: str = user) -> str:
        raise fastapi.HTTPException(404)

    @api.get("/broken")
    def broken(user: str = user) -> str:
        raise ValueError("the app's own")

    return TestClient(api)


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The test must log nothing: OpenTelemetry's detach logs where it cannot."""
    yield
    assert [
        record.getMessage() for record in caplog.get_records("call") if record.name.startswith("opentelemetry")
    ] == []


def test_a_sync_generator_streams_to_its_end(app: App, quiet: None) -> None:
    client = served(app)
    assert [client.get("/stream").text for _ in range(3)] == ["one two"] * 3
    assert [event["distinct_id"] for event in app.events()] == ["ada"] * 3


def test_a_sync_dependency_is_left(app: App, quiet: None) -> None:
    assert served(app).get("/dependency").json() == "ada"


def test_a_404_stays_one_where_a_dependency_is_left(app: App, quiet: None) -> None:
    assert served(app).get("/missing").status_code == 404


def test_an_apps_error_stays_its_own_where_a_dependency_is_left(app: App, quiet: None) -> None:
    with pytest.raises(ValueError, match="the app's own"):
        served(app).get("/broken")


def ada() -> Iterator[None]:
    with otel_posthog.context(distinct_id="ada"):
        yield


def user_now() -> str | None:
    around = capture_context_of(None)
    return around.distinct_id if around is not None else None


def test_a_generator_closed_in_another_thread(quiet: None) -> None:
    opened = ada()
    contextvars.copy_context().run(next, opened)
    with ThreadPoolExecutor(1) as pool, otel_posthog.context(distinct_id="grace"):
        pool.submit(opened.close).result()
        assert user_now() == "grace"


def test_a_generator_collected_in_another_thread(quiet: None) -> None:
    held = [ada()]
    contextvars.copy_context().run(next, held[0])
    with ThreadPoolExecutor(1) as pool:
        pool.submit(held.clear).result()  # an error in it would be unraisable, which fails the test
    assert user_now() is None


def test_a_generator_closed_in_a_copy_of_its_context(quiet: None) -> None:
    def enter_and_copy() -> contextvars.Context:
        next(opened)
        return contextvars.copy_context()

    opened = ada()
    copy = contextvars.copy_context().run(enter_and_copy)
    copy.run(opened.close)
    assert copy.run(user_now) is None


def test_an_async_generator_closed_in_another_task(quiet: None) -> None:
    async def answers() -> AsyncIterator[str]:
        async with otel_posthog.context(distinct_id="ada"):
            yield "one"
            yield "two"

    async def consume() -> Any:
        opened = answers()
        await opened.__anext__()
        return opened

    async def main() -> None:
        opened = await asyncio.create_task(consume())
        with otel_posthog.context(distinct_id="grace"):
            await asyncio.create_task(opened.aclose())
            assert user_now() == "grace"

    asyncio.run(main())


def test_an_abandoned_async_generator_is_left_by_the_event_loop(quiet: None) -> None:
    async def answers() -> AsyncIterator[str]:
        with otel_posthog.context(distinct_id="ada"):
            yield "one"

    async def main() -> None:
        with otel_posthog.context(distinct_id="grace"):
            async for _ in answers():
                break
            await asyncio.sleep(0)
        assert user_now() is None

    asyncio.run(main())


def test_generators_by_turns_leave_nothing_behind(quiet: None) -> None:
    one, two = ada(), ada()
    next(one)
    next(two)
    one.close()
    two.close()
    assert user_now() is None


def test_a_task_that_outlives_a_context_stays_in_it() -> None:
    seen: list[str | None] = []

    async def work() -> None:
        await asyncio.sleep(0)
        with otel_posthog.context(distinct_id="grace"):
            seen.append(user_now())
        seen.append(user_now())

    async def main() -> None:
        with otel_posthog.context(distinct_id="ada"):
            task = asyncio.create_task(work())
        await task

    asyncio.run(main())
    assert seen == ["grace", "ada"]


def test_abandoned_generators_are_not_remembered() -> None:
    class Held:
        pass

    async def answers(held: Held) -> AsyncIterator[str]:
        token = attach(set_value("held", held))
        with otel_posthog.context(distinct_id="ada"):
            detach(token)  # what was around is only known to the context now
            yield "one"

    async def main() -> list[weakref.ref[Held]]:
        seen = []
        for _ in range(5):
            held = Held()
            seen.append(weakref.ref(held))
            async for _ in answers(held):
                break
            await asyncio.sleep(0)
        return seen

    async def remaining() -> list[bool]:
        seen = await main()
        gc.collect()
        return [held() is not None for held in seen]

    assert sum(asyncio.run(remaining())) <= 1


def test_what_was_around_is_current_again() -> None:
    before = get_current()
    with otel_posthog.context(distinct_id="ada"), otel_posthog.context(session_id="s1"):
        pass
    assert get_current() is before


def test_properties_that_are_no_mapping_are_left_out(app: App) -> None:
    with otel_posthog.context(distinct_id="ada", properties=["plan"]):  # type: ignore[arg-type]
        call(app)
    assert app.events()[0]["distinct_id"] == "ada"
