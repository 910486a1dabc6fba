"""What is sent with content off of properties that mostly hold no content, but may.

Any text may quote a prompt: what stays is a number, a name or a word of an enumeration, by its form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeGuard

from otel_posthog._model import Json, Operation, Tool

_IDENTIFIER = re.compile(r"[\w.]{1,100}")
_WORD = re.compile(r"[\w.-]{1,40}")
_TOOL_NAME = re.compile(r"[\w.:/-]{1,128}")
_LONGEST_NAME = 100  # characters, of a prompt
LONGEST_LABEL = 40  # characters, of the result of an evaluation
_LONGEST_SPAN_NAME = 60  # characters

_TOOL_CHOICES = ("auto", "none", "required", "any")
_ENUMERATED = ("reasoning_effort", "service_tier", "output_type", "response_format")


def _number(value: Json) -> bool:
    return isinstance(value, (bool, int, float))


def _matches(pattern: re.Pattern[str]) -> Callable[[Json], TypeGuard[str]]:
    def is_such(value: Json) -> TypeGuard[str]:
        return isinstance(value, str) and pattern.fullmatch(value) is not None

    return is_such


_is_identifier, _is_word, _is_tool_name = _matches(_IDENTIFIER), _matches(_WORD), _matches(_TOOL_NAME)


def _parameters(value: Json) -> Json:
    """Numbers, and the texts that a provider's list has."""
    kept = {name: item for name, item in value.items() if _is_setting(name, item)} if isinstance(value, dict) else {}
    return kept or None


def _is_setting(name: str, value: Json) -> bool:
    if _number(value):
        return True
    plain = str(name).rpartition(".")[2]
    return value in _TOOL_CHOICES if plain == "tool_choice" else plain in _ENUMERATED and _is_word(value)


def _if(is_such: Callable[[Json], bool]) -> Callable[[Json], Json]:
    return lambda value: value if is_such(value) else None


def _nothing(value: Json) -> Json:
    return value if _number(value) else None


# What of a property stays, `None`: nothing. Others pass as they are.
_RULES: dict[str, Callable[[Json], Json]] = {
    "$ai_model_parameters": _parameters,
    "$ai_temperature": _nothing,
    "$ai_max_tokens": _nothing,
    "$ai_error_type": _if(_is_identifier),
    "$ai_stop_reason": _if(_is_word),
    "$ai_prompt_name": _if(lambda value: isinstance(value, str) and len(value) <= _LONGEST_NAME),
    "$ai_prompt_version": _if(lambda value: _number(value) or _is_word(value)),
    # Nothing here writes these, but apps state them, and PostHog's own SDKs know them as content.
    "$ai_output": _nothing,
    "$ai_instructions": _nothing,
    "$ai_error_message": _nothing,
    "$ai_trace_name": _nothing,
    "$ai_span_name": _nothing,
}


def silent(name: str, value: Json) -> Json:
    """What of the property may be sent with content off, ``None``: nothing."""
    rule = _RULES.get(name)
    return value if rule is None else rule(value)


def silent_stated(name: str, value: Json) -> Json:
    """As :func:`silent`, of what the app states itself: its own properties may be anything, so only numbers stay."""
    return silent(name, value) if name.startswith("$") else _nothing(value)


def silent_tools(tools: Iterable[Tool]) -> list[Tool]:
    """The tools without those that are a text and nothing else, unless it is a name."""
    return [
        tool
        for tool in tools
        if tool.description is not None or tool.parameters is not None or tool.extra or _is_tool_name(tool.name)
    ]


def silent_span_name(operation: Operation, name: str) -> str:
    """The name of a span: ``chat gpt-4o`` says what was done, ``Ask: why…`` what was said."""
    first, _, rest = name.partition(" ")
    if len(name) <= _LONGEST_SPAN_NAME and " " not in rest and (not rest or first == operation.operation_name):
        return name
    return first[:_LONGEST_SPAN_NAME]
