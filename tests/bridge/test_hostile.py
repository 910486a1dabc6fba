"""Bytes of any kind end in spans, in rejected spans, or in one error that is answered 400."""

from __future__ import annotations

import copy
import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import StatusCode

from otel_posthog._memory import Memory
from otel_posthog._pipeline import Pipeline
from otel_posthog._spans import EventView
from otel_posthog._trace import Batch
from otel_posthog.bridge._bodies import DECODERS, TooLargeError, decompress
from otel_posthog.bridge._values import UndecodableError
from otel_posthog.delivery import encode
from otel_posthog.settings import Settings
from otel_posthog.stages.sampling import Sampler
from tests.support.made import SPAN_ID, START, TRACE_ID, made_span
from tests.support.otlp import as_json, logs_request, traces_request
from tests.support.spans import CHAT

REQUEST = traces_request(
    [made_span("one", CHAT, events=[("e", {"k": [1, "x"]})]), made_span("two", CHAT, span_id="1" * 16)]
)
VALID = {"proto": REQUEST.SerializeToString(), "json": as_json(REQUEST)}


@pytest.mark.parametrize("kind", DECODERS)
@given(body=st.binary(max_size=200))
def test_any_bytes(kind: str, body: bytes) -> None:
    with suppress(UndecodableError):
        DECODERS[kind](body)


@pytest.mark.parametrize("kind", DECODERS)
@given(data=st.data())
def test_a_request_with_changed_bytes(kind: str, data: st.DataObject) -> None:
    body = bytearray(VALID[kind.partition(".")[2]])
    for _ in range(data.draw(st.integers(1, 5))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    for changed in (bytes(body), bytes(body[:cut])):
        with suppress(UndecodableError):
            for span in DECODERS[kind](changed).spans:
                assert len(span.attributes.copy()) == len(span.attributes)  # type: ignore[attr-defined]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "field", ["attributes", "events", "status", "flags", "kind", "name", "traceId", "startTimeUnixNano"]
)
@given(value=_JSON)
def test_a_json_field_of_any_type_costs_its_span_at_most(field: str, value: object) -> None:
    request = json.loads(VALID["json"])
    request["resourceSpans"][0]["scopeSpans"][0]["spans"][0][field] = value
    decoded = DECODERS["traces.json"](json.dumps(request).encode())
    assert len(decoded.spans) + sum(decoded.rejected.values()) == 2
    assert decoded.spans[-1].name == "two"


def paths_in(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to each value inside."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from paths_in(inner, (*path, key))


LOGS = logs_request(
    TRACE_ID,
    {
        SPAN_ID: [EventView("gen_ai.user.message", {"k": [1, "x"]}, {"content": ["hello", {"n": 1.5}]}, START)],
        "": [EventView("gen_ai.evaluation.result", {"gen_ai.evaluation.name": "tone"}, None, START)],
    },
)
ASSOCIATED = {"traceloop.span.kind": "task", "traceloop.association.properties.user_id": "ada"}
DOCUMENTS: dict[str, Any] = {
    "traces.json": json.loads(as_json(traces_request(
        [made_span("one", CHAT, events=[("e", {"k": [1, "x"]})], status=StatusCode.ERROR, description="timeout"),
         made_span("two", ASSOCIATED, span_id="1" * 16, parent_id=SPAN_ID)]
    ))),
    "logs.json": json.loads(as_json(LOGS)),
}  # fmt: skip
HOSTILE = st.sampled_from(
    [None, True, 3, -1, 2**63, 2**70, 10**400, 1e308, "", "None", "NaN", "9" * 400, "\ud800", [], [[]], [None], {}]
)


@pytest.mark.parametrize("kind", DOCUMENTS)
@given(data=st.data())
def test_any_json_value_anywhere_costs_its_span_at_most_and_fails_no_mapping(kind: str, data: st.DataObject) -> None:
    document = copy.deepcopy(DOCUMENTS[kind])
    *path, last = data.draw(st.sampled_from(list(paths_in(document))))
    owner = document
    for key in path:
        owner = owner[key]
    owner[last] = data.draw(HOSTILE | _JSON)
    try:
        decoded = DECODERS[kind](json.dumps(document).encode())
    except UndecodableError:
        return
    batch = Batch(decoded.spans, evaluations=decoded.evaluations)
    result = Pipeline(Settings(api_key="phc_test"), encode, explains=False).run(batch, Memory(Sampler(1.0, False)))
    assert [drop for drop in result.drops if drop.error is not None] == []


def test_deep_nesting_in_protobuf_costs_its_span() -> None:
    value = b""
    for _ in range(150):
        value = _field(5, _field(1, value))  # AnyValue.array_value, ArrayValue.values
    deep = b"\x0a\x10" + bytes(range(16)) + b"\x12\x08" + bytes(range(8)) + _field(9, _field(2, value))
    hostile = _field(1, _field(2, _field(2, deep)))
    decoded = DECODERS["traces.proto"](hostile + VALID["proto"])
    assert [span.name for span in decoded.spans] == ["one", "two"]
    assert decoded.rejected == {"span is not valid protobuf": 1}


def test_deep_nesting_in_json_is_cut() -> None:
    deep = '{"arrayValue": {"values": [' * 120 + '{"stringValue": "x"}' + "]}}" * 120
    body = VALID["json"].replace(
        b'"attributes": [', b'"attributes": [{"key": "deep", "value": ' + deep.encode() + b"}, ", 1
    )
    first, second = DECODERS["traces.json"](body).spans
    assert (first.name, second.name) == ("one", "two")
    assert first.attributes.get("deep") is not None


def test_a_gzip_of_many_members_is_refused() -> None:
    with pytest.raises(UndecodableError, match="more than 100 gzip members"):
        decompress(gzip.compress(b"") * 200, "gzip", 1000)


def test_deflate_is_bounded_too() -> None:
    with pytest.raises(TooLargeError):
        decompress(zlib.compress(bytes(10_000)), "deflate", 1000)


def test_many_empty_spans_are_rejected_without_being_kept() -> None:
    decoded = DECODERS["traces.proto"](_field(1, _field(2, b"\x12\x00" * 50_000)))
    assert decoded.spans == []
    assert decoded.rejected == {"span has no valid trace_id or span_id": 50_000}


def _field(number: int, body: bytes) -> bytes:
    """A length-delimited field."""
    size, length = len(body), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + body


@pytest.mark.parametrize("name", [["x"], {}, 3])
def test_a_log_record_whose_name_is_no_string_is_left_out(name: object) -> None:
    request = json.loads(as_json(LOGS))
    request["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["eventName"] = name
    decoded = DECODERS["logs.json"](json.dumps(request).encode())
    assert (len(decoded.logs), len(decoded.evaluations)) == (0, 1)
