"""JSON that an attribute limit cut: the complete messages of its beginning arrive."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_posthog.conventions._recovery import json_prefix
from tests.support.events import events_of
from tests.support.made import made_span

MESSAGES = [
    {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
    {"role": "user", "parts": [{"type": "text", "content": 'Say "hi" in 日本語 \U0001f642\n'}]},
    {"role": "assistant", "parts": [{"type": "tool_call", "name": "f", "arguments": {"a": [1, 2.5, None, True]}}]},
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def is_prefix(part: Any, whole: Any, last: bool = True) -> bool:
    """Whether ``part`` is what is left of ``whole``: equal but for its end, where something may be missing."""
    if isinstance(part, str) and isinstance(whole, str):
        return whole.startswith(part) if last else part == whole
    if isinstance(part, list) and isinstance(whole, list):
        ends = [last and i == len(part) - 1 for i in range(len(part))]
        return len(part) <= len(whole) and all(map(is_prefix, part, whole, ends))
    if isinstance(part, dict) and isinstance(whole, dict):
        if list(part) != list(whole)[: len(part)]:
            return False
        return all(is_prefix(part[k], whole[k], last and k == list(part)[-1]) for k in part)
    return bool(part == whole)


@given(json_values.filter(lambda value: isinstance(value, (list, dict))), st.booleans(), st.data())
def test_every_cut_leaves_a_prefix(value: Any, ascii: bool, data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=ascii)
    cut = data.draw(st.integers(1, len(text)))
    found, whole = json_prefix(text[:cut])
    assert whole is (cut == len(text))
    assert is_prefix(found, value)
    orjson.dumps(found)


def test_all_complete_messages_survive_any_cut() -> None:
    text = json.dumps(MESSAGES)
    starts = [text.index(json.dumps(message)) for message in MESSAGES]
    for cut in range(2, len(text)):
        found, _ = json_prefix(text[:cut])
        complete = [m for m, start in zip(MESSAGES, starts, strict=True) if start + len(json.dumps(m)) <= cut]
        assert found[: len(complete)] == complete


@given(st.text())
def test_what_is_no_json_stays_text(text: str) -> None:
    found, whole = json_prefix("x" + text)
    assert (found, whole) == ("x" + text, True)


def test_a_truncated_event_is_marked() -> None:
    text = json.dumps(MESSAGES)
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": text[:150]}
    (event,) = events_of([made_span(attributes=attributes)])
    assert event["properties"]["$ai_content_truncated"] is True
    assert event["properties"]["$ai_input"][0] == {"role": "system", "content": "Be brief."}
    (event,) = events_of([made_span(attributes={**attributes, "gen_ai.input.messages": text})])
    assert "$ai_content_truncated" not in event["properties"]


@pytest.mark.parametrize("unit", ["[", '{"a":', '[{"a":', "[]", '"\\', "[1,", "},", "[{,"])
def test_a_million_hostile_characters_take_no_time(unit: str) -> None:
    text = ("[" + unit * 1_000_000)[:1_000_000]  # the test's own time limit is the bound
    found, _ = json_prefix(text)
    assert found == text or len(orjson.dumps(found)) <= 2 * len(text)


def test_levels_beyond_the_deepest_are_cut() -> None:
    found, whole = json_prefix('["first",' + "[" * 100_000)
    assert (found[0], whole) == ("first", False)
