"""Placeholders that libraries write for omitted values."""

from __future__ import annotations

import re
from typing import Any

# Google ADK 1.x; OpenInference with hidden content; Claude Code; the texts of what the OpenAI client takes for "not
# set".
_TEXTS = frozenset(("<elided>", "__REDACTED__", "<REDACTED>", "NOT_GIVEN", "Omit()"))
# Logfire's scrubbing; the default repr of an object.
_PATTERN = re.compile(r"\[Scrubbed due to .{0,100}\]|<[\w.]+ object at 0x[0-9a-fA-F]+>", re.DOTALL)
PLACEHOLDER_STARTS = frozenset("<_[NO")
_LONGEST = 300  # characters


def is_placeholder(value: Any) -> bool:
    """Whether a string stands for an omitted value."""
    if not isinstance(value, str) or value[:1] not in PLACEHOLDER_STARTS or len(value) > _LONGEST:
        return False
    return value in _TEXTS or _PATTERN.fullmatch(value) is not None
