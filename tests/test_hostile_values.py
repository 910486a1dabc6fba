"""Values that no library should write: one costs its property, never the event, in every reader."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags

from otel_posthog import Settings, conventions
from otel_posthog._memory import Memory
from otel_posthog._pipeline import Pipeline
from otel_posthog._spans import EventView, SpanView, view_of
from otel_posthog._trace import Batch, Identity, SpanKey
from otel_posthog._traces import Traces
from otel_posthog.delivery import encode
from otel_posthog.stages.identity import inherit
from otel_posthog.stages.sampling import Sampler
from otel_posthog.stages.tree import Tree
from tests.support import recordings
from tests.support.events import events_of_views


class Hostile:
    """An object of which every method raises."""

    def _raise(self, *args: Any) -> NoReturn:
        raise RuntimeError("hostile")

    __str__ = __repr__ = __eq__ = __bool__ = __len__ = __iter__ = __getitem__ = __lt__ = __int__ = __float__ = _raise
    __hash__ = _raise


class HostileMapping(dict[str, Any]):
    """A mapping that raises when it is read."""

    def items(self) -> NoReturn:  # type: ignore[override]  # that is the point
        raise RuntimeError("hostile")

    get = keys = values = __iter__ = items  # type: ignore[assignment]


class HostileText(str):
    """A text that raises when it is looked into."""

    def startswith(self, *args: Any) -> NoReturn:
        raise RuntimeError("hostile")

    strip = lower = rpartition = partition = encode = startswith  # type: ignore[assignment]


_LOOP: list[Any] = []
_LOOP.append(_LOOP)

VALUES: dict[str, Any] = {
    "lone surrogate": "id \ud83d",
    "low surrogate": "\udc00",
    "huge": 10**400,
    "negative": -(10**400),
    "huge in text": "9" * 400,
    "huge in JSON": '[{"role": "user", "content": ' + "9" * 400 + "}]",
    "overflow": 1e308,
    "nan": float("nan"),
    "infinite": float("inf"),
    "bytes": b"\xff\xfe",
    "deep list": "[" * 3000 + "]" * 3000,
    "deep object": '{"a":' * 3000 + "1" + "}" * 3000,
    "deep repr": "[{'a': " * 500 + "1" + "}]" * 500,
    "cut repr": "[{'role': 'user', 'content': 'a",
    "unhashable key in repr": "{[]: 1}",
    "NaN": '{"input_tokens": NaN, "messages": [{"role": Infinity}]}',
    "wrong types": '{"messages": {"role": 1}, "usage": [1], "choices": "x", "tools": 5, "model": {}, "parts": 3}',
    "list of anything": [{"role": ["x"], "content": {"parts": "x"}, "tool_calls": "x", "type": 7}, 1, None, "x"],
    "nested": {"role": {"a": 1}, "parts": [{"type": ["x"], "source": {"data": 5}}], "name": 5, "id": {}},
    "odd keys": {1: 2, None: 3, ("a",): 4},
    "loop": _LOOP,
    "object": Hostile(),
    "list of objects": [Hostile()],
    "objects in messages": [{"role": Hostile(), "content": Hostile(), "tool_calls": [Hostile()]}],
    "mapping": HostileMapping(role="user", content="x"),
    "text": HostileText("x"),
    "empty": "",
}

SPANS = [(name, index) for name in recordings.NAMES for index in range(len(recordings.load(name)["spans"]))]
relaxed = settings(suppress_health_check=[HealthCheck.too_slow], max_examples=150)


def recorded(name: str, index: int) -> SpanView:
    view = view_of(recordings.span_of(recordings.load(name)["spans"][index]))
    logs = recordings.logs_by_span(name).get(view.span_id, ())
    view.logs = copy.deepcopy(list(logs))
    return view


def one_of_each_reader() -> dict[str, SpanView]:
    found: dict[str, SpanView] = {}
    for name, index in SPANS:
        view = recorded(name, index)
        reader = conventions.reader_of(view)
        if reader is None:
            continue
        if len(view.attributes) > len(found.get(reader.name, view).attributes) or reader.name not in found:
            found[reader.name] = view
    return found


SPAN_OF_READER = one_of_each_reader()


@pytest.mark.parametrize("reader", sorted(SPAN_OF_READER))
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_one_hostile_attribute_costs_its_property(reader: str, value: Any) -> None:
    view = SPAN_OF_READER[reader]
    for name in view.attributes:
        operation = conventions.parse_span(replace(view, attributes={**view.attributes, name: value}))
        assert operation is not None
        if operation.is_call and view.attributes.get("gen_ai.request.model") and "model" not in name:
            assert operation.request_model or operation.response_model


def test_an_index_of_any_length_is_one() -> None:
    attributes = {"openinference.span.kind": "LLM"}
    for place, role in (("9" * 5000, "assistant"), ("10", "user")):
        message = f"llm.input_messages.{place}.message"
        attributes |= {f"{message}.role": role, f"{message}.content": "x"}
    operation = conventions.parse_span(replace(SPAN_OF_READER["openinference"], attributes=attributes))
    assert operation is not None
    assert [message.role for message in operation.input or ()] == ["user", "assistant"]


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_hostile_value_passes_the_collector(value: Any) -> None:
    context = SpanContext(1, 2, False, TraceFlags(1))
    span = ReadableSpan("chat", context, attributes={"gen_ai.operation.name": "chat", "x": value})
    traces = Traces(10, 1024)
    traces.end(span, True, 0.0)
    (ready,) = traces.take(0.0, lambda trace_id: False)
    assert ready.ended[0].span is span


@pytest.mark.parametrize("result", [10**400, {"number": 10**400}, Hostile()], ids=["number", "object", "foreign"])
def test_a_tool_result_that_json_cannot_hold_costs_no_event(result: Any) -> None:
    parts = [{"type": "tool_call_response", "id": "call_1", "response": result}]
    view = SPAN_OF_READER["semconv"]
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": [{"role": "tool", "parts": parts}]}
    assert len(events_of_views([replace(view, attributes=attributes)])) == 1


def test_a_log_record_that_cannot_be_searched_for_denied_keys_is_not_sent() -> None:
    log = EventView("gen_ai.user.message", {}, HostileMapping(content="secret"))
    view = replace(SPAN_OF_READER["semconv"], attributes={"gen_ai.operation.name": "chat"}, events=(), logs=[log])
    (event,) = events_of_views([view], deny_attributes=("content",))
    assert "$ai_input" not in event["properties"]


def test_a_latency_beyond_all_time_is_no_reason_to_lose_a_stream() -> None:
    view = recorded("logfire_anthropic_5", 4)
    assert "duration" in view.attributes
    assert len(events_of_views([replace(view, attributes={**view.attributes, "duration": 1e308})])) == 1


def test_a_span_on_which_a_stage_fails_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_on_the_second(tree: Tree) -> dict[SpanKey, Identity]:
        if any(traced.span.name == "second" for traced in tree.spans):
            raise OverflowError
        return inherit(tree)

    monkeypatch.setattr("otel_posthog._pipeline.inherit", fail_on_the_second)
    views = [
        replace(SPAN_OF_READER["semconv"], name=name, span_id=f"{name:0>16}") for name in ("first", "second", "3rd")
    ]
    result = Pipeline(Settings(api_key="phc_test"), encode).run(Batch(views), Memory(Sampler(1.0, False)))
    assert [exported.span.name for exported in result.exported] == ["first", "3rd"]
    assert [(drop.reason, drop.count) for drop in result.drops] == [("mapping_failed", 1)]


@relaxed
@given(st.sampled_from(SPANS), st.data())
def test_hostile_values_anywhere_never_cost_the_event(which: tuple[str, int], data: st.DataObject) -> None:
    view = recorded(*which)
    hostile = st.sampled_from(sorted(VALUES))
    names = data.draw(st.lists(st.sampled_from(sorted(view.attributes) or ["x"]), max_size=6))
    view.attributes = {**view.attributes, **{name: VALUES[data.draw(hostile)] for name in names}}
    view.events = [
        EventView(event.name, {**event.attributes, "content": VALUES[data.draw(hostile)]}) for event in view.events
    ]
    for log in view.logs:
        log.body = VALUES[data.draw(hostile)]
    is_event = conventions.parse_span(view) is not None
    assert bool(events_of_views([view])) == is_event
