"""What must not leave the process: redaction of content, and media as their description.

Works on the operation, before it becomes an event; ``capture_content`` is the business of ``events``.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from otel_posthog.operation import (
    Json,
    Media,
    Message,
    Operation,
    Other,
    Part,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

Redact = Callable[[str, str], str]

FAILED = "[removed: redaction failed]"

_CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d.]?\d)")
_PATTERNS: dict[str, re.Pattern[str]] = {
    "email": re.compile(r"[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}"),
    # With a country code, or in groups: a bare number is more often something else.
    "phone": re.compile(
        r"(?<![\w.+-])(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d(?:[ .-]?\d){5,12}"
        r"|\(\d{3}\)[ .-]?\d{3}[ .-]\d{4}|\d{3}[ .-]\d{3}[ .-]\d{4})(?![\w-]|\.\d)"
    ),
    # Keys by the prefixes of their makers, bearer tokens and JSON Web Tokens.
    "key": re.compile(
        r"\b(?:sk|pk|rk)[-_](?:[A-Za-z]+[-_])*[A-Za-z0-9_-]{16,}"
        r"|\b(?:phc|phx|phs|ghp|gho|ghu|ghs|ghr|glpat|hf|gsk|xox[abprs])[-_][A-Za-z0-9_-]{10,}"
        r"|\bgithub_pat_\w{20,}|\bA(?:KIA|SIA)[A-Z0-9]{16}\b|\bAIza[\w-]{30,}"
        r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|(?i:(?<=bearer )[\w.~+/-]{16,}=*)"
        r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    ),
}

# A run of base64 this long is no text in any language; _BLOCK fits into it at a multiple of its own length.
_RUN = re.compile(r"(?:data:([\w.+-]+/[\w.+-]+)[\w=;.-]*;base64,)?([A-Za-z0-9+/_-]{1024,}={0,2})")
_BLOCK = re.compile(r"[A-Za-z0-9+/_-]{512}")
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?[\w=;.-]*;base64,([A-Za-z0-9+/_=-]*)")
_DEEPEST = 100  # levels; capture sends no more
_LONGEST_NUMBER = 7  # digits; longer ones may be a card or a phone number


class Privacy:
    """Cleans operations. ``redact`` are names of ready-made patterns and callables ``(text, where) -> text``.

    ``where`` is ``input``, ``output``, ``tools``, ``error``, ``metadata`` or the name of an attribute. Media larger
    than ``keep_media`` bytes are replaced. ``is_content`` says of a property that the app states itself whether it is
    content. A callable that raises, or returns no text, costs the text that it was given; ``on_failure`` is told.
    """

    def __init__(
        self,
        redact: Iterable[str | Redact],
        keep_media: int,
        is_content: Callable[[str], bool] = lambda name: False,
        on_failure: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._redact = [_ready_made(item) if isinstance(item, str) else item for item in redact]
        self._keep_media = keep_media
        self._on_failure = on_failure
        self._is_content = is_content

    def clean(self, operation: Operation) -> None:
        """Clean an operation in place; what it shares with others (messages) is replaced, not changed."""
        op = operation
        op.input = self._messages(op.input, "input")
        op.output = self._messages(op.output, "output")
        op.input_state = self._value(op.input_state, "input")
        op.output_state = self._value(op.output_state, "output")
        op.metadata = self._value(op.metadata, "metadata")
        op.unmapped = {name: self._value(value, name) for name, value in op.unmapped.items()}
        op.stated = {
            name: self._value(value, name) if self._is_content(name) or not name.startswith("$") else value
            for name, value in op.stated.items()
        }
        if op.tools and self._redact:
            op.tools = [self._tool(tool) for tool in op.tools]
        if op.failure is not None and op.failure.message is not None:
            op.failure = replace(op.failure, message=self._text(op.failure.message, "error"))

    def _messages(self, messages: list[Message] | None, where: str) -> list[Message] | None:
        if messages is None:
            return None
        return [self._message(message, where) for message in messages]

    def _message(self, message: Message, where: str) -> Message:
        parts = [self._part(part, where) for part in message.parts]
        return replace(message, parts=parts, extra=self._value(message.extra, where) if message.extra else {})

    def _part(self, part: Part, where: str) -> Part:
        if isinstance(part, (Text, Reasoning)):
            return replace(part, text=self._text(part.text, where))
        if isinstance(part, Refusal):
            return Refusal(self._text(part.text, where))
        if isinstance(part, ToolCall):
            return replace(part, arguments=self._value(part.arguments, where))
        if isinstance(part, ToolResult):
            return replace(part, result=self._value(part.result, where))
        if isinstance(part, Media):
            return self._media(part, where)
        return Other(self._value(part.value, where))

    def _tool(self, tool: Tool) -> Tool:
        described = None if tool.description is None else self._text(tool.description, "tools")
        return replace(tool, description=described, parameters=self._value(tool.parameters, "tools"))

    def _value(self, value: Json, where: str, depth: int = 0) -> Json:
        """Every text in a value."""
        if isinstance(value, str):
            return self._text(value, where)
        if depth > _DEEPEST:
            return "…"
        if isinstance(value, Mapping):
            return {name: self._value(item, where, depth + 1) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._value(item, where, depth + 1) for item in value]
        if self._redact and isinstance(value, int) and abs(value) >= 10**_LONGEST_NUMBER:
            cleaned = self._redacted(str(value), where)
            return value if cleaned == str(value) else cleaned
        return value

    def _text(self, text: str, where: str) -> str:
        if len(text) >= 64:
            text = self._without_media(text)
        return self._redacted(text, where) if self._redact else text

    def _redacted(self, text: str, where: str) -> str:
        for redact in self._redact:
            try:
                text = redact(text, where)
                if not isinstance(text, str):
                    raise TypeError("redact must return a text")
            except Exception as error:
                self._on_failure(error)
                return FAILED
        return text

    def _without_media(self, text: str) -> str:
        if "data:" in text and ";base64," in text:
            text = _DATA_URL.sub(lambda found: self._description(found[1], found[2], found[0]), text)
        if any(_BLOCK.fullmatch(text, start, start + 512) for start in range(0, len(text) - 511, 512)):
            text = _RUN.sub(lambda found: self._description(found[1], found[2], found[0]), text)
        return text

    def _media(self, part: Media, where: str) -> Part:
        data, mime_type = part.data, part.mime_type
        found = _DATA_URL.fullmatch(part.url) if data is None and part.url is not None else None
        if found is not None:
            mime_type, data = found[1] or mime_type, found[2]
        if data is None or self._size(data) <= self._keep_media:
            return replace(part, extra=self._value(part.extra, where)) if part.extra else part
        return Text(self._description(mime_type or part.modality, data, ""))

    def _description(self, mime_type: str | None, data: str, whole: str) -> str:
        """Type, size and hash; ``whole`` stays if it is small enough."""
        size = self._size(data)
        if whole and size <= self._keep_media:
            return whole
        return f"[{mime_type or 'base64'}, {size:,} bytes, sha256 {hashlib.sha256(_decoded(data)).hexdigest()[:16]}]"

    @staticmethod
    def _size(data: str) -> int:
        return len(data.rstrip("=")) * 3 // 4


def _decoded(data: str) -> bytes:
    """The bytes of base64, in either alphabet; of text that only looks like it, the text's own."""
    try:
        return base64.b64decode(data + "=" * (-len(data) % 4), altchars=b"-_" if "-" in data or "_" in data else None)
    except (binascii.Error, ValueError):
        return data.encode("utf-8", "replace")


def _ready_made(name: str) -> Redact:
    if name == "card":
        return lambda text, where: _CARD.sub(lambda found: "[card]" if _is_card(found[0]) else found[0], text)
    pattern, shown = _PATTERNS[name], f"[{name}]"
    return lambda text, where: pattern.sub(shown, text)


def _is_card(text: str) -> bool:
    """Whether the digits satisfy the check of card numbers (ISO/IEC 7812-1, annex B)."""
    digits = [int(digit) for digit in text if digit.isdigit()][::-1]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def matcher(patterns: Iterable[str]) -> Callable[[str], bool] | None:
    """Whether a name matches one of the patterns (``*`` for any text); ``None`` if there are none."""
    found = "|".join(fnmatch.translate(pattern) for pattern in patterns)
    if not found:
        return None
    compiled = re.compile(found)
    return lambda name: compiled.match(name) is not None


def without(attributes: Mapping[str, Any], denied: Callable[[str], bool]) -> dict[str, Any]:
    """The attributes whose names are not denied."""
    return {name: value for name, value in attributes.items() if not denied(name)}
