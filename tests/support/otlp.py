"""Spans and log records as OTLP requests, by the SDK's own encoder."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.sdk.trace import ReadableSpan

from otel_posthog._spans import EventView


def traces_request(spans: Iterable[ReadableSpan]) -> ExportTraceServiceRequest:
    """The spans as a request, in their order within each scope."""
    return encode_spans(list(spans))


def logs_request(trace_id: str, logs: Mapping[str, Sequence[EventView]]) -> ExportLogsServiceRequest:
    """Log records by span id, all of one trace."""
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for span_id, records in logs.items():
        for record in records:
            scope.log_records.add(
                trace_id=bytes.fromhex(trace_id),
                span_id=bytes.fromhex(span_id or ""),
                event_name=record.name,
                time_unix_nano=record.time_unix_nano or 0,
                body=None if record.body is None else any_value(record.body),
                attributes=[KeyValue(key=key, value=any_value(value)) for key, value in record.attributes.items()],
            )
    return request


def any_value(value: Any) -> AnyValue:
    """A Python value as OTLP."""
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, Mapping):
        pairs = [KeyValue(key=key, value=any_value(item)) for key, item in value.items()]
        return AnyValue(kvlist_value=KeyValueList(values=pairs))
    if isinstance(value, (list, tuple)):
        return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))
    return AnyValue()


def as_json(request: ExportTraceServiceRequest | ExportLogsServiceRequest) -> bytes:
    """The request in OTLP's JSON: hex ids and integer enumerations, unlike protobuf's own."""
    return json.dumps(_with_hex_ids(MessageToDict(request, use_integers_for_enums=True))).encode()


def _with_hex_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_hex_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: base64.b64decode(item).hex()
        if name in ("traceId", "spanId", "parentSpanId") and isinstance(item, str)
        else _with_hex_ids(item)
        for name, item in value.items()
    }
