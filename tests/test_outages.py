"""The processor while PostHog is down, slow or says no: the app goes on, the memory is bounded, the books are right."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

from otel_posthog import PostHogSpanProcessor
from otel_posthog.local import LocalPostHog
from otel_posthog.local.faults import Fault
from tests.support.processes import run_python
from tests.support.spans import CHAT

SOON = 5.0  # seconds
MakeApp = Callable[..., tuple[PostHogSpanProcessor, Tracer]]


@pytest.fixture
def app_for(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeApp]:
    """Makes a processor and a tracer; at the end the processor stops in a moment and its books must be right."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
    made: list[PostHogSpanProcessor] = []

    def make(posthog: LocalPostHog | str, **options: Any) -> tuple[PostHogSpanProcessor, Tracer]:
        host = posthog if isinstance(posthog, str) else posthog.url
        processor = PostHogSpanProcessor("phc_test", host, **options)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(processor)
        made.append(processor)
        return processor, provider.get_tracer("tests")

    yield make
    for processor in made:
        processor.stop(200)
        # A request that was under way, and spans that were being mapped.
        wait_until(lambda processor=processor: not (processor.stats().pending or processor.stats().queued))
        stats = processor.stats()
        assert stats.accepted == stats.delivered + sum(stats.dropped.values())


def call(tracer: Tracer, **attributes: Any) -> None:
    tracer.start_span("chat", attributes=CHAT | attributes).end()


def wait_until(condition: Callable[[], object], timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


# --- while it is down


def test_what_ends_during_an_outage_arrives_after_it(posthog: LocalPostHog, app_for: MakeApp) -> None:
    posthog.faults = [Fault.parse("503")]
    processor, tracer = app_for(posthog)
    for _ in range(3):
        call(tracer)
        time.sleep(0.1)
    assert posthog.events() == []
    posthog.faults = []
    wait_until(lambda: len(posthog.events()) == 3)
    assert processor.force_flush(10_000) is True
    assert processor.stats().dropped == {}


def test_an_outage_longer_than_retry_for_is_a_loss_with_its_reason(posthog: LocalPostHog, app_for: MakeApp) -> None:
    posthog.faults = [Fault.parse("503")]
    processor, tracer = app_for(posthog, retry_for=0.3)
    call(tracer)
    wait_until(lambda: processor.stats().dropped)
    assert processor.stats().dropped == {"http_503": 1}


def test_no_more_retries_than_allowed(posthog: LocalPostHog, app_for: MakeApp) -> None:
    posthog.faults = [Fault.parse("503")]
    processor, tracer = app_for(posthog, max_retries=2)
    call(tracer)
    wait_until(lambda: processor.stats().dropped)
    assert [request.status for request in posthog.requests()] == [503, 503, 503]


@pytest.mark.parametrize("fault", ["hang", "503", "latency=20", "429:retry-after=60", "reset"])
def test_the_app_does_not_wait_while_the_sender_does(posthog: LocalPostHog, app_for: MakeApp, fault: str) -> None:
    posthog.faults = [Fault.parse(fault)]
    processor, tracer = app_for(posthog)
    call(tracer)
    wait_until(posthog.requests if fault not in ("hang", "latency=20") else lambda: processor.stats().accepted)
    begun = time.monotonic()
    for _ in range(2000):
        call(tracer)
    assert time.monotonic() - begun < SOON
    wait_until(lambda: processor.stats().queued + processor.stats().pending >= 2000)


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_the_queue_is_bounded_and_says_what_it_costs(posthog: LocalPostHog, app_for: MakeApp, policy: str) -> None:
    posthog.faults = [Fault.parse("503:retry-after=1")]
    lost: list[tuple[str, str, str]] = []
    processor, tracer = app_for(posthog, max_queue_size=10, when_full=policy, on_drop=lambda *told: lost.append(told))
    for number in range(50):
        call(tracer, **{"app.number": number})
    processor.force_flush(100)
    posthog.faults = []
    processor.force_flush(20_000)
    stats, arrived = processor.stats(), {event["properties"]["app.number"] for event in posthog.events()}
    assert stats.dropped == {"queue_full": 50 - len(arrived)}
    assert 5 <= len(arrived) <= 20
    assert (0 in arrived, 49 in arrived) == (policy == "drop_newest", policy == "drop_oldest")
    assert len({uuid for _, uuid, _ in lost}) == 50 - len(arrived)
    assert {reason for _, _, reason in lost} == {"queue_full"}


def test_the_queue_is_bounded_in_bytes(posthog: LocalPostHog, app_for: MakeApp) -> None:
    posthog.faults = [Fault.parse("503:retry-after=60")]
    processor, tracer = app_for(posthog, max_memory_bytes=1024 * 1024)
    for _ in range(100):
        call(tracer, **{"gen_ai.input.messages": "a question " * 10_000})
    wait_until(lambda: processor.stats().dropped.get("queue_full", 0) >= 90)
    processor.force_flush(300)
    stats = processor.stats()
    assert stats.dropped == {"queue_full": 100 - stats.pending}
    assert 1 <= stats.pending <= 10


# --- flush and shutdown


@pytest.mark.parametrize("fault", ["hang", "503", "latency=30", "429:retry-after=60"])
def test_flush_and_stop_return_in_time_and_say_no(posthog: LocalPostHog, app_for: MakeApp, fault: str) -> None:
    posthog.faults = [Fault.parse(fault)]
    processor, tracer = app_for(posthog)
    call(tracer)
    begun = time.monotonic()
    assert processor.force_flush(300) is False
    assert processor.stop(500) is False
    processor.stop(500)
    assert time.monotonic() - begun < SOON
    wait_until(lambda: processor.stats().pending == 0)
    assert sum(processor.stats().dropped.values()) == 1


def test_a_flush_that_loses_events_says_no(posthog: LocalPostHog, app_for: MakeApp) -> None:
    posthog.faults = [Fault.parse("402:times=1")]
    processor, tracer = app_for(posthog)
    call(tracer)
    assert processor.force_flush(10_000) is False
    call(tracer)
    assert processor.force_flush(10_000) is True


def test_a_flush_from_a_signal_handler(posthog: LocalPostHog, app_for: MakeApp) -> None:
    processor, tracer = app_for(posthog)
    flushed: list[bool] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: flushed.append(processor.force_flush(10_000)))
    try:
        for number in range(300):  # somewhere inside of a span's start and end, some of the times
            call(tracer)
            if number % 100 == 50:
                os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert processor.force_flush(10_000) is True
    assert flushed == [True] * 3
    assert len(posthog.events()) == 300


