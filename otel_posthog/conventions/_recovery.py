"""Repair of JSON that an attribute limit has cut.

``OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT`` cuts strings at a number of characters (OpenTelemetry SDK specification,
"Attribute limits"), so message lists end in the middle of a word.
"""

from __future__ import annotations

import re

from otel_posthog._model import Json
from otel_posthog.conventions._json import loads

# Half an escape cannot be closed: \, \u, \u1, \u12, \u123, and the first half of a surrogate pair.
_HALF_ESCAPE = re.compile(r"(?:\\u[dD][89abAB][0-9a-fA-F]{2})?\\(?:u[0-9a-fA-F]{0,3})?$|\\u[dD][89abAB][0-9a-fA-F]{2}$")
_DEEPEST = 125  # levels; beyond them nothing is read, and decoders refuse more
_MOST = 1_000_000  # characters; longer texts pass through unchanged


def json_prefix(text: str) -> tuple[Json, bool]:
    """The value of a JSON text, and whether it was complete; of a cut text, its complete items.

    A string that was cut keeps its beginning, so that a long prompt is still readable. A text that is not JSON at all
    is returned as it is.
    """
    try:
        return loads(text), True
    except ValueError:
        pass
    if len(text) > _MOST:
        return text, False
    repaired = _close(text)
    if repaired is None:
        return text, True
    try:
        return loads(repaired), False
    except ValueError:
        return text, True


def _close(text: str) -> str | None:
    """The text with its open strings, objects and lists closed; ``None`` if it is not a cut JSON text.

    Linear: every bracket sets the last complete item anew, so that ``closers`` is still what it was there.
    """
    closers: list[str] = []
    in_string = escaped = False
    is_key = False
    expects_key = [False]  # by level, from the one around all brackets on
    last_complete = 0  # where the last complete item ended, should the rest be beyond repair
    for position, character in enumerate(text):
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
                if not is_key:
                    last_complete = position + 1
        elif character == '"':
            in_string = True
            is_key = expects_key[-1]
        elif character in "{[":
            if len(closers) == _DEEPEST:
                break
            closers.append("}" if character == "{" else "]")
            expects_key.append(character == "{")
            last_complete = position + 1
        elif character in "}]":
            if not closers or closers.pop() != character:
                return None
            expects_key.pop()
            last_complete = position + 1
        elif character == ":":
            expects_key[-1] = False
        elif character == ",":
            last_complete = position
            expects_key[-1] = closers[-1:] == ["}"]
    if not closers:
        return None
    if in_string and not is_key:
        return _HALF_ESCAPE.sub("", text) + '"' + "".join(reversed(closers))
    return text[:last_complete] + "".join(reversed(closers))
