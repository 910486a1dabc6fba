"""Plain values: spans made by hand, and log records, may hold objects whose methods raise."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from otel_posthog._spans import EventView, SpanView

_DEEPEST = 100  # levels
_SCALARS = frozenset((str, int, float, bool, bytes, type(None)))
_CONTAINERS = frozenset((list, tuple, dict))
_PLAIN = _SCALARS | _CONTAINERS
_DROPPED = object()


def is_plain(values: Collection[Any], depth: int = 0) -> bool:
    """Whether all values, and all in them, are of JSON's types exactly. The SDK lets no others in but for subclasses,
    such as enums."""
    if not _PLAIN.issuperset(map(type, values)):
        return False
    for value in values:
        kind = type(value)
        if kind not in _CONTAINERS or not value:
            continue
        if kind is dict and not all(type(name) is str for name in value):
            return False
        if depth > _DEEPEST or not is_plain(value.values() if kind is dict else value, depth + 1):
            return False
    return True


def plain_view(span: SpanView) -> SpanView:
    """The view with texts as names and only JSON's types as values, of exactly these types; others
    are dropped."""
    return replace(
        span,
        attributes=_plain_attributes(span.attributes),
        events=_plain_events(span.events),
        logs=_plain_events(span.logs),
    )


def _plain_events(events: Sequence[EventView]) -> list[EventView]:
    return [replace(event, attributes=_plain_attributes(event.attributes), body=plain(event.body)) for event in events]


def _plain_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """An attribute whose value is dropped stays, as ``None``: a reader may know the span by its name."""
    named = ((_name(name), _plain(value, 0)) for name, value in attributes.items())
    return {name: _or_none(value) for name, value in named if name is not None}


def _or_none(value: Any) -> Any:
    return None if value is _DROPPED else value


def plain(value: Any) -> Any:
    """The value with JSON's types only, ``None`` if it is not such a value."""
    return _or_none(_plain(value, 0))


def _plain(value: Any, depth: int) -> Any:
    if type(value) in _SCALARS:
        return value
    if depth > _DEEPEST:
        return _DROPPED
    try:
        if isinstance(value, Mapping):
            pairs = dict.items(value) if isinstance(value, dict) else value.items()
            named = ((_name(name), _plain(item, depth + 1)) for name, item in list(pairs))
            return {name: item for name, item in named if name is not None and item is not _DROPPED}
        if isinstance(value, (list, tuple)):
            return [_or_none(_plain(item, depth + 1)) for item in tuple(value)]
        for kind in (str, int, float, bytes):
            if isinstance(value, kind):
                return _exact(value, kind)
    except Exception:  # raised by the object's own methods
        return _DROPPED
    return _DROPPED


def _name(name: Any) -> str | None:
    plain = _plain(name, _DEEPEST)
    return plain if isinstance(plain, str) else None if plain is _DROPPED else str(plain)


def _exact(value: Any, kind: type) -> Any:
    """The value of a subclass (an enum member) without the methods that it overrides."""
    if kind is str:
        return str.__str__(value)
    if kind is bytes:
        return bytes.__getitem__(value, slice(None))
    return int.__add__(value, 0) if kind is int else float.__add__(value, 0.0)
