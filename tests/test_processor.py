"""PostHogSpanProcessor, from the app's span to the event in PostHog."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import SpanContext, TraceFlags, Tracer

from otel_posthog import ConfigurationError, PostHogSpanExporter, PostHogSpanProcessor
from otel_posthog.local import LocalPostHog
from otel_posthog.local.faults import Fault
from tests.support.made import made_span
from tests.support.spans import CHAT, HTTP, torn

AN_HOUR = str(60 * 60 * 1000)  # milliseconds
MakeProcessor = Callable[..., tuple[PostHogSpanProcessor, Tracer]]


@pytest.fixture
def processor_for(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeProcessor]:
    """Makes a processor and a tracer that writes to it. Only a flush or a full batch sends, unless the test says so."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", AN_HOUR)
    providers: list[TracerProvider] = []

    def make(host: str | None = None, **options: Any) -> tuple[PostHogSpanProcessor, Tracer]:
        processor = PostHogSpanProcessor("phc_test", host, **options)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(processor)
        providers.append(provider)
        return processor, provider.get_tracer("tests")

    yield make
    for provider in providers:
        provider.shutdown()


def call(tracer: Tracer, name: str = "chat", attributes: dict[str, Any] = CHAT) -> None:
    tracer.start_span(name, attributes=attributes).end()


def test_a_span_that_ends_arrives(posthog: LocalPostHog, processor_for: MakeProcessor) -> None:
    processor, tracer = processor_for(posthog.url)
    call(tracer)
    assert processor.force_flush() is True
    assert [event["event"] for event in posthog.events()] == ["$ai_generation"]


def test_attributes_that_are_set_late_arrive(posthog: LocalPostHog, processor_for: MakeProcessor) -> None:
    processor, tracer = processor_for(posthog.url)
    with tracer.start_as_current_span("chat") as span:
        span.set_attributes(CHAT)
    processor.force_flush()
    assert posthog.events()[0]["properties"]["$ai_input_tokens"] == 12


def test_parents_and_children_arrive_as_a_tree(posthog: LocalPostHog, processor_for: MakeProcessor) -> None:
    processor, tracer = processor_for(posthog.url)
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "bird"}
    with tracer.start_as_current_span("invoke_agent", attributes=agent):
        call(tracer)
    processor.force_flush()
    child, parent = posthog.events()
    assert child["properties"]["$ai_parent_id"] == parent["properties"]["$ai_span_id"]
    assert child["properties"]["$ai_trace_id"] == parent["properties"]["$ai_trace_id"]


def test_many_spans_share_a_request(posthog: LocalPostHog, processor_for: MakeProcessor) -> None:
    processor, tracer = processor_for(posthog.url)
    for _ in range(50):
        call(tracer)
    processor.force_flush()
    assert [request.events for request in posthog.requests()] == [50]


def test_only_ai_spans_are_sent(posthog: LocalPostHog, processor_for: MakeProcessor) -> None:
    processor, tracer = processor_for(posthog.url)
    call(tracer, "GET", HTTP)
    processor.force_flush()
    assert posthog.requests() == []


def test_an_unsampled_span_is_not_sent(posthog: LocalPostHog, processor_for: MakeProcessor) -> None:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    processor, _ = processor_for(posthog.url)
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    call(provider.get_tracer("tests"))
    processor.force_flush()
    assert posthog.requests() == []


def test_an_attribute_name_that_is_no_text_does_not_reach_the_app(
    posthog: LocalPostHog, processor_for: MakeProcessor
) -> None:
    processor, _ = processor_for(posthog.url)
    processor.on_end(made_span(attributes={3: "odd", **CHAT}))  # type: ignore[dict-item]
    processor.force_flush()
    assert len(posthog.events()) == 1


def test_a_flush_ends_in_its_time(posthog: LocalPostHog, processor_for: MakeProcessor) -> None:
    posthog.faults = [Fault.parse("latency=2")]
    processor, tracer = processor_for(posthog.url)
    call(tracer)
    assert processor.force_flush(timeout_millis=50) is False


def test_a_flush_does_not_wait_for_spans_that_end_after_it(posthog: LocalPostHog, processor_for: MakeProcessor) -> None:
    processor, tracer = processor_for(posthog.url)
    is_over = threading.Event()

    def keep_calling() -> None:
        while not is_over.wait(0.001):
            call(tracer)

    thread = threading.Thread(target=keep_calling)
    thread.start()
    try:
        assert processor.force_flush() is True
    finally:
        is_over.set()
        thread.join()