def test_a_flush_from_many_threads(posthog: LocalPostHog, app_for: MakeApp) -> None:
    processor, tracer = app_for(posthog)
    results: list[bool] = []

    def work() -> None:
        for _ in range(20):
            call(tracer)
        results.append(processor.force_flush(20_000))

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 20
    assert len(posthog.events()) == 400


KEY = {"POSTHOG_API_KEY": "phc_test"}
APP = """
import os, sys, threading
from otel_posthog import configure
handle = configure()
def call():
    handle.tracer_provider.get_tracer("app").start_span("chat", attributes={"gen_ai.operation.name": "chat"}).end()
"""
ENDS = {
    "by itself": "call()",
    "with an exception": "call(); raise SystemExit(3)",
    "in an atexit handler": "import atexit; call(); atexit.register(call)",
    "from a daemon thread": "threading.Thread(target=call, daemon=True).start(); threading.Event().wait(0.2)",
    "under asyncio": "import asyncio\nasync def main(): call()\nasyncio.run(main())",
}


@pytest.mark.parametrize("way", ENDS)
def test_a_process_that_ends_sends_what_it_has(posthog: LocalPostHog, way: str) -> None:
    ended = run_python(APP + ENDS[way], {**KEY, "POSTHOG_HOST": posthog.url})
    assert ended.returncode in (0, 3), ended.stderr
    assert len(posthog.events()) == 1 + (way == "in an atexit handler")


