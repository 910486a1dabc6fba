"""Encoding: any value becomes JSON that PostHog takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_posthog.delivery import EncodedEvent, encode
from otel_posthog.local.contract import endpoint_of, judge
from tests.support.captured import KEY, made_event, properties_of

_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**200), 2**200)
    | st.floats()
    | _TEXT
    | st.binary()
    | st.datetimes()
    | st.dates()
    | st.decimals()
    | st.uuids()
    | st.complex_numbers()
)
_KEYS = _TEXT | st.integers() | st.none() | st.booleans() | st.floats() | st.binary()
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner) | st.dictionaries(_KEYS, inner) | st.tuples(inner, inner) | st.frozensets(st.text()),
    max_leaves=20,
)


class Color(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: int


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no name")


class Broken:
    def __iter__(self) -> Any:
        raise RuntimeError("broken")


class BrokenMapping(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("broken")

    def __iter__(self) -> Any:
        return iter(["a"])

    def __len__(self) -> int:
        return 1


class UnspeakableKey:
    def __str__(self) -> str:
        raise RuntimeError("no name")


def nested(depth: int, leaf: Any = "leaf") -> Any:
    value = leaf
    for _ in range(depth):
        value = [value]
    return value


def circular_list() -> list[Any]:
    value: list[Any] = ["kept"]
    value.append(value)
    return value


def circular_dict() -> dict[str, Any]:
    value: dict[str, Any] = {"kept": 1}
    value["self"] = value
    return value


def twice_circular_list() -> list[Any]:
    """Copied level by level it would have 2 to the power of its levels many items."""
    value: list[Any] = []
    value += [value, value]
    return value


def assert_posthog_takes(event: EncodedEvent) -> None:
    body = b'{"api_key":"' + KEY.encode() + b'","batch":[' + event.body + b"]}"
    endpoint = endpoint_of("/batch/")
    assert endpoint is not None
    evaluation = judge(endpoint, {}, body)
    assert evaluation.refusal is None
    assert len(evaluation.events) == 1


def test_an_event_is_encoded_whole() -> None:
    event = made_event(model="gpt-5-mini")
    assert orjson.loads(encode(event).body) == {
        "event": "$ai_generation",
        "uuid": event.uuid,
        "distinct_id": "ada",
        "timestamp": "2026-11-24T03:00:00.123456Z",
        "properties": {"text": "content that must not show", "model": "gpt-5-mini"},
    }


def test_an_encoded_event_knows_its_name_and_uuid() -> None:
    event = made_event()
    assert (encode(event).name, encode(event).uuid) == (event.name, event.uuid)


@given(_VALUES)
def test_posthog_takes_any_value(value: Any) -> None:
    assert_posthog_takes(encode(made_event(value=value)))


@given(_TEXT, _TEXT)
def test_posthog_takes_any_text_as_property_name(name: str, other: str) -> None:
    assert_posthog_takes(encode(made_event(**{name: 1, other: 2})))


@given(st.recursive(st.none() | st.booleans() | st.text(), st.lists, max_leaves=10))
def test_json_stays_what_it_is(value: Any) -> None:
    assert properties_of(encode(made_event(value=value)))["value"] == value


def test_one_bad_value_leaves_the_others_as_they_are() -> None:
    good = {"list": [1, 2.5, True, None], "text": "ä 漢 😀", "zero": 0, "nested": {"a": {"b": []}}}
    assert properties_of(encode(made_event(bad="\ud800", **good))).items() >= good.items()


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a\ud800b", "a?b"),
        (float("nan"), None),
        (float("inf"), None),
        ([float("-inf"), "\udfff"], [None, "?"]),
        (2**64 - 1, 2**64 - 1),
        (2**64, "18446744073709551616"),
        (-(2**63), -(2**63)),
        (-(2**63) - 1, "-9223372036854775809"),
        (b"text", "text"),
        (b"\xff\xfe", "//4="),
        (bytearray(b"text"), "text"),
        (memoryview(b"text"), "text"),
        ((1, 2), [1, 2]),
        ({"b"}, ["b"]),
        (frozenset({"b"}), ["b"]),
        (range(3), [0, 1, 2]),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (Color.RED, "red"),
        (Decimal("1.5"), "Decimal('1.5')"),
        (PurePosixPath("/x"), "PurePosixPath('/x')"),
        (datetime(2026, 11, 24, 3, tzinfo=timezone.utc), "2026-11-24T03:00:00+00:00"),
        (date(2026, 11, 24), "2026-11-24"),
        ({2: "a", None: "b", True: "c"}, {"2": "a", "null": "b", "true": "c"}),
        ({2**70: "a"}, {str(2**70): "a"}),
        ("\x00", "\x00"),
    ],
)
def test_what_json_cannot_hold_is_replaced(value: Any, written: Any) -> None:
    assert properties_of(encode(made_event(value=value)))["value"] == written


# One lone surrogate takes the whole event the slow way, which has to write the same as the fast way.
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(Color.RED, id="enum"),
        pytest.param((1, 2), id="tuple"),
        pytest.param(range(3), id="range"),
        pytest.param(memoryview(b"text"), id="memoryview"),
        pytest.param(MappingProxyType({"a": 1}), id="mapping"),
        pytest.param({2: "a", None: "b", True: "c", 1.5: "d"}, id="keys"),
        pytest.param(datetime(2026, 11, 24, 3, tzinfo=timezone.utc), id="datetime"),
        pytest.param(UUID(int=7), id="uuid"),
        pytest.param(Point(1, 2), id="dataclass"),
        pytest.param(float("nan"), id="nan"),
        pytest.param(Decimal("1.5"), id="decimal"),
    ],
)
def test_a_bad_neighbour_changes_nothing(value: Any) -> None:
    alone = properties_of(encode(made_event(value=value)))["value"]
    assert properties_of(encode(made_event(value=value, bad="\ud800")))["value"] == alone


@pytest.mark.parametrize("depth", [50, 99, 120, 150, 253, 255, 300, 5_000, 200_000])
def test_a_deep_value_is_cut_to_what_parsers_take(depth: int) -> None:
    event = encode(made_event(value=nested(depth), kept=1))
    assert properties_of(event)["kept"] == 1
    assert_posthog_takes(event)
    # serde_json, with which PostHog's capture parses, refuses more than 128 levels; event and batch take three.
    assert deepest(event.body) <= 125


def deepest(body: bytes) -> int:
    """Levels of nesting in JSON without brackets in its texts."""
    depth = most = 0
    for byte in body:
        depth += (byte in b"[{") - (byte in b"]}")
        most = max(most, depth)
    return most


@pytest.mark.parametrize("make", [circular_list, circular_dict])
def test_a_value_that_holds_itself_is_cut(make: Any) -> None:
    event = encode(made_event(value=make(), kept=1))
    assert properties_of(event)["kept"] == 1
    assert_posthog_takes(event)


@pytest.mark.timeout(10)
def test_a_value_that_holds_itself_twice_is_cut_in_time() -> None:
    event = encode(made_event(value=twice_circular_list(), kept=1))
    assert properties_of(event)["kept"] == 1


@pytest.mark.parametrize(
    "value",
    [Unspeakable(), [Unspeakable()], Broken(), BrokenMapping(), {UnspeakableKey(): 1}],
    ids=["repr", "repr-in-a-list", "iteration", "mapping", "key"],
)
def test_an_object_that_raises_costs_no_more_than_its_own_value(value: Any) -> None:
    event = encode(made_event(value=value, kept=1))
    assert properties_of(event)["kept"] == 1
    assert_posthog_takes(event)
