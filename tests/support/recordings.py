"""Recorded telemetry as what the SDK hands over: ReadableSpans, and the log records that belong to each."""

from __future__ import annotations

import json
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from otel_posthog._spans import EventView

FOLDER = Path(__file__).parents[1] / "recordings"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


@cache
def load(name: str) -> dict[str, Any]:
    """The recording: ``spans``, ``logs`` and ``calls``, the truth of each LLM call."""
    recording: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return recording


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def span_of(recorded: dict[str, Any]) -> ReadableSpan:
    """A recorded span as the SDK's ReadableSpan."""
    trace_id = int(recorded["trace_id"], 16)
    context = SpanContext(trace_id, int(recorded["span_id"], 16), False, TraceFlags(1))
    parent_id = recorded["parent_span_id"]
    parent = SpanContext(trace_id, int(parent_id, 16), False, TraceFlags(1)) if parent_id else None
    scope = recorded["scope"]
    return ReadableSpan(
        name=recorded["name"],
        context=context,
        parent=parent,
        resource=Resource(recorded["resource"]),
        attributes={key: _tupled(value) for key, value in recorded["attributes"].items()},
        events=[
            Event(e["name"], {k: _tupled(v) for k, v in (e["attributes"] or {}).items()}, e.get("time_unix_nano"))
            for e in recorded["events"]
        ],
        kind=SpanKind[recorded["kind"]],
        instrumentation_scope=InstrumentationScope(scope["name"], scope.get("version"), scope.get("schema_url")),
        status=Status(StatusCode[recorded["status"]["code"]], recorded["status"]["message"]),
        start_time=recorded["start_time_unix_nano"],
        end_time=recorded["end_time_unix_nano"],
    )


def spans(name: str) -> list[ReadableSpan]:
    """All spans of a recording, in the order in which they ended."""
    return spans_in(load(name))


def spans_in(recording: dict[str, Any]) -> list[ReadableSpan]:
    """As :func:`spans`, of a recording at hand."""
    return [span_of(recorded) for recorded in recording["spans"]]


def logs_by_span(name: str) -> dict[str, list[EventView]]:
    """The log records of a recording by span id, in the order in which they were emitted."""
    return logs_in(load(name))


def logs_in(recording: dict[str, Any]) -> dict[str, list[EventView]]:
    """As :func:`logs_by_span`, of a recording at hand."""
    found: dict[str, list[EventView]] = defaultdict(list)
    for record in recording["logs"]:
        found[record["span_id"]].append(
            EventView(record["event_name"] or "", record["attributes"] or {}, record["body"])
        )
    return found
