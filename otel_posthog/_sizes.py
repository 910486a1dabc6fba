"""How many bytes spans and values keep in memory, about: what counts is their texts."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

_SPAN_BYTES = 2_048
_MOST_VALUES = 100_000  # that are looked at in one attribute
_SCALARS = frozenset((int, float, bool, type(None)))


def size_of(span: ReadableSpan) -> int:
    """Bytes of a span."""
    size = _SPAN_BYTES
    for attributes in (span.attributes, *(event.attributes for event in span.events)):
        # The SDK's mapping copies its dict in C; iterating it would cost a Python call per key.
        copy = getattr(attributes, "copy", None)
        for value in ((attributes or {}) if copy is None else copy()).values():
            if isinstance(value, str):
                size += len(value)
            elif type(value) not in _SCALARS:
                size += size_of_value(value)
    return size


def size_of_value(value: Any) -> int:
    """Bytes of the texts in a value; of a value that cannot be read, or holds itself, what is found."""
    size, left = 0, [value]
    for _ in range(_MOST_VALUES):
        if not left:
            break
        value = left.pop()
        with suppress(Exception):  # a foreign object that raises when it is read
            if isinstance(value, (str, bytes)):
                size += len(value)
            elif isinstance(value, Mapping):
                left += value.values()
            elif isinstance(value, (list, tuple)):
                left += value
    return size
