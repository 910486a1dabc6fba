"""Real apps: a FastAPI service under load, tasks and threads, two providers, another exporter beside ours."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest
import requests
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import otel_posthog
from otel_posthog.local import LocalPostHog
from tests.test_live import AGENT, CHAT, App

USERS = 20


@pytest.fixture
def app(posthog: LocalPostHog) -> Iterator[App]:
    running = App(posthog)
    yield running
    running.provider.shutdown()


# --- FastAPI


def service(app: App) -> Any:
    """A service that knows its user in a middleware and calls models in every way."""
    fastapi = pytest.importorskip("fastapi")
    instrumentation = pytest.importorskip("opentelemetry.instrumentation.fastapi")
    from fastapi.responses import StreamingResponse

    api = fastapi.FastAPI()

    @api.middleware("http")
    async def know_the_user(request: Any, call_next: Any) -> Any:
        trace.get_current_span().set_attribute("user.id", request.headers["x-user"])
        return await call_next(request)

    def call(user: str, way: str) -> None:
        with app.tracer.start_as_current_span("chat", attributes={**CHAT, "app.user": user, "app.way": way}):
            time.sleep(0.002)

    @api.get("/async")
    async def in_a_task(user: str) -> str:
        with app.tracer.start_as_current_span("agent", attributes={**AGENT, "app.user": user, "app.way": "agent"}):
            await asyncio.sleep(0.005)
            await asyncio.gather(*(asyncio.to_thread(call, user, "gathered") for _ in range(2)))
        return "ok"

    @api.get("/sync")
    def in_a_worker_thread(user: str) -> str:
        call(user, "sync")
        return "ok"

    @api.get("/stream")
    async def in_a_stream(user: str) -> Any:
        async def chunks() -> AsyncIterator[str]:
            with app.tracer.start_as_current_span("chat", attributes={**CHAT, "app.user": user, "app.way": "stream"}):
                for _ in range(3):
                    await asyncio.sleep(0.003)
                    yield "chunk"

        return StreamingResponse(chunks())

    instrumentation.FastAPIInstrumentor.instrument_app(api, tracer_provider=app.provider)
    return api


@pytest.fixture
def url(app: App) -> Iterator[str]:
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(service(app), port=0, log_level="error", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_every_call_of_a_busy_service_has_its_user(app: App, url: str) -> None:
    def visit(number: int) -> None:
        user = f"user-{number % USERS}"
        for path in ("async", "sync", "stream"):
            requests.get(
                f"{url}/{path}", params={"user": user}, headers={"x-user": user}, timeout=30
            ).raise_for_status()

    with ThreadPoolExecutor(USERS) as pool:
        list(pool.map(visit, range(3 * USERS)))
    events = app.events()
    calls = [event for event in events if event["event"] == "$ai_generation"]
    assert len(calls) == 3 * USERS * 4
    assert [event for event in events if event["distinct_id"] != event["properties"]["app.user"]] == []
    agents = {event["properties"]["$ai_span_id"] for event in events if event["event"] == "$ai_span"}
    assert len(agents) == 3 * USERS
    for event in calls:
        parent, trace_id = event["properties"]["$ai_parent_id"], event["properties"]["$ai_trace_id"]
        assert parent in agents if event["properties"]["app.way"] == "gathered" else parent == trace_id


# --- tasks and threads


def test_tasks_and_threads_that_carry_the_context_carry_the_user(app: App) -> None:
    def call(user: str) -> None:
        app.tracer.start_span("chat", attributes={**CHAT, "app.user": user}).end()

    async def work(user: str) -> None:
        with otel_posthog.context(distinct_id=user, session_id=f"session of {user}"):
            await asyncio.sleep(0.001)
            await asyncio.gather(asyncio.to_thread(call, user), asyncio.create_task(asyncio.to_thread(call, user)))
            carried = copy_context()
        thread = threading.Thread(target=carried.run, args=(call, user))
        thread.start()
        await asyncio.to_thread(thread.join)

    async def main() -> None:
        await asyncio.gather(*(work(f"user-{number}") for number in range(USERS)))

    asyncio.run(main())
    events = app.events()
    assert len(events) == 3 * USERS
    assert [event for event in events if event["distinct_id"] != event["properties"]["app.user"]] == []
    assert [e for e in events if e["properties"]["$ai_session_id"] != f"session of {e['distinct_id']}"] == []


# --- two providers, two exporters


def test_the_other_provider_of_the_process_is_left_alone(posthog: LocalPostHog) -> None:
    ours, theirs = TracerProvider(shutdown_on_exit=False), TracerProvider(shutdown_on_exit=False)
    handle = otel_posthog.configure("phc_test", posthog.url, tracer_provider=ours)
    theirs.get_tracer("app").start_span("chat", attributes=CHAT).end()
    ours.get_tracer("app").start_span("chat", attributes=CHAT).end()
    assert handle.flush(10_000)
    assert len(posthog.events()) == 1
    handle.shutdown()


def test_the_spans_of_another_exporter_are_the_same_with_and_without_us(posthog: LocalPostHog) -> None:
    def spans(with_us: bool) -> list[str]:
        kept = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        if with_us:
            otel_posthog.configure("phc_test", posthog.url, tracer_provider=provider, redact=["email"])
        provider.add_span_processor(SimpleSpanProcessor(kept))
        tracer = provider.get_tracer("app")
        with otel_posthog.context(distinct_id="ada", properties={"team": "search"}):
            request = tracer.start_span("POST /chat", attributes={"user.id": "ada"}, start_time=1)
            around = trace.set_span_in_context(request)
            span = tracer.start_span("chat", around, attributes={**CHAT, "note": "a@b.example"}, start_time=2)
            span.add_event("gen_ai.choice", {"content": "answer to a@b.example"}, timestamp=3)
            span.end(end_time=4)
            request.end(end_time=5)
        provider.force_flush()
        return [_without_ids(span.to_json()) for span in kept.get_finished_spans()]

    assert spans(with_us=True) == spans(with_us=False)
    assert len(posthog.events()) == 1


def _without_ids(span: str) -> str:
    return "\n".join(line for line in span.splitlines() if "_id" not in line and "service.instance" not in line)
