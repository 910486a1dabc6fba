"""``python -m benchmarks.growth``: how the cost of mapping grows with the number of spans, in shapes that were slow.

Each row doubles the spans; the factor between two doublings is what counts: 2 is linear.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, set_span_in_context
from rich.console import Console
from rich.table import Table

from benchmarks.sink import Sink
from otel_posthog import PostHogSpanExporter, PostHogSpanProcessor
from otel_posthog.settings import Options

SIZES = (2_000, 4_000, 8_000, 16_000, 32_000)
START = 1_795_489_200_000_000_000
RESOURCE = Resource({})
SCOPES = (InstrumentationScope("framework"), InstrumentationScope("client"))
OPTIONS: Options = {"compression": "none", "max_queue_size": 1_000_000, "hints": False}
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.usage.input_tokens": 5,
    "gen_ai.usage.output_tokens": 7,
}
AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}


def _asking(text: str) -> dict[str, Any]:
    return {**CHAT, "gen_ai.input.messages": f'[{{"role":"user","parts":[{{"type":"text","content":"{text}"}}]}}]'}


def _span(
    number: int, total: int, attributes: Mapping[str, Any], *, parent: int = 0, scope: int = 0, trace: int = 1
) -> ReadableSpan:
    """Span ``number`` starts after the one before it and ends before it."""
    flags = TraceFlags(1)
    return ReadableSpan(
        name="call",
        context=SpanContext(trace, number + 1, False, flags),
        parent=SpanContext(trace, parent, False, flags) if parent else None,
        resource=RESOURCE,
        attributes=attributes,
        kind=SpanKind.CLIENT,
        instrumentation_scope=SCOPES[scope],
        status=Status(StatusCode.UNSET),
        start_time=START + number,
        end_time=START + 4 * total - number,
    )


def overlapping(n: int) -> list[ReadableSpan]:
    """Each call recorded twice, side by side in one trace."""
    return [_span(i, n, _asking(f"question {i // 2}"), scope=i % 2) for i in range(n)]


def overlapping_alike(n: int) -> list[ReadableSpan]:
    """The same, all with the same question."""
    return [_span(i, n, _asking("the same"), scope=i % 2) for i in range(n)]


def in_two_traces(n: int) -> list[ReadableSpan]:
    """Each call recorded twice, in traces of their own."""
    return [_span(i, n, _asking(f"question {i // 2}"), scope=i % 2, trace=i + 1) for i in range(n)]


def without_content(n: int) -> list[ReadableSpan]:
    """Two records of each call without words or numbers."""
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini"}
    return [_span(i, n, attributes, scope=i % 2) for i in range(n)]


def nested_calls(n: int) -> list[ReadableSpan]:
    """Calls within calls."""
    return [_span(i, n, _asking("the same"), parent=i, scope=i % 2) for i in range(n)]


def nested_agents(n: int) -> list[ReadableSpan]:
    """Agents within agents, spans of the app between them, a call at the end."""
    return [_span(i, n, CHAT if i == n - 1 else AGENT if i % 2 else {}, parent=i) for i in range(n)]


def app_spans(n: int) -> list[ReadableSpan]:
    """A chain of the app's spans with a call in every tenth."""
    return [_span(i, n, CHAT if i % 10 == 9 else {}, parent=i) for i in range(n)]


SHAPES: tuple[Callable[[int], list[ReadableSpan]], ...] = (
    overlapping,
    overlapping_alike,
    in_two_traces,
    without_content,
    nested_calls,
    nested_agents,
    app_spans,
)


def exporting(url: str, make: Callable[[int], list[ReadableSpan]], n: int) -> float:
    """CPU seconds for one export of ``n`` spans."""
    exporter = PostHogSpanExporter("phc_bench", url, **OPTIONS)
    spans = make(n)
    begun = time.process_time()
    exporter.export(spans)
    seconds = time.process_time() - begun
    exporter.shutdown()
    return seconds


def one_long_trace(url: str, n: int) -> float:
    """CPU seconds for a trace of ``n`` calls below one span, through the processor."""
    processor = PostHogSpanProcessor("phc_bench", url, **OPTIONS)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("client")
    begun = time.process_time()
    with tracer.start_as_current_span("request"):
        for i in range(n):
            tracer.start_span("chat", attributes=_asking(f"question {i}")).end()
    processor.force_flush(60_000)
    seconds = time.process_time() - begun
    provider.shutdown()
    return seconds


def many_open_traces(url: str, n: int) -> float:
    """CPU seconds for ``n`` traces that are all open at once, a call in each, through the processor."""
    processor = PostHogSpanProcessor("phc_bench", url, **OPTIONS)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("client")
    begun = time.process_time()
    requests = [tracer.start_span("request", Context()) for _ in range(n)]
    for request in requests:
        tracer.start_span("chat", set_span_in_context(request, Context()), attributes=CHAT).end()
    for request in requests:
        request.end()
    processor.force_flush(60_000)
    seconds = time.process_time() - begun
    provider.shutdown()
    return seconds


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="up to 8,000 spans")
    sizes = SIZES[:3] if parser.parse_args().quick else SIZES
    table = Table("shape", *(f"{n:,}" for n in sizes), "largest factor", title="CPU seconds by number of spans")
    with Sink() as sink:
        rows: list[tuple[str, Callable[[int], float]]] = [
            (make.__name__, lambda n, make=make: exporting(sink.url, make, n))  # type: ignore[misc]  # bound on purpose
            for make in SHAPES
        ]
        rows += [
            ("one long trace, processor", lambda n: one_long_trace(sink.url, n)),
            ("open traces, processor", lambda n: many_open_traces(sink.url, n)),
        ]
        for name, run in rows:
            run(sizes[0])  # warm up
            costs = [run(n) for n in sizes]
            factor = max(after / before for before, after in pairwise(costs))
            table.add_row(name.replace("_", " "), *(f"{cost:.2f}" for cost in costs), f"{factor:.2f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