def test_a_flush_sends_what_waits_for_its_trace(posthog: LocalPostHog, processor_for: MakeProcessor) -> None:
    processor, tracer = processor_for(posthog.url)
    with tracer.start_as_current_span("still open"):
        call(tracer)
        processor.force_flush()
        assert len(posthog.events()) == 1


def test_a_span_that_cannot_be_read_does_not_stop_the_thread(
    posthog: LocalPostHog, processor_for: MakeProcessor
) -> None:
    processor, tracer = processor_for(posthog.url)
    processor.on_end(torn())
    assert processor.force_flush(timeout_millis=5000) is False  # it is lost
    call(tracer)
    assert processor.force_flush(timeout_millis=5000) is True
    assert len(posthog.events()) == 1


def test_a_span_that_cannot_be_followed_is_counted(
    posthog: LocalPostHog, processor_for: MakeProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor, tracer = processor_for(posthog.url)
    with monkeypatch.context() as patched:
        patched.setattr(processor.exporter.runtime.collector._traces, "end", Mock(side_effect=RuntimeError))
        call(tracer)
        processor.force_flush()
    assert processor.stats().dropped == {"mapping_failed": 1}


def test_shutdown_sends_what_is_queued(posthog: LocalPostHog, processor_for: MakeProcessor) -> None:
    processor, tracer = processor_for(posthog.url)
    call(tracer)
    processor.shutdown()
    assert len(posthog.events()) == 1


def test_shutdown_of_the_provider_sends_what_is_queued(posthog: LocalPostHog) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(PostHogSpanProcessor("phc_test", posthog.url))
    call(provider.get_tracer("tests"))
    provider.shutdown()
    assert len(posthog.events()) == 1


def test_shutdown_may_be_called_twice(posthog: LocalPostHog, processor_for: MakeProcessor) -> None:
    processor, tracer = processor_for(posthog.url)
    call(tracer)
    processor.shutdown()
    processor.shutdown()
    assert processor.stats().delivered == 1


def test_a_span_after_shutdown_is_not_sent(posthog: LocalPostHog, processor_for: MakeProcessor) -> None:
    processor, tracer = processor_for(posthog.url)
    processor.shutdown()
    call(tracer)
    processor.force_flush()
    assert posthog.requests() == []
    assert processor.stats().dropped == {"shutdown": 1}


def test_shutdown_stops_the_thread(posthog: LocalPostHog, processor_for: MakeProcessor) -> None:
    before = set(threading.enumerate())
    processor, tracer = processor_for(posthog.url)
    call(tracer)
    processor.shutdown()
    started = set(threading.enumerate()) - before
    for thread in started:
        thread.join(5)
    assert not [thread for thread in started if thread.is_alive()]


@pytest.mark.parametrize("place", ["_traces.take", "_pipeline.run", "_delivery.put", "_handle"])
def test_a_span_is_counted_wherever_it_is(
    posthog: LocalPostHog, processor_for: MakeProcessor, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    processor, tracer = processor_for(posthog.url)
    collector = processor.exporter.runtime.collector
    holder, method = collector, place
    if "." in place:
        owner, _, method = place.partition(".")
        holder = getattr(collector, owner)
    original, seen = getattr(holder, method), list[int]()

    def watched(*arguments: Any, **named: Any) -> Any:
        result = original(*arguments, **named)
        stats = processor.stats()
        seen.append(stats.queued + stats.accepted)
        return result

    with tracer.start_as_current_span("chat", attributes=CHAT):
        monkeypatch.setattr(holder, method, watched)
    processor.force_flush()
    assert seen
    assert all(count >= 1 for count in seen)


def test_a_span_that_moves_on_while_it_is_counted_is_not_missed(
    posthog: LocalPostHog, processor_for: MakeProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor, tracer = processor_for(posthog.url)
    call(tracer)
    runtime = processor.exporter.runtime
    monkeypatch.setattr(runtime.delivery, "stats", _then(runtime.delivery.stats, processor.force_flush))
    stats = processor.stats()
    assert stats.queued + stats.accepted >= 1


def _then(first: Callable[[], Any], second: Callable[[], Any]) -> Callable[[], Any]:
    def both() -> Any:
        result = first()
        second()
        return result

    return both


def test_stats_are_those_of_the_exporter(posthog: LocalPostHog, processor_for: MakeProcessor) -> None:
    posthog.faults = [Fault.parse("402:times=1")]
    processor, tracer = processor_for(posthog.url)
    for _ in range(2):
        call(tracer)
        processor.force_flush()
    stats = processor.stats()
    assert (stats.accepted, stats.delivered, stats.dropped) == (2, 1, {"http_402": 1})


def test_an_exporter_may_be_handed_over(posthog: LocalPostHog, processor_for: MakeProcessor) -> None:
    exporter = PostHogSpanExporter("phc_test", posthog.url, distinct_id="ada")
    processor, tracer = processor_for(exporter=exporter)
    call(tracer)
    processor.force_flush()
    assert processor.exporter is exporter
    assert posthog.events()[0]["distinct_id"] == "ada"


def test_options_are_those_of_the_exporter(posthog: LocalPostHog, processor_for: MakeProcessor) -> None:
    processor, tracer = processor_for(posthog.url, properties={"team": "search"})
    call(tracer)
    processor.force_flush()
    assert posthog.events()[0]["properties"]["team"] == "search"


def test_a_bad_option_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="timeout"):
        PostHogSpanProcessor("phc_test", timeout=-1)


def test_a_full_batch_is_sent_at_once(
    posthog: LocalPostHog, processor_for: MakeProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")
    _, tracer = processor_for(posthog.url)
    call(tracer)
    call(tracer)
    assert len(posthog.wait_for(2)) == 2


def test_only_ai_spans_take_a_place_in_the_queue(
    posthog: LocalPostHog, processor_for: MakeProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "2")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")
    processor, tracer = processor_for(posthog.url)
    call(tracer)
    for _ in range(100):
        call(tracer, "GET", HTTP)
    processor.force_flush()
    assert len(posthog.events()) == 1
    assert processor.stats().dropped == {}


def test_what_a_full_queue_refuses_is_counted(
    posthog: LocalPostHog, processor_for: MakeProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "4")
    posthog.faults = [Fault.parse("latency=0.3")]
    processor, tracer = processor_for(posthog.url)
    for _ in range(100):
        call(tracer)
    processor.force_flush()
    stats = processor.stats()
    assert stats.dropped.keys() == {"queue_full"}
    assert stats.accepted == 100
    assert stats.delivered == len(posthog.events()) >= 4


@pytest.mark.parametrize(
    "variable", ["OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"]
)
@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_bad_variable_is_named_with_its_value(
    processor_for: MakeProcessor, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=rf"{variable} (is|must be) .*{value}"):
        processor_for("http://127.0.0.1:9")


def test_an_empty_variable_counts_as_unset(
    posthog: LocalPostHog, processor_for: MakeProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SCHEDULE_DELAY", "MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE"):
        monkeypatch.setenv(f"OTEL_BSP_{name}", "")
    processor, tracer = processor_for(posthog.url)
    call(tracer)
    assert processor.force_flush() is True
    assert len(posthog.events()) == 1


def test_the_schedule_delay_of_the_environment_is_kept(
    posthog: LocalPostHog, processor_for: MakeProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    _, tracer = processor_for(posthog.url)
    call(tracer)
    assert len(posthog.wait_for(1)) == 1


def test_twenty_threads_lose_no_span(posthog: LocalPostHog, processor_for: MakeProcessor) -> None:
    processor, tracer = processor_for(posthog.url)

    def work() -> None:
        for _ in range(20):
            call(tracer)

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    processor.force_flush()
    assert len(posthog.events()) == 400
    assert processor.stats().delivered == 400


def test_a_span_is_queued_or_accepted_at_every_moment(posthog: LocalPostHog, processor_for: MakeProcessor) -> None:
    processor, _ = processor_for(posthog.url)
    ended: list[ReadableSpan] = []
    missing: list[int] = []

    class Watched(ReadableSpan):
        """Looks at the stats whenever the collector looks at it."""

        is_looking = False

        def get_span_context(self) -> Any:
            if not Watched.is_looking and threading.current_thread().name == "otel-posthog-collector":
                Watched.is_looking = True  # the stats look at the spans in turn
                so_far, stats = len(ended), processor.stats()
                missing.append(so_far - stats.queued - stats.accepted)
                Watched.is_looking = False
            return super().get_span_context()

    for number in (1, 2, 3):
        span = Watched("chat", SpanContext(number, 1, False, TraceFlags(1)), attributes=CHAT, end_time=1)
        processor.on_end(span)
        ended.append(span)
    processor.force_flush()
    assert len(missing) > 10
    assert max(missing) == 0
