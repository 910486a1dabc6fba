"""Any attribute soup maps without raising, and never loses the event."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan

from otel_posthog import conventions
from otel_posthog._spans import EventView, SpanView, view_of
from tests.support import recordings
from tests.support.events import events_of_views

KNOWN_NAMES = sorted(
    {
        name
        for recording in recordings.NAMES
        for span in recordings.load(recording)["spans"]
        for name in span["attributes"]
    }
)

scalars = st.one_of(
    st.text(max_size=40),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.binary(max_size=20),
    st.none(),
    st.sampled_from(["[", "{", '[{"role":', '{"a": [1, {"b": "', "null", "[null]", '"x"', "[[[[]]]]", '{"messages": 3}',
                     '[{"type": "image"}]', '[{"role": 7, "parts": {}}]', "\ud800", "NaN", "None", "'", "(1, 2)"]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=12) | st.sampled_from(["role", "parts", "content", "type"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
soups = st.dictionaries(st.sampled_from(KNOWN_NAMES) | st.text(max_size=20), values, max_size=25)

relaxed = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=200)


def view(attributes: dict[str, Any], **changes: Any) -> SpanView:
    fields: dict[str, Any] = {
        "name": "chat gpt-4o",
        "kind": "CLIENT",
        "trace_id": "a" * 32,
        "span_id": "b" * 16,
        "parent_span_id": None,
        "parent_is_remote": False,
        "start_unix_nano": 1,
        "end_unix_nano": 2,
        "status_code": "ERROR",
        "status_message": None,
        "attributes": attributes,
        "events": (),
        "scope_name": "any",
        "scope_version": "",
        "resource": {},
        **changes,
    }
    return SpanView(**fields)


def mapped(view: SpanView) -> list[dict[str, Any]]:
    """The events with and without content."""
    return [event for content in (True, False) for event in events_of_views([view], capture_content=content)]


@relaxed
@given(soups, st.sampled_from(["gen_ai.operation.name", "openinference.span.kind", "langfuse.observation.type",
                               "ai.operationId", "mlflow.spanType", "langsmith.span.kind", "traceloop.span.kind",
                               "genkit:name", "haystack.component.name", "mcp.method.name", "litellm.call_id",
                               "llm.model", "pydantic_ai.all_messages"]), values)  # fmt: skip
def test_any_attributes_become_an_event(soup: dict[str, Any], marker: str, value: Any) -> None:
    reader = conventions.reader_of(view({marker: "x"}))
    assert reader is not None
    events = mapped(view({**soup, marker: value if value not in ("null", '"null"', "", None) else "x"}))
    assert events, reader.name


EVENT_NAMES = ["gen_ai.user.message", "gen_ai.choice", "gen_ai.client.inference.operation.details", "exception", "x"]


@relaxed
@given(st.lists(st.tuples(st.sampled_from(EVENT_NAMES), soups, values), max_size=5))
def test_any_events_and_logs_become_an_event(found: list[tuple[str, dict[str, Any], Any]]) -> None:
    records = [EventView(name, attributes, body) for name, attributes, body in found]
    assert mapped(view({"gen_ai.operation.name": "chat"}, events=records, logs=records))


ALL_SPANS = [(name, index) for name in recordings.NAMES for index in range(len(recordings.load(name)["spans"]))]


def _mutated(recorded: dict[str, Any], data: st.DataObject) -> ReadableSpan:
    recorded = copy.deepcopy(recorded)
    attributes = recorded["attributes"]
    for name in data.draw(st.lists(st.sampled_from(sorted(attributes) or ["x"]), max_size=6)):
        how = data.draw(st.sampled_from(["drop", "cut", "other", "huge", "not text"]))
        if how == "drop":
            attributes.pop(name, None)
        elif how == "cut" and isinstance(attributes.get(name), str):
            attributes[name] = attributes[name][: data.draw(st.integers(0, len(attributes[name])))]
        elif how == "huge":
            attributes[name] = "x" * 200_000
        elif how == "not text":
            attributes[name] = "\udcff\ud800"
        elif how == "other":
            attributes[name] = data.draw(st.sampled_from([0, -1.5, True, "", "[]", "{}", [1, 2], ["a"]]))
    return recordings.span_of(recorded)


@relaxed
@given(st.sampled_from(ALL_SPANS), st.data())
def test_a_mutated_recording_still_gives_its_event(which: tuple[str, int], data: st.DataObject) -> None:
    name, index = which
    written = recordings.load(name)["spans"][index]
    seen = view_of(_mutated(written, data))
    is_event = conventions.parse_span(view_of(recordings.span_of(written))) is not None  # parts of others are none
    if is_event and conventions.reader_of(seen) is not None:
        events = mapped(seen)
        assert len(events) == 2
        assert json.dumps(events)
