"""Every source of spans gives the same events: the SDK's objects, OTLP protobuf and OTLP JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import orjson
import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from otel_posthog._memory import Memory
from otel_posthog._pipeline import Pipeline
from otel_posthog._spans import EventView, SpanView, view_of
from otel_posthog._trace import Batch
from otel_posthog.bridge._bodies import DECODERS
from otel_posthog.delivery import encode
from otel_posthog.settings import Settings
from otel_posthog.stages.sampling import Sampler
from tests.support import recordings
from tests.support.made import made_span
from tests.support.otlp import as_json, logs_request, traces_request

ENCODE: dict[str, Callable[[Any], bytes]] = {"proto": lambda request: request.SerializeToString(), "json": as_json}


def events_of(views: Sequence[SpanView]) -> dict[str, Any]:
    """The events by uuid."""
    result = Pipeline(Settings(api_key="phc_test"), encode).run(Batch(views), Memory(Sampler(1.0, False)))
    assert [drop for drop in result.drops if drop.error is not None] == []
    return {event.uuid: orjson.loads(event.body) for event in result.events}


def decoded_views(name: str, encoding: str) -> list[SpanView]:
    """The recording's spans and log records over OTLP, in the order in which they ended."""
    spans = recordings.spans(name)
    encode_request = ENCODE[encoding]
    views = {view.span_id: view for view in DECODERS[f"traces.{encoding}"](encode_request(traces_request(spans))).spans}
    logs: dict[str, list[EventView]] = defaultdict(list)
    trace_of = {view.span_id: view.trace_id for view in views.values()}
    for span_id, records in recordings.logs_by_span(name).items():
        request = logs_request(trace_of.get(span_id, "f" * 32), {span_id: records})
        for (_, found), record in DECODERS[f"logs.{encoding}"](encode_request(request)).logs:
            logs[found].append(record)
    for span_id, records in logs.items():
        if span_id in views:
            views[span_id].logs = records
    return [views[format(span.get_span_context().span_id, "016x")] for span in spans]


@pytest.mark.parametrize("encoding", ["proto", "json"])
@pytest.mark.parametrize("name", recordings.NAMES)
def test_a_recording_gives_the_same_events_over_otlp(name: str, encoding: str) -> None:
    logs = recordings.logs_by_span(name)
    expected = events_of(
        [
            view_of(span, logs.get(format(span.get_span_context().span_id, "016x"), ()))
            for span in recordings.spans(name)
        ]
    )
    assert expected
    assert events_of(decoded_views(name, encoding)) == expected


def full_span() -> ReadableSpan:
    """A span with all that a span can have, and more of it than the limits allow."""
    provider = TracerProvider(
        resource=Resource({"service.name": "shop", "flags": [True, False]}),
        span_limits=SpanLimits(max_span_attributes=4, max_events=2, max_links=1),
    )
    parent = SpanContext(0xA, 0xB, is_remote=True, trace_flags=TraceFlags(1))
    other = SpanContext(0xC, 0xD, is_remote=False, trace_flags=TraceFlags(1))
    span = provider.get_tracer("scope", "1.2").start_span(
        "chat",
        set_span_in_context(NonRecordingSpan(parent)),
        SpanKind.CLIENT,
        {"text": "t", "number": 1, "float": 0.5, "list": ("a", "b"), "bool": True, "more": 2},
        [Link(other, {"why": "first"}), Link(other, {"why": "retry"})],
    )
    for number in range(5):
        span.add_event("gen_ai.choice", {"index": number})
    span.set_status(Status(StatusCode.ERROR, "timeout"))
    span.end()
    assert isinstance(span, ReadableSpan)
    return span


def comparable(view: SpanView) -> dict[str, Any]:
    values = {field.name: getattr(view, field.name) for field in fields(view) if field.compare and field.init}
    return {**values, "attributes": orjson.dumps(dict(view.attributes)), "resource": orjson.dumps(view.resource)}


@pytest.mark.parametrize("encoding", ["proto", "json"])
@pytest.mark.parametrize(
    "span", [full_span(), *(made_span(kind=kind) for kind in SpanKind)], ids=["all", *(kind.name for kind in SpanKind)]
)
def test_a_view_over_otlp_has_all_that_the_sdk_says(span: ReadableSpan, encoding: str) -> None:
    (over_otlp,) = DECODERS[f"traces.{encoding}"](ENCODE[encoding](traces_request([span]))).spans
    assert comparable(over_otlp) == comparable(view_of(span))


def test_dropped_counts_and_links_of_an_sdk_span() -> None:
    view = view_of(full_span())
    assert (view.dropped_attributes, view.dropped_events, view.dropped_links) == (2, 3, 1)
    assert [(link.trace_id, link.span_id, link.attributes) for link in view.links] == [
        (f"{0xC:032x}", f"{0xD:016x}", {"why": "retry"})
    ]
