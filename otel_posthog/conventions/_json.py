"""Tolerant JSON decoding, and values of JSON objects.

Python's ``json.dumps`` writes ``NaN``, ``Infinity`` and half surrogate pairs, which strict decoders refuse: only that
value is replaced, the rest of the text is decoded.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from otel_posthog._model import Json

JsonObject = dict[str, Any]

_LONE_SURROGATE = re.compile(
    r"(?<!\\)((?:\\\\)*)(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|(?<!\\)((?:\\\\)*)\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_START = frozenset('{["')


def loads(text: str) -> Json:
    """Decode JSON. Raises ``ValueError`` if the text is not JSON.

    ``NaN`` and ``Infinity`` become strings, half a surrogate pair becomes U+FFFD.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        if text[:1] not in _START:
            raise
    whole = _LONE_SURROGATE.sub(lambda found: found[0] if found[2] else f"{found[3]}\\ufffd", without_surrogates(text))
    try:
        return json.loads(whole, parse_constant=str, strict=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def without_surrogates(text: str) -> str:
    """The text in which a half surrogate pair, which no encoding allows, is U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def first(source: JsonObject, *names: str) -> Json:
    """The value of the first name that is present and not ``None``."""
    for name in names:
        value = source.get(name)
        if value is not None:
            return value
    return None


def string(value: Json) -> str | None:
    """The value if it is a string, else ``None``."""
    return value if isinstance(value, str) else None
