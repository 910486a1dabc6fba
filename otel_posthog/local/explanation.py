"""Where an event comes from, as the exporter says it in `$otel_posthog_explain`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_MOST = 500  # entries of a list
_LONGEST = 1000  # characters of an entry


@dataclass(frozen=True, slots=True)
class Explanation:
    """``sources`` are the attributes of each property, ``merged`` (name, scope, id) of further spans."""

    about: list[tuple[str, str]]
    notes: list[str]
    sources: list[tuple[str, list[str]]]
    unread: list[str]
    merged: list[tuple[str, str, str]]


def explanation_of(raw: object) -> Explanation | None:
    """Read what the exporter sent; parts of another form count as absent."""
    if not isinstance(raw, dict) or not raw:
        return None
    labels = (("reader", "reader"), ("scope", "scope"), ("span", "span_name"))
    sources = raw.get("sources")
    return Explanation(
        about=[(label, _text(raw[key])) for label, key in labels if raw.get(key)],
        notes=_texts(raw.get("notes")),
        sources=[(_text(name), _texts(found)) for name, found in list(sources.items())[:_MOST]]
        if isinstance(sources, dict)
        else [],
        unread=_texts(raw.get("unread")),
        merged=[
            (_text(span.get("span_name") or "span"), _text(span.get("scope") or ""), _text(span.get("span_id") or ""))
            for span in _list(raw.get("merged"))
            if isinstance(span, dict)
        ],
    )


def _texts(value: Any) -> list[str]:
    return [_text(item) for item in ([value] if isinstance(value, str) else _list(value))]


def _list(value: Any) -> list[Any]:
    return value[:_MOST] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return str(value)[:_LONGEST]