@pytest.mark.parametrize("fault", ["hang", "503"])
def test_a_process_ends_in_time_while_posthog_is_down(posthog: LocalPostHog, fault: str) -> None:
    posthog.faults = [Fault.parse(fault)]
    begun = time.monotonic()
    ended = run_python(APP + "call()", {**KEY, "POSTHOG_HOST": posthog.url, "OTEL_EXPORTER_POSTHOG_TIMEOUT": "1"})
    assert ended.returncode == 0
    assert time.monotonic() - begun < 4 * SOON
    assert "1 event not sent to PostHog" in ended.stderr or "1 event was still on the way" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_under_monkey_patching(posthog: LocalPostHog, library: str) -> None:
    patch = {
        "gevent": "from gevent import monkey; monkey.patch_all()",
        "eventlet": "import eventlet; eventlet.monkey_patch()",
    }
    pytest.importorskip(library)
    code = patch[library] + APP + "call()\nassert handle.flush(10_000)\ncall()"
    ended = run_python(code, {**KEY, "POSTHOG_HOST": posthog.url})
    assert ended.returncode == 0, ended.stderr
    assert len(posthog.events()) == 2


def test_a_child_of_a_server_that_tells_python_of_a_fork_when_it_is_over(posthog: LocalPostHog) -> None:
    """As uWSGI does, which forks in C. Python 3.13 wants its import lock held meanwhile, as around ``os.fork``."""
    code = """
import _imp, ctypes
call()
_imp.acquire_lock()
pid = ctypes.PyDLL(None).fork()
if pid == 0:
    ctypes.pythonapi.PyOS_AfterFork_Child()
else:
    _imp.release_lock()
call()
assert handle.flush(10_000)
if pid == 0:
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""
    ended = run_python(APP + code, {**KEY, "POSTHOG_HOST": posthog.url})
    assert ended.returncode == 0, ended.stderr
    assert len(posthog.events()) == 3
    assert {event["deliveries"] for event in posthog.events()} == {1}


# --- over the disk


def test_with_a_spool_a_killed_process_loses_nothing_that_is_on_disk(posthog: LocalPostHog, tmp_path: Path) -> None:
    settings = {**KEY, "POSTHOG_HOST": posthog.url, "OTEL_EXPORTER_POSTHOG_SPOOL_DIR": str(tmp_path)}
    posthog.faults = [Fault.parse("503")]
    kill = """
import time
for _ in range(700): call()
while handle.stats().spooled < 700: time.sleep(0.05)
os.kill(os.getpid(), 9)
"""
    assert run_python(APP + kill, settings).returncode == -9
    posthog.faults = []
    ended = run_python(APP + "call()\nhandle.flush(20_000)\nassert handle.stats().delivered >= 701", settings)
    assert ended.returncode == 0, ended.stderr
    assert len(posthog.events()) == 701


# --- seeing it


def points(data: MetricsData | None, name: str) -> list[tuple[dict[str, Any], Any]]:
    assert data is not None
    return [
        (dict(point.attributes or {}), getattr(point, "value", None) or getattr(point, "count", 0))
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in metric.data.data_points
    ]


def test_the_counters_as_metrics(posthog: LocalPostHog, app_for: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr("otel_posthog.metrics.get_meter", provider.get_meter)
    posthog.faults = [Fault.parse("503:times=1"), Fault.parse("402:times=1")]
    processor, tracer = app_for(posthog)
    call(tracer)
    processor.force_flush(10_000)
    call(tracer)
    processor.force_flush(10_000)
    data = reader.get_metrics_data()
    exported = {a.get("error.type"): value for a, value in points(data, "otel.sdk.exporter.span.exported")}
    assert exported == {None: 1, "http_402": 1}
    requests = points(data, "otel.sdk.exporter.operation.duration")
    assert {a["http.response.status_code"]: count for a, count in requests} == {503: 1, 402: 1, 200: 1}
    assert [value for _, value in points(data, "otel.sdk.processor.span.queue.capacity")] == [50_000]
    assert [value for _, value in points(data, "otel.sdk.processor.span.queue.size")] == [0]
    assert {a["otel.component.type"] for a, _ in requests} == {"posthog_span_processor"}
    provider.shutdown()


def test_on_drop_is_told_of_each_event_and_its_errors_stay_here(
    posthog: LocalPostHog, app_for: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    posthog.faults = [Fault.parse("402")]
    told: list[tuple[str, str, str]] = []

    def on_drop(name: str, uuid: str, reason: str) -> None:
        told.append((name, uuid, reason))
        raise ValueError("broken")

    processor, tracer = app_for(posthog, on_drop=on_drop)
    call(tracer)
    processor.force_flush(10_000)
    ((name, uuid, reason),) = told
    assert (name, len(uuid), reason) == ("$ai_generation", 36, "http_402")
    assert "on_drop raised ValueError" in caplog.text
