"""Where an event comes from, as the exporter says it in `$otel_posthog_explain`, for the page and the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from otel_posthog.local.formats import printable

_MOST = 500  # entries of a list
_LONGEST = 1000  # characters of an entry

OTHER_SOURCE = "the span itself, its resource, or the settings"


@dataclass(frozen=True, slots=True)
class Explanation:
    """``sources`` are the attributes of each property, ``other`` the properties that none of them makes, ``unread``
    the attributes that pass through under their own name, ``dropped`` what did not get into the event, with the
    reason, ``merged`` (name, scope, id) of further spans."""

    reader: str
    scope: str
    span: str
    span_id: str
    notes: list[str]
    sources: list[tuple[str, list[str]]]
    other: list[str]
    unread: list[str]
    dropped: list[tuple[str, str]]
    merged: list[tuple[str, str, str]]


def explanation_of(raw: object, properties: Iterable[str]) -> Explanation | None:
    """Read what the exporter sent with an event of these properties; parts of another form count as absent."""
    if not isinstance(raw, dict) or not raw:
        return None
    sent = raw.get("sources")
    names = set(properties)
    sources = {_text(name): _texts(found) for name, found in _items(sent) if name in names}
    unread = _texts(raw.get("unread"))
    return Explanation(
        reader=_text(raw.get("reader") or "a convention of its own"),
        scope=_text(raw.get("scope") or "unnamed"),
        span=_text(raw.get("span_name") or ""),
        span_id=_text(raw.get("span_id") or ""),
        notes=_texts(raw.get("notes")),
        sources=sorted(sources.items()),
        other=sorted(_text(name) for name in names - sources.keys() - set(unread))[:_MOST],
        unread=sorted(unread),
        dropped=[(_text(name), _text(why)) for name, why in _items(raw.get("dropped"))],
        merged=[
            (_text(span.get("span_name") or "span"), _text(span.get("scope") or ""), _text(span.get("span_id") or ""))
            for span in _list(raw.get("merged"))
            if isinstance(span, dict)
        ],
    )


def explanation_lines(event: str, found: Explanation | None) -> Iterator[str]:
    """The explanation of an event for a terminal."""
    if found is None:
        yield f"  {event}; where it came from is not known"
        return
    yield f"  {event}, read as {found.reader} (scope {found.scope})"
    width = max((len(name) for name, _ in found.sources), default=0)
    for name, attributes in found.sources:
        yield f"  {name:<{width}}  <- {', '.join(attributes)}"
    if found.other:
        yield f"  from {OTHER_SOURCE}: {', '.join(found.other)}"
    if found.unread:
        yield f"  without a property, passed through: {', '.join(found.unread)}"
    for why in dict.fromkeys(why for _, why in found.dropped):
        yield f"  left out: {', '.join(name for name, its in found.dropped if its == why)} ({why})"
    for _, scope, span_id in found.merged:
        yield f"  another record of this call went into it: span {span_id}, scope {scope}"
    for note in found.notes:
        yield f"  {note}"


def _items(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items())[:_MOST] if isinstance(value, dict) else []


def _texts(value: Any) -> list[str]:
    return [_text(item) for item in ([value] if isinstance(value, str) else _list(value))]


def _list(value: Any) -> list[Any]:
    return value[:_MOST] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return printable(str(value)[:_LONGEST])
