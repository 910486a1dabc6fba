"""``python -m benchmarks``: everything in one run, as tables with ratios. ``--quick`` takes seconds.

Read the ratios: the absolute numbers are the machine's.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from rich.console import Console
from rich.table import Table

from benchmarks.senders import Send, senders
from benchmarks.sink import Sink
from benchmarks.spans import SIZES, make_spans
from otel_posthog import PostHogSpanProcessor

COUNTS = {"small": 2048, "medium": 1024, "large": 96}
BATCH = {"small": 512, "medium": 512, "large": 32}
HTTP = {"http.request.method": "GET", "url.full": "https://example.com/", "http.response.status_code": 200}


def cpu_of(send: Send, spans: Sequence[ReadableSpan], batch: int) -> tuple[float, float]:
    """CPU and wall seconds for sending all spans."""
    cpu, wall = time.process_time(), time.perf_counter()
    for start in range(0, len(spans), batch):
        send(spans[start : start + batch])
    return time.process_time() - cpu, time.perf_counter() - wall


def exporting(sink: Sink, rounds: int, scale: float) -> list[Table]:
    """A table a size: CPU per 10,000 spans, spans per second, bytes on the wire, and ratios."""
    tables = []
    for size in SIZES:
        spans = make_spans(size, int(COUNTS[size] * scale))
        found: dict[str, list[tuple[float, float]]] = {}
        weight: dict[str, float] = {}
        every = senders(sink.url, spans)
        for name, send in every.items():  # a first round to warm up, and for the bytes
            before = sink.received()
            cpu_of(send, spans, BATCH[size])
            weight[name] = (sink.received() - before) / len(spans)
        for _ in range(rounds):
            for name, send in every.items():
                found.setdefault(name, []).append(cpu_of(send, spans, BATCH[size]))
        cpu = {name: statistics.median(c for c, _ in times) / len(spans) * 10_000 for name, times in found.items()}
        rate = {name: len(spans) / statistics.median(w for _, w in times) for name, times in found.items()}
        table = Table(
            "sender", "CPU s / 10,000", "spans / s", "bytes / span", "x OTLP", "x floor", title=f"{size} spans"
        )
        for name in every:
            ratios = (cpu[name] / cpu["OTLP"], cpu[name] / cpu["floor, no gzip" if "no gzip" in name else "floor"])
            table.add_row(name, f"{cpu[name]:.2f}", f"{rate[name]:,.0f}", f"{weight[name]:,.0f}",
                          *(f"{ratio:.2f}" for ratio in ratios))  # fmt: skip
        tables.append(table)
    return tables


def in_the_app(sink: Sink, count: int) -> Table:
    """What starting and ending a span costs the app's thread, in microseconds; one span about every millisecond."""
    table = Table(
        "processor", "AI: start p50", "end p50", "end p99", "start + end p50", "HTTP: start + end p50",
        title="in the app's thread, µs",
    )  # fmt: skip
    (model,) = make_spans("medium", 1)
    processors: dict[str, SpanProcessor | None] = {
        "none": None,
        "BatchSpanProcessor + OTLP": BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{sink.url}/v1/traces")),
        "PostHogSpanProcessor": PostHogSpanProcessor("phc_bench", sink.url, hints=False),
        "PostHogSpanProcessor, PostHog hangs": PostHogSpanProcessor(
            "phc_bench", f"{sink.url}/hang", timeout=1, hints=False
        ),
    }
    for name, processor in processors.items():
        provider = TracerProvider(shutdown_on_exit=False)
        if processor is not None:
            provider.add_span_processor(processor)
        tracer = provider.get_tracer("bench")
        cells = []
        for attributes in (dict(model.attributes or {}), HTTP):
            starts, ends = [], []
            for _ in range(count):
                begun = time.perf_counter_ns()
                span = tracer.start_span("call", attributes=attributes)
                started = time.perf_counter_ns()
                span.end()
                ended = time.perf_counter_ns()
                starts.append((started - begun) / 1000)
                ends.append((ended - started) / 1000)
                time.sleep(0.001)
            both = statistics.median(start + end for start, end in zip(starts, ends, strict=True))
            if attributes is not HTTP:
                cells += [f"{statistics.median(starts):.1f}", f"{statistics.median(ends):.1f}",
                          f"{statistics.quantiles(ends, n=100)[98]:.0f}"]  # fmt: skip
            cells.append(f"{both:.1f}")
        table.add_row(name, *cells)
        with suppress(Exception):
            provider.shutdown()
    return table


def _child(code: str) -> list[float]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def importing(rounds: int) -> Table:
    """Milliseconds that an import takes above the SDK's, least of some runs."""
    table = Table("import", "ms above the SDK", title="import time")
    for name in ("otel_posthog", "opentelemetry.exporter.otlp.proto.http.trace_exporter"):
        code = (
            "import opentelemetry.sdk.trace.export, time; before = time.perf_counter();"
            f"import {name}; print((time.perf_counter() - before) * 1000)"
        )
        table.add_row(name, f"{min(_child(code)[0] for _ in range(rounds)):.0f}")
    return table


def memory(sink: Sink) -> Table:
    """Peak MiB that exporting 512 large spans in one batch adds."""
    table = Table("sender", "MiB", title="peak memory, 512 large spans in one batch")
    for name in ("otel_posthog", "OTLP", "floor"):
        code = (
            "import resource; from benchmarks.spans import make_spans; from benchmarks.senders import senders;"
            "spans = make_spans('large', 512);"
            f"send = senders({sink.url!r}, spans if {name == 'floor'} else [])[{name!r}];"
            "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; before = peak(); send(spans);"
            "print((peak() - before) / 1024)"
        )
        table.add_row(name, f"{_child(code)[0]:.0f}")
    return table


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer spans and rounds: seconds instead of minutes")
    quick = parser.parse_args().quick
    console = Console(width=None if sys.stdout.isatty() else 110)
    with Sink() as sink:
        for table in exporting(sink, 2 if quick else 7, 0.25 if quick else 1.0):
            console.print(table)
        console.print(in_the_app(sink, 200 if quick else 2000))
        console.print(memory(sink))
        console.print(importing(3 if quick else 7))
    console.print(f"Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
