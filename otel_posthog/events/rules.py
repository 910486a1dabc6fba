"""What of a property is sent with content off: a rule gets the value, and returns what may be sent or ``None``."""

from __future__ import annotations

import re
from collections.abc import Callable

from otel_posthog._model import Json

Rule = Callable[[Json], Json]


def keep(value: Json) -> Json:
    """The property never holds content."""
    return value


def remove(value: Json) -> Json:
    """The property is content."""
    return None


def numbers_only(value: Json) -> Json:
    """Any text may quote a prompt."""
    return value if isinstance(value, (bool, int, float)) else None


def _matching(pattern: str) -> Rule:
    compiled = re.compile(pattern)
    return lambda value: value if isinstance(value, str) and compiled.fullmatch(value) is not None else None


identifier = _matching(r"[\w.]{1,100}")
word = _matching(r"[\w.-]{1,40}")
_tool_name = _matching(r"[\w.:/-]{1,128}")
_LONGEST_NAME = 100  # characters, of a prompt
_LONGEST_LABEL = 40  # characters, of an evaluation's result

_TOOL_CHOICES = ("auto", "none", "required", "any")
_ENUMERATED = ("reasoning_effort", "service_tier", "output_type", "response_format")


def version(value: Json) -> Json:
    return numbers_only(value) if not isinstance(value, str) else word(value)


def short_name(value: Json) -> Json:
    return value if isinstance(value, str) and len(value) <= _LONGEST_NAME else None


def label(value: Json) -> Json:
    return None if isinstance(value, str) and len(value) > _LONGEST_LABEL else value


def settings(value: Json) -> Json:
    """Numbers, and texts from a provider's list of values."""
    if not isinstance(value, dict):
        return None
    return {name: item for name, item in value.items() if _is_setting(str(name), item)} or None


def _is_setting(name: str, value: Json) -> bool:
    if isinstance(value, (bool, int, float)):
        return True
    plain = name.rpartition(".")[2]
    return value in _TOOL_CHOICES if plain == "tool_choice" else plain in _ENUMERATED and word(value) is not None


def tool_names(value: Json) -> Json:
    """The names of the tools, unless a tool is one free text."""
    functions = [tool["function"] for tool in value or () if isinstance(tool, dict) and "function" in tool]
    named = [f["name"] for f in functions if len(f) > 1 or _tool_name(f["name"]) is not None]
    return [{"type": "function", "function": {"name": name}} for name in named] or None
