"""Why an event looks as it does: which reader took the span, and which attribute became which property.

Found by leaving out one attribute after the other and comparing the events, so that it is true for every reader. Too
slow for production: only the local PostHog and ``otel-posthog explain`` get it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

import requests

from otel_posthog._model import Json
from otel_posthog._spans import SpanView
from otel_posthog._trace import TracedSpan
from otel_posthog.events import Event

PROPERTY = "$otel_posthog_explain"

_MOST_ATTRIBUTES = 200  # of one span


def explain(
    span: SpanView, event: Event, reader: str, rebuild: Callable[[SpanView], Event | None], merged: list[TracedSpan]
) -> dict[str, Json]:
    """The explanation of an event. ``rebuild`` makes it anew from a changed span; ``merged`` are the records of the
    same call that went into it."""
    sources: dict[str, list[str]] = {}
    unread: list[str] = []
    for name in list(span.attributes)[:_MOST_ATTRIBUTES]:
        without = {other: value for other, value in span.attributes.items() if other != name}
        changed = rebuild(replace(span, attributes=without))
        properties = {} if changed is None else changed.properties
        for key in event.properties.keys() | properties.keys():
            if event.properties.get(key) == properties.get(key):
                continue
            if key == name:
                unread.append(name)
            else:
                sources.setdefault(key, []).append(name)
    return {
        "reader": reader,
        "scope": f"{span.scope_name} {span.scope_version}".strip(),
        "span_name": span.name,
        "sources": sources,
        "unread": unread,
        "merged": [
            {"scope": other.span.scope_name, "span_name": other.span.name, "span_id": other.span.span_id}
            for other in merged
        ],
    }


def wants_explanations(host: str) -> bool:
    """Whether the local PostHog that shows them answers at ``host``: asked once, and only of this machine."""
    name = urlsplit(host).hostname or ""
    if name not in ("localhost", "::1") and not name.startswith("127."):
        return False
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(f"{host}/local/about", timeout=0.5, allow_redirects=False)
            return answer.status_code == 200 and answer.json().get("explain") is True
    except (requests.RequestException, ValueError, AttributeError):
        return False
