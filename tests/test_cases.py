"""Small cases: spans as real libraries write them, and what must be true of their events.

Each file in ``tests/cases`` names the source of its right values; ``report`` is a public report of the fault.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry._logs import Logger
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from otel_posthog import PostHogLogRecordProcessor, PostHogSpanExporter, PostHogSpanProcessor
from otel_posthog.local import LocalPostHog
from otel_posthog.logs import LogRecords
from tests.support.price_engine import Prices, bill_of

Json = Any

CASES = sorted((Path(__file__).parent / "cases").glob("*.json"))


def value_of(written: Json) -> Json:
    """An attribute's value; what JSON has no form for, or is long, is an object."""
    if isinstance(written, list):
        return tuple(value_of(item) for item in written)
    if not isinstance(written, dict):
        return written
    (kind, value), *_ = written.items()
    if kind == "json":
        return json.dumps(expanded(value))
    return {"repeat": lambda: value[0] * value[1], "float": lambda: float(value)}[kind]()


def expanded(value: Json) -> Json:
    if isinstance(value, dict):
        if "repeat" in value:
            return value["repeat"][0] * value["repeat"][1]
        return {key: expanded(item) for key, item in value.items()}
    return [expanded(item) for item in value] if isinstance(value, list) else value


def values(attributes: dict[str, Json]) -> dict[str, Json]:
    return {name: value_of(value) for name, value in attributes.items()}


def context_of(trace: str, span: str, remote: bool = False) -> SpanContext:
    return SpanContext(int(trace, 16), int(span, 16), remote, TraceFlags(TraceFlags.SAMPLED))


def span_of(written: dict[str, Json]) -> ReadableSpan:
    code, message = written.get("status", ("UNSET", None))
    remote = written.get("parent_is_remote", False)
    return ReadableSpan(
        name=written["name"],
        context=context_of(written["trace"], written["id"]),
        parent=context_of(written["trace"], written["parent"], remote) if "parent" in written else None,
        resource=Resource({}),
        attributes=values({**written.get("start_attributes", {}), **written["attributes"]}),
        events=[Event(name, values(attributes), time) for name, attributes, time in written.get("events", ())],
        kind=SpanKind[written.get("kind", "INTERNAL")],
        instrumentation_scope=InstrumentationScope(*written["scope"]),
        status=Status(StatusCode[code], message if code == "ERROR" else None),
        start_time=written["time"][0],
        end_time=written["time"][1],
    )


def emit(records: LogRecords, logs: Iterable[dict[str, Json]]) -> None:
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(PostHogLogRecordProcessor(records))
    for record in logs:
        if "event_name" not in inspect.signature(Logger.emit).parameters:
            pytest.skip("the records here are emitted the way newer SDKs do")
        around = set_span_in_context(NonRecordingSpan(context_of(record["trace"], record["span"])), Context())
        provider.get_logger("cases").emit(
            context=around, body=record["body"], attributes=record["attributes"], event_name=record["name"]
        )


def export(case: dict[str, Json], url: str) -> None:
    """All spans of the case in one call of the exporter, in the order in which they ended."""
    exporter = PostHogSpanExporter("phc_test", url, **case.get("options", {}))
    emit(exporter.log_records, case.get("logs", ()))
    exporter.export([span_of(span) for span in sorted(case["spans"], key=lambda span: span["time"][1])])
    exporter.force_flush()
    exporter.shutdown()


class GivenIds(IdGenerator):
    """Generates the ids that it was told last."""

    trace = span = 0

    def generate_trace_id(self) -> int:
        return self.trace

    def generate_span_id(self) -> int:
        return self.span


def record(case: dict[str, Json], url: str) -> None:
    """The spans of the case in a TracerProvider: they start and end in the order of their times."""
    processor = PostHogSpanProcessor("phc_test", url, **case.get("options", {}))
    ids = GivenIds()
    provider = TracerProvider(id_generator=ids, resource=Resource({}), shutdown_on_exit=False)
    provider.add_span_processor(processor)
    spans = {span["id"]: span for span in case["spans"]}
    live: dict[str, Span] = {}
    steps = sorted((span["time"][end], end, span["id"]) for span in case["spans"] for end in (0, 1))
    for _, ends, span_id in steps:
        written = spans[span_id]
        if ends:
            emit(processor.exporter.log_records, (log for log in case.get("logs", ()) if log["span"] == span_id))
            _end(live[span_id], written)
            if written.get("flush_after"):
                provider.force_flush()
            continue
        parent = live.get(written.get("parent", ""))
        if parent is None and "parent" in written:
            parent = NonRecordingSpan(context_of(written["trace"], written["parent"], remote=True))
        ids.trace, ids.span = int(written["trace"], 16), int(span_id, 16)
        live[span_id] = provider.get_tracer(*written["scope"]).start_span(
            written["name"],
            context=set_span_in_context(parent, Context()) if parent is not None else Context(),
            kind=SpanKind[written.get("kind", "INTERNAL")],
            attributes=values(written.get("start_attributes", {})),
            start_time=written["time"][0],
        )
    provider.force_flush()
    provider.shutdown()


