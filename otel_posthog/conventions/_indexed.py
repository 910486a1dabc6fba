"""Nested values from flattened attributes such as ``llm.input_messages.0.message.role``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_posthog._model import Json

_MOST_PARTS = 12  # no convention nests deeper; a name with more dots is not a path


def nested(flat: Mapping[str, Any]) -> Json:
    """The value that was flattened: objects by name, lists where all names of a level are numbers.

    A gap in the numbers (attribute limits drop the oldest) closes; the order stays.
    """
    root: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".", _MOST_PARTS)
        here = root
        for step in path:
            below = here.get(step)
            if not isinstance(below, dict):
                # Malformed: a value where the path continues. The longer path wins.
                below = here[step] = {}
            here = below
        here.setdefault(last, value)
    return _lists(root)


def _lists(value: Json) -> Json:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() and key.isascii() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=_number)]
    return {key: _lists(item) for key, item in value.items()}


def _number(digits: str) -> tuple[int, str]:
    """Sorts digits as the numbers they are; ``int`` refuses more than 4,300 of them."""
    digits = digits.lstrip("0")
    return len(digits), digits


def listed(value: Json) -> list[Json]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []
