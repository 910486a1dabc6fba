"""Random trees of spans that start and end in any order: no hole, nothing twice, nothing lost."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, format_span_id

from otel_posthog._traces import Traces
from otel_posthog.local import LocalPostHog
from tests.test_live import AGENT, CHAT, App

KINDS: dict[str, dict[str, Any]] = {
    "http": {"http.request.method": "GET"},
    "db": {"db.system": "postgresql"},
    "agent": AGENT,
    "tool": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"},
    "chat": CHAT,
    "embeddings": {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "e"},
}
# A span: its kind, its parent (an earlier span, by a number that is taken modulo; none: a root) and whether a root is
# below another service's span.
SPANS = st.lists(
    st.tuples(st.sampled_from(sorted(KINDS)), st.none() | st.integers(0, 100), st.booleans()), min_size=1, max_size=12
)
REMOTE = SpanContext(0xABC, 0xDEF, True, TraceFlags(1))


def play(app: App, spans: list[tuple[str, int | None, bool]], random: Any) -> dict[str, str]:
    """Start and end the spans in an order that only puts a start before its children's; the kinds by span id."""
    started: list[Any] = []
    kinds: dict[str, str] = {}
    running: list[Any] = []
    for kind, above, remote in spans:
        while running and random.random() < 0.4:
            running.pop(random.randrange(len(running))).end()
        if above is not None and started:
            parent = trace.set_span_in_context(started[above % len(started)])
        else:
            parent = trace.set_span_in_context(NonRecordingSpan(REMOTE)) if remote else None
        span = app.tracer.start_span(
            kind, parent or trace.set_span_in_context(trace.INVALID_SPAN), attributes=KINDS[kind]
        )
        kinds[format_span_id(span.get_span_context().span_id)] = kind
        started.append(span)
        running.append(span)
        if random.random() < 0.2:
            app.processor.force_flush()
    random.shuffle(running)
    for span in running:
        span.end()
    return kinds


@settings(max_examples=60)
@given(SPANS, st.randoms(use_true_random=False))
def test_any_tree(spans: list[tuple[str, int | None, bool]], random: Any) -> None:
    with LocalPostHog() as posthog:
        app = App(posthog, deduplicate=False)
        kinds = play(app, spans, random)
        events = app.events()
        app.processor.stop(5000)
    ids = [event["properties"]["$ai_span_id"] for event in events if event["event"] != "$ai_trace"]
    traces = [event["properties"] for event in events if event["event"] == "$ai_trace"]
    roots = [
        properties.get("$ai_span_id") for properties in traces if properties.get("$ai_span_id") not in (None, *ids)
    ]
    sent = set(ids) | set(roots)
    assert len(ids) == len(set(ids))
    assert sent == {span_id for span_id, kind in kinds.items() if kind not in ("http", "db")}
    calls = [event for event in events if event["event"] in ("$ai_generation", "$ai_embedding")]
    assert len(calls) == sum(kind in ("chat", "embeddings") for kind in kinds.values())
    for event in events:
        parent = event["properties"].get("$ai_parent_id")
        allowed = {None, event["properties"]["$ai_trace_id"], format_span_id(REMOTE.span_id), *sent}
        assert parent in allowed
    assert all(app.posthog is posthog and event["deliveries"] == 1 for event in events)


def test_spans_that_never_end_keep_a_bounded_memory() -> None:
    traces = Traces(hold=10, max_bytes=1_000_000)
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("app")
    for number in range(5_000):
        span = tracer.start_span("endless", Context(), attributes=AGENT)
        traces.start(span, None, None, float(number), is_call=False)  # type: ignore[arg-type]  # the SDK's own span
    assert traces.take(5_000.0, lambda trace_id: False) == []
    assert 0 < len(traces) <= 1_000
