"""OTLP protobuf. The outer messages are walked by hand and each span is parsed by itself, so that an invalid one costs
nothing but itself, and a hostile request is never in memory as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_posthog._spans import EventView, LinkView, SpanView
from otel_posthog._trace import EvaluationRecord
from otel_posthog.bridge._values import (
    DEEPEST,
    KINDS,
    STATUS_CODES,
    Decoded,
    LazyAttributes,
    UndecodableError,
    add_log,
    is_remote_parent,
)

# Field numbers, the same for spans and logs: Export…Request.resource_…, Resource….resource and .scope_…,
# Scope….scope and .spans or .log_records.
_RESOURCES, _HEAD, _ITEMS = 1, 1, 2

_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)


def decode_traces(body: bytes) -> Decoded:
    """The spans of an ``ExportTraceServiceRequest``, which has the same bytes as ``TracesData``."""
    decoded = Decoded()
    for resource, scope, raw in _items(body):
        try:
            span = Span.FromString(bytes(raw))
        except DecodeError:
            decoded.rejected["span is not valid protobuf"] += 1
            continue
        if len(span.trace_id) != 16 or span.trace_id == _NO_TRACE or len(span.span_id) != 8 or span.span_id == _NO_SPAN:
            decoded.rejected["span has no valid trace_id or span_id"] += 1
            continue
        decoded.spans.append(_view(span, resource, scope))
        decoded.sizes.append(len(raw))
    return decoded


def decode_logs(body: bytes) -> Decoded:
    """The log records of an ``ExportLogsServiceRequest`` that are about AI spans."""
    decoded = Decoded()
    for resource, _, raw in _items(body):
        data = bytes(raw)
        try:
            record = LogRecord.FromString(data)
        except DecodeError:
            decoded.rejected["log record is not valid protobuf"] += 1
            continue
        attributes = LazyAttributes({pair.key: pair.value for pair in record.attributes}, value_of)
        name = record.event_name or attributes.get("event.name")
        key = record.trace_id.hex(), record.span_id.hex()
        time = record.time_unix_nano or record.observed_time_unix_nano
        body_value = value_of(record.body) if record.HasField("body") else None
        add_log(
            decoded,
            name,
            key,
            EventView(name if isinstance(name, str) else "", attributes.copy(), body_value, time),
            EvaluationRecord(_digest(data), str(name), attributes, *key, time, resource),
        )
    return decoded


def _digest(data: bytes) -> str:
    """The record's own id: the same record sent again is the same evaluation."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def _items(body: bytes) -> Iterator[tuple[dict[str, Any], InstrumentationScope, memoryview]]:
    """Each span or log record with its resource's attributes and its scope."""
    for field, by_resource in _fields(memoryview(body)):
        if field != _RESOURCES:
            continue
        parts = list(_fields(by_resource))
        resource = _resource(parts)
        for number, by_scope in parts:
            if number != _ITEMS:
                continue
            inner = list(_fields(by_scope))
            scope = _scope(inner)
            for item, raw in inner:
                if item == _ITEMS:
                    yield resource, scope, raw


def _resource(parts: Iterable[tuple[int, memoryview]]) -> dict[str, Any]:
    for number, raw in parts:
        if number == _HEAD:
            try:
                found = Resource.FromString(bytes(raw))
            except DecodeError:  # costs the resource, not its spans
                return {}
            return {pair.key: value_of(pair.value) for pair in found.attributes}
    return {}


def _scope(parts: Iterable[tuple[int, memoryview]]) -> InstrumentationScope:
    for number, raw in parts:
        if number == _HEAD:
            try:
                return InstrumentationScope.FromString(bytes(raw))
            except DecodeError:
                break
    return InstrumentationScope()


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and bytes of the length-delimited fields of a message; the others are passed over.

    Source: https://protobuf.dev/programming-guides/encoding/
    """
    position, end = 0, len(data)
    while position < end:
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == 2:
            size, position = _varint(data, position)
            stop = position + size
            if stop > end:
                raise UndecodableError("truncated protobuf")
            yield tag >> 3, data[position:stop]
            position = stop
        elif kind == 0:
            _, position = _varint(data, position)
        elif kind in (1, 5):
            position += 8 if kind == 1 else 4
        else:
            raise UndecodableError("not protobuf")
    if position > end:
        raise UndecodableError("truncated protobuf")


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise UndecodableError("truncated protobuf")


def _view(span: Span, resource: dict[str, Any], scope: InstrumentationScope) -> SpanView:
    start, kind = span.start_time_unix_nano, KINDS.get(span.kind, "INTERNAL")
    return SpanView(
        name=span.name,
        kind=kind,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex() if len(span.parent_span_id) == 8 else None,
        parent_is_remote=bool(span.parent_span_id) and is_remote_parent(span.flags, kind),
        start_unix_nano=start,
        end_unix_nano=span.end_time_unix_nano or start,
        status_code=STATUS_CODES.get(span.status.code, "UNSET"),
        status_message=span.status.message or None,
        attributes=LazyAttributes({pair.key: pair.value for pair in span.attributes}, value_of),
        events=[EventView(event.name, _decoded(event.attributes), None, event.time_unix_nano) for event in span.events],
        scope_name=scope.name,
        scope_version=scope.version,
        resource=resource,
        links=[LinkView(link.trace_id.hex(), link.span_id.hex(), _decoded(link.attributes)) for link in span.links],
        dropped_attributes=span.dropped_attributes_count,
        dropped_events=span.dropped_events_count,
        dropped_links=span.dropped_links_count,
    )


def _decoded(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: value_of(pair.value) for pair in pairs}


def value_of(value: AnyValue, depth: int = 0) -> Any:
    """The Python value: str, bool, int, float, bytes, list, dict or ``None``."""
    if text := value.string_value:  # cheaper than to ask for the kind first
        return text
    kind = value.WhichOneof("value")
    if kind is None or depth > DEEPEST:
        return None
    if kind == "array_value":
        return [value_of(item, depth + 1) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: value_of(pair.value, depth + 1) for pair in value.kvlist_value.values}
    return getattr(value, kind)


def first_item(body: bytes) -> bytes | None:
    """The first span or log record of a request, undecoded.

    Raises:
        UndecodableError: it is not a request.
    """
    return next((bytes(raw) for _, _, raw in _items(body)), None)
