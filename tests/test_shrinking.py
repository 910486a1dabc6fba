"""Events that are too large are cut: what a reader misses least goes first, and the event says so."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_posthog import PostHogSpanExporter
from otel_posthog.events.size import shrink
from otel_posthog.local import LocalPostHog
from tests.support.made import made_span
from tests.support.spans import CHAT

KIB = 1024


def event(**properties: Any) -> bytes:
    given = {"$ai_trace_id": "t", "$ai_span_id": "s", "$ai_input_tokens": 7, **properties}
    return orjson.dumps({"event": "$ai_generation", "uuid": "u", "properties": given})


def message(role: str, letter: str, size: int) -> dict[str, str]:
    return {"role": role, "content": letter * size}


CONVERSATION = [
    message("system", "s", 5 * KIB),
    message("user", "a", 20 * KIB),
    message("assistant", "b", 20 * KIB),
    message("user", "c", 20 * KIB),
    message("assistant", "d", 20 * KIB),
    message("user", "q", 5 * KIB),
]
ANSWER = [message("assistant", "z", 5 * KIB)]


def shrunk(body: bytes, limit: int) -> dict[str, Any]:
    found = shrink(body, limit)
    assert found is not None
    assert len(found) <= limit
    properties = orjson.loads(found)["properties"]
    assert properties["$ai_content_truncated"] is True
    assert properties["$ai_input_tokens"] == 7
    return dict(properties)


def sizes(messages: list[dict[str, str]]) -> list[int]:
    return [len(message["content"]) for message in messages]


def test_first_go_attributes_that_have_no_property() -> None:
    body = event(**{"$ai_input": CONVERSATION, "$ai_output_choices": ANSWER, "app.dump": "x" * 50 * KIB})
    properties = shrunk(body, 100 * KIB)
    assert properties["$ai_input"] == CONVERSATION
    assert len(properties["app.dump"]) < 5 * KIB
    assert properties["$ai_content_cut_bytes"].keys() == {"app.dump"}


def test_then_the_oldest_messages() -> None:
    properties = shrunk(event(**{"$ai_input": CONVERSATION, "$ai_output_choices": ANSWER}), 70 * KIB)
    system, first, second, third, fourth, question = sizes(properties["$ai_input"])
    assert (system, question) == (5 * KIB, 5 * KIB)
    assert first < KIB
    assert (third, fourth) == (20 * KIB, 20 * KIB) or second < 20 * KIB
    assert properties["$ai_output_choices"] == ANSWER


def test_system_prompt_question_and_answer_live_longest() -> None:
    properties = shrunk(event(**{"$ai_input": CONVERSATION, "$ai_output_choices": ANSWER}), 24 * KIB)
    assert sizes(properties["$ai_input"])[0] == sizes(properties["$ai_input"])[-1] == 5 * KIB
    assert sum(sizes(properties["$ai_input"])[1:-1]) < 10 * KIB
    assert properties["$ai_output_choices"] == ANSWER


def test_at_the_end_they_are_cut_too() -> None:
    properties = shrunk(event(**{"$ai_input": CONVERSATION, "$ai_output_choices": ANSWER}), 8 * KIB)
    assert [entry["role"] for entry in properties["$ai_input"]] == [entry["role"] for entry in CONVERSATION]


def test_many_small_values_are_cut_as_a_whole() -> None:
    body = event(**{"$ai_input": [message("user", "x", 10)] * 50_000, "app.numbers": list(range(50_000))})
    properties = shrunk(body, 32 * KIB)
    assert "bytes cut" in json.dumps(properties["$ai_input"])


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"properties": 3}', b'{"event": "e"}'])
def test_what_is_no_event_cannot_be_cut(body: bytes) -> None:
    assert shrink(body, 10_000) is None


_JSON = st.recursive(
    st.none() | st.integers(-1000, 1000) | st.text(max_size=2000),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["$ai_input", "$ai_output_choices", "$ai_input_state", "app.x", "$ai_tools"]),
                       _JSON), st.integers(5000, 12_000))  # fmt: skip
def test_any_event_fits_or_is_given_up(properties: dict[str, Any], limit: int) -> None:
    found = shrink(event(**properties), limit)
    assert found is not None
    assert len(found) <= limit
    assert orjson.loads(found)["properties"]["$ai_span_id"] == "s"


@pytest.mark.parametrize(("endpoint", "limit"), [("batch", 983_040), ("auto", 8 * 1024 * 1024)])
def test_a_call_of_ten_megabytes_arrives(posthog: LocalPostHog, endpoint: str, limit: int) -> None:
    history = [{"role": "user", "parts": [{"type": "text", "content": "a word " * 100_000}]} for _ in range(14)]
    question = {"role": "user", "parts": [{"type": "text", "content": "and what is the answer?"}]}
    span = made_span(attributes=CHAT | {"gen_ai.input.messages": json.dumps([*history, question])})
    exporter = PostHogSpanExporter("phc_test", posthog.url, endpoint=endpoint)
    exporter.export([span])
    exporter.shutdown()
    (arrived,) = posthog.events()
    assert exporter.stats().delivered == 1
    assert arrived["properties"]["$ai_input"][-1]["content"] == "and what is the answer?"
    assert arrived["properties"]["$ai_content_truncated"] is True
    assert len(orjson.dumps(arrived["properties"])) > limit / 3
