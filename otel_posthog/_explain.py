"""Why an event looks as it does: which reader took the span, and which attribute became which property.

Found by leaving out one attribute after the other and comparing the events, so that it is true for every reader. Too
slow for production: only the local PostHog and ``otel-posthog explain`` get it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

import requests

from otel_posthog._model import Json
from otel_posthog._spans import EventView, SpanView
from otel_posthog._trace import TracedSpan
from otel_posthog.delivery.http import new_session
from otel_posthog.events import Event

PROPERTY = "$otel_posthog_explain"

_MOST_PARTS = 200  # attributes, span events and log records of one span that are left out one by one
_LONGEST = 0.5  # seconds for one span

Rebuild = Callable[[SpanView], "Event | None"]

_NOT_PASSED_THROUGH = "no property is made of it, and capture_unmapped or allow_attributes keeps it back"
_NO_EFFECT = "the event is the same without it: other attributes say it too, or its value is of no use"
_NO_CONTENT = "content is not captured here"
_DENIED = "deny_attributes"
_CLEANED = "changed by redaction, or media replaced by a description"


def explain(
    span: SpanView,
    event: Event,
    reader: str,
    rebuild: Rebuild,
    merged: Sequence[TracedSpan],
    unmapped: Mapping[str, Json],
) -> dict[str, Json]:
    """The explanation of an event. ``rebuild`` makes it anew from a changed span; ``merged`` are the records of the
    same call that went into it; ``unmapped`` are the attributes that no reader understood."""
    sources: dict[str, list[str]] = {}
    unread: list[str] = []
    idle: list[str] = []
    notes: list[str] = []
    deadline = time.monotonic() + _LONGEST

    def has_effect(name: str, changed_span: SpanView) -> bool:
        changed = rebuild(changed_span)
        properties = {} if changed is None else changed.properties
        names = [
            key
            for key in event.properties.keys() | properties.keys()
            if event.properties.get(key) != properties.get(key)
        ]
        for key in names:
            if key == name:
                unread.append(name)
            else:
                sources.setdefault(key, []).append(name)
        return bool(names)

    for number, (name, changed_span) in enumerate(_without_each(span)):
        if number == _MOST_PARTS or time.monotonic() > deadline:
            notes.append(f"Only the first {number} attributes, span events and log records were examined.")
            break
        if not has_effect(name, changed_span):
            idle.append(name)
    # Of attributes that say the same, one has to stay: the first, since the others are left out before it.
    dropped: dict[str, Json] = {}
    kept = dict(span.attributes)
    for name in reversed(idle):
        without = {other: value for other, value in kept.items() if other != name}
        if name not in kept or not has_effect(name, replace(span, attributes=without)):
            kept = without
            dropped[name] = _NOT_PASSED_THROUGH if name in unmapped else _NO_EFFECT
    dropped.update(dict.fromkeys(_denied(span), _DENIED))
    return {
        "reader": reader,
        "scope": f"{span.scope_name} {span.scope_version}".strip(),
        "span_name": span.name,
        "span_id": span.span_id,
        "sources": sources,
        "unread": unread,
        "dropped": dropped,
        "notes": notes,
        "merged": [
            {"scope": other.span.scope_name, "span_name": other.span.name, "span_id": other.span.span_id}
            for other in merged
        ],
    }


def kept_back(whole: Event, sent: Event, cleaned: Event) -> dict[str, Json]:
    """Why properties are missing or changed: ``sent`` is the event without its content if that is off, ``cleaned`` is
    it redacted and without media."""
    found: dict[str, Json] = {}
    for name, value in whole.properties.items():
        if sent.properties.get(name) != value:
            found[name] = _NO_CONTENT
        elif cleaned.properties.get(name) != value:
            found[name] = _CLEANED
    return found


def _without_each(span: SpanView) -> Iterator[tuple[str, SpanView]]:
    """What a span consists of, each with the span without it."""
    for name in span.attributes:
        yield name, replace(span, attributes={n: value for n, value in span.attributes.items() if n != name})
    for index, event in enumerate(span.events):
        yield f"span event {event.name}", replace(span, events=_without(span.events, index))
    for index, log in enumerate(span.logs):
        yield f"log record {log.name}".strip(), replace(span, logs=_without(span.logs, index))


def _without(views: Sequence[EventView], index: int) -> list[EventView]:
    return [*views[:index], *views[index + 1 :]]


def _denied(span: SpanView) -> list[str]:
    """The attributes of an SDK span that the pipeline was not to see."""
    original = getattr(span.source, "attributes", None)
    return [name for name in original if name not in span.attributes] if isinstance(original, Mapping) else []


def wants_explanations(host: str) -> bool | None:
    """Whether the local PostHog that shows them answers at ``host``, ``None`` while nobody listens there.

    Only this machine is asked.
    """
    name = urlsplit(host).hostname or ""
    if name not in ("localhost", "::1") and not name.startswith("127."):
        return False
    try:
        with new_session() as session:  # its time-out is for the whole answer
            session.trust_env = False
            answer = session.get(f"{host}/local/about", timeout=1, allow_redirects=False)
            return answer.status_code == 200 and answer.json().get("explain") is True
    except (requests.Timeout, ValueError, AttributeError):
        return False
    except requests.RequestException:
        return None
