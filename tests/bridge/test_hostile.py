"""Bytes of any kind end in spans, in rejected spans, or in one error that is answered 400."""

from __future__ import annotations

import gzip
import json
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_posthog.bridge._bodies import DECODERS, TooLargeError, decompress
from otel_posthog.bridge._values import UndecodableError
from tests.support.made import made_span
from tests.support.otlp import as_json, traces_request
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
