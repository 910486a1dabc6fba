"""The attributes of one span while a reader consumes them.

Each is converted and taken, or left in place. Those left pass through to the event under their own names, so a
malformed value loses only its property and stays visible.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from otel_posthog._model import Json
from otel_posthog.conventions._json import loads

T = TypeVar("T")
ABSENT = object()


class ConversionError(Exception):
    """The value has no usable form."""


def to_str(value: Any) -> str:
    """A non-empty string; OpenLIT writes ``None`` for absent values."""
    if isinstance(value, str) and value and value != "None":
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    raise ConversionError


def to_id(value: Any) -> str:
    """An id as a string; integers are accepted, since frameworks use database ids."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return to_str(value).encode("utf-8", "replace").decode().strip() or to_str("")


def to_int(value: Any) -> int:
    """A count; integral floats (Cohere writes 31.0) and numeric strings are accepted. OpenLIT's -1 means "not set"."""
    amount = to_number(value)
    if not 0 <= amount < 2**63 or amount != int(amount):
        raise ConversionError
    return int(amount)


def to_number(value: Any) -> float | int:
    """A finite number, or a string that holds one."""
    if isinstance(value, bool):
        raise ConversionError
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ConversionError from None
        value = int(value) if value.is_integer() else value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    raise ConversionError


def to_bool(value: Any) -> bool:
    """A boolean; LiteLLM writes ``"True"``, MLflow ``"true"``."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ConversionError


def to_any(value: Any) -> Any:
    """The value as it is."""
    return value


def parse_json(value: Any) -> Json:
    """Any JSON value; a string that is JSON of an object or a list is decoded, other text stays text."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return loads(value)
        except ValueError:
            return value
    if isinstance(value, tuple):
        return list(value)
    return value


def parse_quoted_json(value: Any) -> Json:
    """As :func:`parse_json`, but a JSON string is unquoted too."""
    if isinstance(value, str) and value[:1] == '"':
        try:
            value = loads(value)
        except ValueError:
            return value
    return parse_json(value)


def to_structure(value: Any) -> Json:
    """An object or a list, as JSON or as a structured attribute."""
    decoded = parse_json(value)
    if isinstance(decoded, (dict, list)):
        return decoded
    if isinstance(decoded, Mapping):
        return dict(decoded)
    raise ConversionError


def to_str_list(value: Any) -> list[str]:
    """A list of strings: a list, a tuple, a JSON string of a list or one bare string."""
    decoded = parse_json(value)
    if isinstance(decoded, str):
        decoded = [decoded] if decoded else []
    if isinstance(decoded, list):
        return [item if isinstance(item, str) else str(item) for item in decoded if item is not None]
    raise ConversionError


# An inverted table: attribute -> (rank, field, conversion). Lower ranks win.
Index = dict[str, tuple[int, Any, Callable[[Any], Any]]]


def index_of(*rows: tuple[Any, Callable[[Any], Any], tuple[str, ...]]) -> Index:
    """The index of a table of ``(field, conversion, names)``; the first usable name of a field counts."""
    names = [(name, field, convert) for field, convert, names in rows for name in names]
    return {name: (rank, field, convert) for rank, (name, field, convert) in enumerate(names)}


def _rank(hit: tuple[tuple[int, Any, Any], str]) -> int:
    return hit[0][0]


class Attributes:
    """The attributes of one span during parsing; ``left`` holds those not taken yet."""

    __slots__ = ("left",)

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        # The SDK's mapping copies its dict in C; iterating it would cost a Python call per key.
        copy = getattr(attributes, "copy", None)
        self.left: dict[str, Any] = copy() if copy is not None else dict(attributes)

    def take(self, convert: Callable[[Any], T], *names: str) -> T | None:
        """The value of the first name that has a usable one; the synonyms after it are removed too."""
        left = self.left
        if left.keys().isdisjoint(names):
            return None
        found: T | None = None
        for name in names:
            value = left.get(name, ABSENT)
            if value is ABSENT:
                continue
            if value is None or value == "":
                del left[name]
                continue
            if found is None:
                try:
                    found = convert(value)
                except ConversionError:
                    continue
            del left[name]
        return found

    def take_all(self, index: Index) -> dict[Any, Any]:
        """The fields of a table with a usable value: as :meth:`take` for each row, in one lookup."""
        found: dict[Any, Any] = {}
        names = self.left.keys() & index.keys()
        if not names:
            return found
        for (_, field, convert), name in sorted([(index[name], name) for name in names], key=_rank):
            value = self.left[name]
            if value is not None and value != "" and field not in found:
                try:
                    found[field] = convert(value)
                except ConversionError:
                    continue
            del self.left[name]
        return found

    def peek(self, name: str) -> Any:
        """The raw value, left in place."""
        return self.left.get(name)

    def take_prefix(self, prefix: str) -> dict[str, Any]:
        """All attributes whose name starts with the prefix, by the rest of their name."""
        names = [name for name in self.left if name.startswith(prefix)]
        return {name[len(prefix) :]: self.left.pop(name) for name in names}

    def drop(self, *names: str) -> None:
        """Remove attributes that repeat what a property shows."""
        for name in names:
            self.left.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self.left)

    def __contains__(self, name: str) -> bool:
        return name in self.left
