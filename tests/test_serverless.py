"""Serverless: a call's events are at PostHog when its handler returns."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from otel_posthog import Handle, configure, flush, flush_on_return
from otel_posthog.local import LocalPostHog
from otel_posthog.local.faults import Fault

SOON = 5.0  # seconds


@pytest.fixture
def app(posthog: LocalPostHog) -> Iterator[Handle]:
    handle = configure("phc_key", posthog.url, tracer_provider=TracerProvider(shutdown_on_exit=False))
    yield handle
    handle.shutdown(500)


def call_model(app: Handle) -> None:
    with app.tracer_provider.get_tracer("app").start_as_current_span(
        "chat", attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5-mini"}
    ):
        pass


class LambdaContext:
    def __init__(self, left: int) -> None:
        self.left = left

    def get_remaining_time_in_millis(self) -> int:
        return self.left


def test_flush_delivers_what_has_ended(app: Handle, posthog: LocalPostHog) -> None:
    call_model(app)
    assert flush(10_000) is True
    assert len(posthog.events()) == 1


def test_flush_says_when_posthog_has_not_taken_all(app: Handle, posthog: LocalPostHog) -> None:
    posthog.stop()
    call_model(app)
    begun = time.monotonic()
    assert flush(300) is False
    assert time.monotonic() - begun < SOON


def test_flush_without_anything_to_flush_is_a_success() -> None:
    assert flush(100) is True


def test_a_handler_returns_its_result_after_its_events(app: Handle, posthog: LocalPostHog) -> None:
    @flush_on_return
    def handler(event: dict[str, Any], context: LambdaContext) -> str:
        call_model(app)
        return event["name"]

    assert handler({"name": "ada"}, LambdaContext(10_000)) == "ada"
    assert len(posthog.events()) == 1
    assert handler.__name__ == "handler"


def test_a_handler_that_raises_has_its_events_delivered_too(app: Handle, posthog: LocalPostHog) -> None:
    @flush_on_return(timeout_millis=10_000)
    def handler() -> None:
        call_model(app)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        handler()
    assert len(posthog.events()) == 1


def test_an_async_handler(app: Handle, posthog: LocalPostHog) -> None:
    @flush_on_return
    async def handler(number: int) -> int:
        await asyncio.sleep(0)
        call_model(app)
        return number

    assert asyncio.run(handler(3)) == 3
    assert len(posthog.events()) == 1


@pytest.mark.parametrize("left", [100, 500])
def test_the_time_of_the_call_bounds_the_flush(app: Handle, posthog: LocalPostHog, left: int) -> None:
    posthog.stop()

    @flush_on_return(timeout_millis=60_000)
    def handler(event: None, context: LambdaContext) -> None:
        call_model(app)

    begun = time.monotonic()
    handler(None, LambdaContext(left))
    assert time.monotonic() - begun < SOON


@pytest.mark.parametrize("broken", [lambda: "soon", lambda: 1 / 0])
def test_an_argument_that_only_looks_like_a_context(
    app: Handle, posthog: LocalPostHog, broken: Callable[[], Any]
) -> None:
    context = LambdaContext(0)
    context.get_remaining_time_in_millis = broken  # type: ignore[method-assign]
    flush_on_return(lambda context: call_model(app))(context)
    assert len(posthog.events()) == 1


def test_flush_reaches_the_exporter_of_the_environment(posthog: LocalPostHog) -> None:
    """Behind the SDK's own BatchSpanProcessor, in a process that ends without a word to anybody."""
    code = """
import os, otel_posthog
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from otel_posthog._configure import EnvironmentSpanExporter
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(EnvironmentSpanExporter()))
trace.set_tracer_provider(provider)
trace.get_tracer("app").start_span("chat", attributes={"gen_ai.operation.name": "chat"}).end()
assert otel_posthog.flush(10_000)
os._exit(0)
"""
    environ = {"POSTHOG_API_KEY": "phc_key", "POSTHOG_HOST": posthog.url}
    subprocess.run([sys.executable, "-c", code], env=environ, check=True, timeout=60)
    assert len(posthog.events()) == 1


def test_a_handler_that_streams_is_flushed_at_its_end(app: Handle, posthog: LocalPostHog) -> None:
    @flush_on_return
    def handler(words: int) -> Iterator[str]:
        call_model(app)
        yield from ["word"] * words

    @flush_on_return
    async def handler_async(words: int) -> Any:
        call_model(app)
        for _ in range(words):
            yield "word"

    async def read() -> list[str]:
        return [word async for word in handler_async(2)]

    assert list(handler(3)) == ["word"] * 3
    assert len(posthog.events()) == 1
    assert asyncio.run(read()) == ["word"] * 2
    assert len(posthog.events()) == 2


def test_other_tasks_go_on_while_an_async_handler_is_flushed(app: Handle, posthog: LocalPostHog) -> None:
    posthog.faults = [Fault.parse("latency=1")]
    ticks: list[float] = []

    @flush_on_return
    async def handler() -> None:
        call_model(app)

    async def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.05)

    async def both() -> None:
        ticking = asyncio.create_task(tick())
        await handler()
        ticking.cancel()

    asyncio.run(both())
    assert len(posthog.events()) == 1
    assert len(ticks) > 5
