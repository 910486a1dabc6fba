"""What must not leave the process: redaction of content, and media as their description.

Works on the operation, before it becomes an event; ``capture_content`` is the business of ``events``.
"""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from otel_posthog._model import (
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
from otel_posthog.events.media import (
    BLOCK,
    DATA,
    MEDIA_FIELDS,
    MEDIA_TYPES,
    RUN,
    WRAPPED,
    DataUrl,
    decoded,
    encoded_in,
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

_DEEPEST = 100  # levels; capture sends no more
_LONGEST_NUMBER = 7  # digits; longer ones may be a card or a phone number


class Privacy:
    """Cleans operations. ``redact`` are names of ready-made patterns and callables ``(text, where) -> text``.

    ``where`` is ``input``, ``output``, ``tools``, ``error``, ``metadata``, ``parameters``, ``prompt``, ``name`` (of a
    span), ``evaluation`` (an evaluation or feedback) or the name of an attribute. Media larger
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
        op.tags = self._value(op.tags, "metadata")
        op.parameters = self._value(op.parameters, "parameters")
        op.prompt_version = self._value(op.prompt_version, "prompt")
        op.unmapped = {name: self._value(value, name) for name, value in op.unmapped.items()}
        op.overrides = {
            name: self._value(value, name) if self._is_content(name) or not name.startswith("$") else value
            for name, value in op.overrides.items()
        }
        op.name = self.name(op.name)
        op.prompt_name = self._optional(op.prompt_name, "prompt")
        if op.tools and self._redact:
            op.tools = [self._tool(tool) for tool in op.tools]
        if op.failure is not None:
            failure = op.failure
            op.failure = replace(
                failure, type=self._optional(failure.type, "error"), message=self._optional(failure.message, "error")
            )
        if op.evaluation is not None:
            evaluation = op.evaluation
            op.evaluation = replace(
                evaluation,
                label=self._optional(evaluation.label, "evaluation"),
                text=self._optional(evaluation.text, "evaluation"),
            )

    def name(self, name: str | None) -> str | None:
        """The name of a span or an operation, which some apps make of what was said."""
        return self._optional(name, "name")

    def _optional(self, text: str | None, where: str) -> str | None:
        return None if text is None else self._text(text, where)

    def _messages(self, messages: list[Message] | None, where: str) -> list[Message] | None:
        if messages is None:
            return None
        return [self._message(message, where) for message in messages]

    def _message(self, message: Message, where: str) -> Message:
        parts = [self._part(part, where) for part in message.parts]
        name = self._optional(message.name, where)
        return replace(message, parts=parts, name=name, extra=self._value(message.extra, where))

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
        return replace(
            tool,
            description=self._optional(tool.description, "tools"),
            parameters=self._value(tool.parameters, "tools"),
            extra=self._value(tool.extra, "tools"),
        )

    def _value(self, value: Json, where: str, depth: int = 0) -> Json:
        """Every text in a value."""
        if isinstance(value, str):
            return self._text(value, where)
        if depth > _DEEPEST:
            return "…"
        if isinstance(value, Mapping):
            return self._object(value, where, depth)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self._bytes(bytes(value), where)
        if isinstance(value, (list, tuple)):
            return [self._value(item, where, depth + 1) for item in value]
        if self._redact and isinstance(value, int) and abs(value) >= 10**_LONGEST_NUMBER:
            cleaned = self._redacted(str(value), where)
            return value if cleaned == str(value) else cleaned
        return value

    def _object(self, value: Mapping[Any, Json], where: str, depth: int) -> Json:
        """Its values and the texts in its keys; keys that become the same are numbered, so that no value is lost."""
        cleaned: dict[Any, Json] = {}
        for name, item in value.items():
            key = self._redacted(name, where) if self._redact and isinstance(name, str) else name
            if key in cleaned:
                key = f"{key} {len(cleaned)}"
            described = self._field(value, name)
            cleaned[key] = self._value(item, where, depth + 1) if described is None else described
        return cleaned

    def _text(self, text: str, where: str) -> str:
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
        if "," in text and "data:" in text.lower():
            text = self._without_data_urls(text)
        if any(BLOCK.fullmatch(text, start, start + 256) for start in range(0, len(text) - 255, 256)):
            for runs in (RUN, WRAPPED):
                text = runs.sub(lambda found: self._description(None, decoded(found[0]), found[0]), text)
        return text

    def _without_data_urls(self, text: str) -> str:
        pieces, end = [], 0
        for found in DATA.finditer(text):
            url = None if found.start() < end else DataUrl.at(text, found.start())
            if url is not None:
                whole = text[found.start() : url.end]
                pieces += [text[end : found.start()], self._description(url.mime_type, url.octets, whole)]
                end = url.end
        return "".join((*pieces, text[end:]))

    def _media(self, part: Media, where: str) -> Part:
        data, mime_type = None if part.data is None else decoded(part.data), part.mime_type
        url = DataUrl.at(part.url, 0, whole=True) if data is None and part.url is not None else None
        if url is not None:
            mime_type, data = url.mime_type or mime_type, url.octets
        if data is not None and len(data) > self._keep_media:
            return Text(self._description(mime_type or part.modality, data, ""))
        return replace(
            part,
            url=part.url if url is not None or part.url is None else self._text(part.url, where),
            filename=None if part.filename is None else self._text(part.filename, where),
            extra=self._value(part.extra, where),
        )

    def _field(self, holder: Mapping[Any, Json], name: Any) -> str | None:
        """The description of media in an object, ``None`` if there are none under this name."""
        if name not in MEDIA_FIELDS:
            return None
        kind = next((holder[key] for key in MEDIA_TYPES if isinstance(holder.get(key), str)), None)
        octets = encoded_in(holder, name, kind)
        if octets is None or len(octets) <= self._keep_media:
            return None
        return self._description(kind, octets, "")

    def _bytes(self, value: bytes, where: str) -> Json:
        """Bytes that are a text as text, others as their description."""
        try:
            return self._text(value.decode(), where)
        except UnicodeDecodeError:
            if len(value) > self._keep_media:
                return self._description(None, value, "")
            return self._text(value.decode("utf-8", "replace"), where)

    def _description(self, mime_type: str | None, data: bytes, whole: str) -> str:
        """Type, size and hash; ``whole`` stays if it is small enough."""
        if whole and len(data) <= self._keep_media:
            return whole
        return f"[{mime_type or 'base64'}, {len(data):,} bytes, sha256 {hashlib.sha256(data).hexdigest()[:16]}]"


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
