"""Every source of spans gives the same events: the SDK's objects, OTLP protobuf and OTLP JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest

from otel_posthog._memory import Memory
from otel_posthog._pipeline import Pipeline
from otel_posthog._spans import EventView, SpanView, view_of
from otel_posthog._trace import Batch
from otel_posthog.bridge._bodies import DECODERS
from otel_posthog.delivery import encode
from otel_posthog.settings import Settings
from otel_posthog.stages.sampling import Sampler
from tests.support import recordings
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
