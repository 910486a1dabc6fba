"""Streams with one record made when they begin and another when they end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from otel_posthog._model import last_user_text
from otel_posthog._trace import SpanKey, TracedSpan
from otel_posthog.stages.tree import Tree

Key = tuple[object, ...]

_SAME_START = 1_000_000_000  # nanoseconds between the start of a request and what its stream's record says


def requests_of_streams(tree: Tree, calls: Iterable[TracedSpan]) -> dict[SpanKey, TracedSpan]:
    """A stream that is recorded when it has ended, as a root of its own, belongs below the record of its request
    (Logfire, outside of any span): that record by the stream's key."""
    ended = [traced for traced in calls if traced.span.parent_span_id is None and is_late_record(traced)]
    if not ended:
        return {}
    begun: dict[Key, list[TracedSpan]] = defaultdict(list)
    for traced in tree.everything():
        if traced.operation is not None and (key := begun_stream_key(traced)) is not None:
            begun[key].append(traced)
    found: dict[SpanKey, TracedSpan] = {}
    for traced in ended:
        latency = traced.operation.latency if traced.operation is not None else None
        began = traced.span.start_unix_nano - (latency or 0) * 1e9  # no integer: what is stated may be any number
        for request in begun.get(stream_key(traced), ()):
            if abs(request.span.start_unix_nano - began) < _SAME_START and request.key != traced.key:
                found[traced.key] = request
                break
    return found


def is_late_record(traced: TracedSpan) -> bool:
    """Whether a call was recorded when it had ended: it took longer than its span."""
    operation, span = traced.operation, traced.span
    if operation is None or operation.kind != "generation" or operation.latency is None:
        return False
    return operation.latency * 1e9 > span.end_unix_nano - span.start_unix_nano + 1_000_000


def stream_key(traced: TracedSpan) -> Key:
    """The key that a stream's two records share."""
    operation = traced.operation
    model = operation.request_model if operation is not None else None
    question = last_user_text(operation.input) if operation is not None else None
    return "stream", traced.span.scope_name, model, question


def begun_stream_key(traced: TracedSpan) -> Key | None:
    """The :func:`stream_key` of the record of a request whose stream is recorded apart, ``None`` if it is none."""
    operation = traced.operation
    is_begun = operation is not None and operation.kind == "chain" and operation.streaming and operation.request_model
    return stream_key(traced) if is_begun and traced.span.parent_span_id is None else None
