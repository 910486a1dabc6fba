"""Recorded spans, broken in every way that a library, a limit or a stranger may break them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from otel_posthog._spans import EventView
from tests.support import recordings
from tests.test_hostile_values import VALUES

Trace = tuple[list[ReadableSpan], list[tuple[ReadableSpan, EventView]]]  # spans, and log records with their span

_HOSTILE = list(VALUES.values())
_NAMES = sorted({n for r in recordings.NAMES for span in recordings.load(r)["spans"] for n in span["attributes"]})
_TIMES = (None, 0, -1, 1, 2**63, 1_795_489_200_000_000_000)
_SNIPPETS = (
    "[",
    "]",
    "{",
    "}",
    '"',
    "\\",
    "\\u",
    "\\ud83d",
    "null",
    "NaN",
    ",",
    ":",
    "\x00",
    "\ud800",
    "é",
    "data:a/b;base64,",
)
_LARGEST = 20_000  # characters, of a text that is repeated


def _cut(value: Any, chance: random.Random) -> Any:
    return value[: chance.randrange(len(value) + 1)] if isinstance(value, (str, tuple, list)) else value


def _spliced(value: Any, chance: random.Random) -> Any:
    """Syntax in the wrong place."""
    if not isinstance(value, str):
        return chance.choice(_SNIPPETS)
    place = chance.randrange(len(value) + 1)
    return value[:place] + chance.choice(_SNIPPETS) + value[place + chance.randrange(3) :]


def _repeated(value: Any, chance: random.Random) -> Any:
    text = value if isinstance(value, str) and value else str(chance.choice(_SNIPPETS))
    return (text * chance.choice((2, 30, 3000)))[:_LARGEST]


def _wrapped(value: Any, chance: random.Random) -> Any:
    """JSON in JSON, in a list, or taken out of one."""
    try:
        return chance.choice((json.dumps, lambda v: [v], lambda v: {"content": v}, lambda v: json.loads(v)))(value)
    except (TypeError, ValueError, RecursionError):
        return [value]


def _turned(value: Any, chance: random.Random) -> Any:
    """Another type with the same look."""
    return chance.choice((str, repr, lambda v: v, lambda v: (v,), lambda v: str(v).encode("utf-8", "replace")))(value)


def _hostile(value: Any, chance: random.Random) -> Any:
    return chance.choice(_HOSTILE)


_MUTATIONS: tuple[Callable[[Any, random.Random], Any], ...] = (_cut, _spliced, _repeated, _wrapped, _turned, _hostile)


def mutated(value: Any, chance: random.Random) -> Any:
    """A broken value in place of this one."""
    try:
        return chance.choice(_MUTATIONS)(value, chance)
    except RuntimeError:  # it is a hostile one already
        return value


def _attributes(given: dict[str, Any], chance: random.Random, most: int = 4) -> dict[str, Any]:
    attributes = dict(given)
    names = list(attributes)
    for _ in range(chance.randrange(most + 1)):
        if not names:
            break
        name, how = chance.choice(names), chance.randrange(10)
        if how == 0:
            attributes.pop(name, None)
        elif how == 1:  # what belongs to one is under another name
            attributes[chance.choice(_NAMES)] = attributes.get(name)
        elif how == 2:
            attributes[chance.choice(_NAMES)] = chance.choice(_HOSTILE)
        else:
            attributes[name] = mutated(attributes.get(name), chance)
    return attributes


def _text(given: str | None, chance: random.Random) -> Any:
    if chance.random() < 0.9:
        return given
    return chance.choice(("", "x" * 5000, "chat \ud800", "Ask: why", None, given and given[:3]))


def _span(
    recorded: dict[str, Any], trace_id: int, ids: dict[str, int], later: int, chance: random.Random
) -> ReadableSpan:
    own, above = ids[recorded["span_id"]], ids.get(recorded["parent_span_id"] or "")
    if chance.random() < 0.02:
        above = chance.choice((own, None, chance.getrandbits(64), *ids.values()))
    start, end = (recorded[name] + later for name in ("start_time_unix_nano", "end_time_unix_nano"))
    if chance.random() < 0.05:
        start, end = chance.choice(_TIMES), chance.choice(_TIMES[1:])
    resource = recorded["resource"]
    scope = recorded["scope"]
    code = recorded["status"]["code"] if chance.random() < 0.9 else chance.choice(("OK", "ERROR", "UNSET"))
    return ReadableSpan(
        name=_text(recorded["name"], chance),
        context=SpanContext(trace_id, own, False, TraceFlags(1)),
        parent=SpanContext(trace_id, above, chance.random() < 0.05, TraceFlags(1)) if above else None,
        resource=Resource(resource if chance.random() < 0.95 else {**resource, "x": chance.choice(["a", 1, [1.5]])}),
        attributes=_attributes(recorded["attributes"], chance),
        events=[
            Event(
                _text(event["name"], chance) or "",
                _attributes(event["attributes"] or {}, chance, 2),
                event.get("time_unix_nano"),
            )
            for event in recorded["events"]
        ],
        kind=SpanKind[recorded["kind"]],
        instrumentation_scope=InstrumentationScope(scope["name"], scope.get("version"), None),
        status=Status(StatusCode[code], recorded["status"]["message"] if code == "ERROR" else None),
        start_time=start,
        end_time=end,
    )  # fmt: skip


def trace(name: str, chance: random.Random) -> Trace:
    """A mutated recording with ids of its own; some of its spans are missing."""
    recording = recordings.load(name)
    later = chance.randrange(10**15)  # nanoseconds: the calls of two traces are not the same ones
    kept = [span for span in recording["spans"] if chance.random() < 0.95]
    ids = {span["span_id"]: chance.getrandbits(64) | 1 for span in kept}
    traces: dict[str, int] = {}
    spans = {}
    for recorded in kept:
        trace_id = traces.setdefault(recorded["trace_id"], chance.getrandbits(128) | 1)
        spans[recorded["span_id"]] = _span(recorded, trace_id, ids, later, chance)
    logs = []
    for record in recording["logs"]:
        owner = spans.get(record["span_id"])
        if owner is not None:
            body = record["body"] if chance.random() < 0.8 else mutated(record["body"], chance)
            name = _text(record["event_name"], chance) or ""
            logs.append((owner, EventView(name, _attributes(record["attributes"] or {}, chance, 2), body)))
    return list(spans.values()), logs