def _end(span: Span, written: dict[str, Json]) -> None:
    span.set_attributes(values(written["attributes"]))
    for name, attributes, time in written.get("events", ()):
        span.add_event(name, values(attributes), time)
    code, message = written.get("status", ("UNSET", None))
    if code != "UNSET":
        span.set_status(StatusCode[code], message if code == "ERROR" else None)
    span.end(written["time"][1])


def events_of(case: dict[str, Json], posthog: LocalPostHog) -> list[dict[str, Json]]:
    """The events that PostHog received for a case."""
    run = record if case.get("through") == "processor" else export
    run(case, posthog.url)
    return [dict(event) for event in posthog.events()]


def same(found: Json, wanted: Json) -> bool:
    """Equality in which ``True`` is no number and floats may differ by rounding."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, (int, float)) and isinstance(wanted, (int, float)):
        return math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(found, dict) and isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[key], wanted[key]) for key in wanted)
    if isinstance(found, list) and isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return bool(found == wanted)


def faults_of_event(wanted: dict[str, Json], event: dict[str, Json]) -> Iterator[str]:
    properties = event["properties"]
    for name, value in wanted.get("properties", {}).items():
        if not same(properties.get(name), value):
            yield f"{name} is {properties.get(name)!r}, not {value!r}"
    for name in wanted.get("absent", ()):
        if properties.get(name) is not None:
            yield f"{name} is {properties[name]!r}, not absent"
    for choices in wanted.get("any_of", ()):
        if not any(all(same(properties.get(name), value) for name, value in choice.items()) for choice in choices):
            yield f"none of {choices!r}"
    for check in ("contains", "excludes"):
        for name, texts in wanted.get(check, {}).items():
            whole = json.dumps(event if name == "*" else properties.get(name), ensure_ascii=False)
            for text in [texts] if isinstance(texts, str) else texts:
                if (text in whole) is (check == "excludes"):
                    yield f"{name} {check} not {text!r}: {whole[:300]}"
    if "distinct_id" in wanted and event["distinct_id"] != wanted["distinct_id"]:
        yield f"distinct_id is {event['distinct_id']!r}"


def faults_of(case: dict[str, Json], events: list[dict[str, Json]]) -> Iterator[str]:
    for wanted in case["expect"]:
        mine = [event for event in events if event["properties"].get("$ai_span_id") == wanted["span"]]
        event = next((event for event in mine if wanted.get("event") in (None, event["event"])), None)
        if event is None and "event" in wanted:
            yield f"no {wanted['event']} for {wanted['span']}, but {[event['event'] for event in mine]}"
            continue
        yield from faults_of_event(wanted, event or {"properties": {}, "distinct_id": None})
    for name, number in case.get("count", {}).items():
        found = sum(event["event"] == name for event in events)
        if found != number:
            yield f"{found} {name}, not {number}"
    for bill in case.get("bill", ()):
        (event,) = (e for e in events if e["properties"].get("$ai_span_id") == bill["span"])
        rates = {name: price / 1e6 for name, price in bill["prices_per_million"].items()}
        prices = Prices(rates["input"], rates["output"], rates.get("cache_read"), rates.get("cache_write"))
        price = bill_of(event["properties"], prices).total
        if not math.isclose(price, bill["usd"], rel_tol=1e-9, abs_tol=1e-12):
            yield f"priced at {price}, not {bill['usd']}"
    yield from faults_of_tree(case, events)


def faults_of_tree(case: dict[str, Json], events: list[dict[str, Json]]) -> Iterator[str]:
    properties = [event["properties"] for event in events]
    spans, traces = ({each.get(name) for each in properties} for name in ("$ai_span_id", "$ai_trace_id"))
    if case.get("parents_exist"):
        for parent in {each.get("$ai_parent_id") for each in properties} - spans - traces - {None}:
            yield f"parent {parent} was not sent"
    if case.get("one_trace") and len(traces) != 1:
        yield f"traces {traces}"
    people = {event["distinct_id"] for event in events}
    if case.get("one_distinct_id") and len(people) != 1:
        yield f"distinct_ids {people}"
    strangers = case.get("distinct_ids_differ", ())
    apart = [event["distinct_id"] for event in events if event["properties"].get("$ai_span_id") in strangers]
    if len(set(apart)) < len(strangers):
        yield f"distinct_ids {apart}"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path, posthog: LocalPostHog) -> None:
    case = json.loads(path.read_text())
    assert list(faults_of(case, events_of(case, posthog))) == []
