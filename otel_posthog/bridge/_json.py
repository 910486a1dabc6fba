"""OTLP JSON: lowerCamelCase, ids as hex, enumerations as integers, 64-bit integers as strings or numbers.

Not protobuf's own JSON mapping: that one reads hex ids as base64, without an error.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import orjson

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

_WRONG_TYPE = (TypeError, ValueError, AttributeError, KeyError, OverflowError)  # int(inf)


def decode_traces(body: bytes) -> Decoded:
    """The spans of a request, or of a line that the Collector's file exporter has written."""
    decoded = Decoded()
    items = list(_items(body, "resourceSpans", "scopeSpans", "spans"))
    size = len(body) // max(1, len(items))
    for resource, scope, span in items:
        try:
            view = _view(span, resource, scope)
        except _WRONG_TYPE:
            decoded.rejected["span is not valid OTLP JSON"] += 1
            continue
        if not (_is_id(view.trace_id, 32) and _is_id(view.span_id, 16)):
            decoded.rejected["span has no valid traceId or spanId"] += 1
            continue
        decoded.spans.append(view)
        decoded.sizes.append(size)
    return decoded


def decode_logs(body: bytes) -> Decoded:
    """The log records of a request that are about AI spans."""
    decoded = Decoded()
    for resource, _, record in _items(body, "resourceLogs", "scopeLogs", "logRecords"):
        try:
            attributes = _attributes(record)
            name = record.get("eventName") or attributes.get("event.name")
            key = str(record.get("traceId") or "").lower(), str(record.get("spanId") or "").lower()
            time = _integer(record.get("timeUnixNano")) or _integer(record.get("observedTimeUnixNano"))
            event = EventView(
                name if isinstance(name, str) else "", attributes.copy(), value_of(record.get("body")), time
            )
            digest = hashlib.blake2b(repr(record).encode("utf-8", "replace"), digest_size=8).hexdigest()
        except _WRONG_TYPE:
            decoded.rejected["log record is not valid OTLP JSON"] += 1
            continue
        add_log(decoded, name, key, event, EvaluationRecord(digest, str(name), attributes, *key, time, resource))
    return decoded


def parse(body: bytes) -> Any:
    """The JSON value. A string that is no Unicode costs its characters, not the request."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            return json.loads(body.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            raise UndecodableError("not JSON") from None


def _items(body: bytes, by_resource: str, by_scope: str, items: str) -> Iterator[tuple[dict[str, Any], Any, Any]]:
    parsed = parse(body)
    # rotel's Kafka exporter writes the bare list.
    resources = parsed if isinstance(parsed, list) else _list(parsed, by_resource)
    for entry in resources:
        head = entry.get("resource") if isinstance(entry, dict) else None
        resource = _resource(head)
        for scoped in _list(entry, by_scope):
            scope = scoped.get("scope") if isinstance(scoped, dict) else None
            for item in _list(scoped, items):
                yield resource, scope if isinstance(scope, dict) else {}, item


def _list(owner: Any, name: str) -> list[Any]:
    """A repeated field: a list, absent, or null."""
    if not isinstance(owner, dict):
        raise UndecodableError("not OTLP JSON")
    found = owner.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise UndecodableError(f"{name} is not a list")
    return found


def _resource(head: Any) -> dict[str, Any]:
    try:
        return _attributes(head).copy() if isinstance(head, dict) else {}
    except _WRONG_TYPE:  # costs the resource, not its spans
        return {}


def _view(span: dict[str, Any], resource: dict[str, Any], scope: dict[str, Any]) -> SpanView:
    start, kind = _integer(span.get("startTimeUnixNano")), KINDS.get(_integer(span.get("kind")), "INTERNAL")
    parent = str(span.get("parentSpanId") or "")
    status = span.get("status") or {}
    return SpanView(
        name=str(span.get("name") or ""),
        kind=kind,
        trace_id=str(span["traceId"]).lower(),
        span_id=str(span["spanId"]).lower(),
        parent_span_id=parent.lower() if _is_id(parent, 16) else None,
        parent_is_remote=bool(parent) and is_remote_parent(_integer(span.get("flags")), kind),
        start_unix_nano=start,
        end_unix_nano=_integer(span.get("endTimeUnixNano")) or start,
        status_code=STATUS_CODES.get(_integer(status.get("code")), "UNSET"),
        status_message=str(status.get("message") or "") or None,
        attributes=_attributes(span),
        events=[
            EventView(
                str(event.get("name") or ""), _attributes(event).copy(), None, _integer(event.get("timeUnixNano"))
            )
            for event in span.get("events") or ()
        ],
        scope_name=str(scope.get("name") or ""),
        scope_version=str(scope.get("version") or ""),
        resource=resource,
        links=[
            LinkView(str(link.get("traceId")).lower(), str(link.get("spanId")).lower(), _attributes(link).copy())
            for link in span.get("links") or ()
        ],
        dropped_attributes=_integer(span.get("droppedAttributesCount")),
        dropped_events=_integer(span.get("droppedEventsCount")),
        dropped_links=_integer(span.get("droppedLinksCount")),
    )


def _attributes(owner: dict[str, Any]) -> LazyAttributes:
    pairs = owner.get("attributes") or ()
    return LazyAttributes({str(pair["key"]): pair.get("value") for pair in pairs}, value_of)


def _is_id(text: str, digits: int) -> bool:
    try:
        return len(text) == digits and int(text, 16) != 0 and len(bytes.fromhex(text)) * 2 == digits
    except ValueError:
        return False


def _integer(value: Any) -> int:
    """A 64-bit integer, as a number or a string; 0 where there is none. ``ValueError`` if it has more bits."""
    number = 0 if value is None else int(value)
    if not -(2**63) <= number < 2**64:
        raise ValueError("more than 64 bits")
    return number


def value_of(value: Any, depth: int = 0) -> Any:
    """The Python value of an ``AnyValue``. A malformed one stays as it is."""
    if not isinstance(value, dict) or depth > DEEPEST:
        return None
    for kind, inner in value.items():
        if kind in ("stringValue", "boolValue"):
            return inner
        if kind in _CONVERT:
            try:
                return _CONVERT[kind](inner)
            except (TypeError, ValueError, OverflowError):
                return inner
        if kind == "arrayValue":
            return [value_of(item, depth + 1) for item in _values(inner)]
        if kind == "kvlistValue":
            pairs = (pair for pair in _values(inner) if isinstance(pair, dict))
            return {str(pair.get("key")): value_of(pair.get("value"), depth + 1) for pair in pairs}
    return None


def _values(value: Any) -> list[Any]:
    found = value.get("values") if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError from error


_CONVERT: dict[str, Callable[[Any], Any]] = {"intValue": _integer, "doubleValue": float, "bytesValue": _bytes}
