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
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

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

# A run of base64 this long, in one piece or wrapped as in mails, is no text in any language; _BLOCK fits into it at a
# multiple of its own length. Runs are looked for from their beginning only, so that the time is linear.
_RUN = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{1024,}={0,2}")
_BREAK = r"(?:\r?\n|\\r\\n|\\n)[ \t]{0,20}"
_WRAPPED = re.compile(rf"(?<![A-Za-z0-9+/_-])(?:[A-Za-z0-9+/_-]{{60,100}}{_BREAK}){{9,}}[A-Za-z0-9+/_-]*={{0,2}}")
_BLOCK = re.compile(r"[A-Za-z0-9+/_\s\\-]{256}")
_BREAKS = re.compile(r"\s+|\\[rn]")
_ENCODED = re.compile(r"[A-Za-z0-9+/_\s-]+={0,2}")
_BLANK = re.compile(r"[ \t]")

_DATA = re.compile("data:", re.IGNORECASE)
_MIME_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")
_LONGEST_HEADER = 200  # characters between "data:" and the comma
_NO_HEADER = re.compile(r"[\r\n\"'<>(){}\[\]]")
_DATA_BASE64 = re.compile(rf"(?:[A-Za-z0-9+/_%-]{{40,100}}{_BREAK})*[A-Za-z0-9+/_%-]*=*")
_DATA_PLAIN = re.compile(r"[^\s\"'<>()\[\]{}\\]*")

# Objects with media in them, in states and in what tools answer: the key of the bytes, and what says that they are.
_MEDIA_FIELDS = ("data", "bytes", "blob", "file_data", "b64_json", "base64", "base64Data", "uint8Array",
                 "uint8ArrayData")  # fmt: skip
_MEDIA_TYPES = ("mimeType", "mime_type", "media_type", "mediaType", "type")
_MEDIA_KINDS = frozenset(
    ("audio", "base64", "binary", "blob", "buffer", "document", "file", "image", "image_url", "input_audio",
     "input_file", "input_image", "media", "video")
)  # fmt: skip
_SURELY_ENCODED = 100  # characters of base64 that are no word, beside a type that nobody here knows
_DEEPEST = 100  # levels; capture sends no more
_LONGEST_NUMBER = 7  # digits; longer ones may be a card or a phone number


class Privacy:
    """Cleans operations. ``redact`` are names of ready-made patterns and callables ``(text, where) -> text``.

    ``where`` is ``input``, ``output``, ``tools``, ``error``, ``metadata``, ``parameters``, ``prompt``, ``name`` (of a
    span), ``verdict`` (an evaluation or feedback) or the name of an attribute. Media larger
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
        op.stated = {
            name: self._value(value, name) if self._is_content(name) or not name.startswith("$") else value
            for name, value in op.stated.items()
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
        if op.verdict is not None:
            verdict = op.verdict
            op.verdict = replace(
                verdict, label=self._optional(verdict.label, "verdict"), text=self._optional(verdict.text, "verdict")
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
        if any(_BLOCK.fullmatch(text, start, start + 256) for start in range(0, len(text) - 255, 256)):
            for runs in (_RUN, _WRAPPED):
                text = runs.sub(lambda found: self._description(None, _decoded(found[0]), found[0]), text)
        return text

    def _without_data_urls(self, text: str) -> str:
        pieces, end = [], 0
        for found in _DATA.finditer(text):
            url = None if found.start() < end else _DataUrl.at(text, found.start())
            if url is not None:
                whole = text[found.start() : url.end]
                pieces += [text[end : found.start()], self._description(url.mime_type, url.octets, whole)]
                end = url.end
        return "".join((*pieces, text[end:]))

    def _media(self, part: Media, where: str) -> Part:
        data, mime_type = None if part.data is None else _decoded(part.data), part.mime_type
        url = _DataUrl.at(part.url, 0, whole=True) if data is None and part.url is not None else None
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
        if name not in _MEDIA_FIELDS:
            return None
        kind = next((holder[key] for key in _MEDIA_TYPES if isinstance(holder.get(key), str)), None)
        octets = _encoded_in(holder, name, kind)
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


@dataclass(frozen=True, slots=True)
class _DataUrl:
    """A data URL (RFC 2397) and where it ends."""

    mime_type: str | None
    octets: bytes
    end: int

    @classmethod
    def at(cls, text: str, start: int, whole: bool = False) -> _DataUrl | None:
        """The one that starts there; ``whole`` says that nothing else is in the text."""
        start += len("data:")
        comma = text.find(",", start, len(text) if whole else start + _LONGEST_HEADER)
        if comma < 0 or text[start - 5 : start].lower() != "data:":
            return None
        mime_type, *parameters = (word.strip() for word in text[start:comma].split(";"))
        is_base64 = bool(parameters) and parameters[-1].lower() == "base64"
        is_typed = _MIME_TYPE.fullmatch(mime_type) is not None
        is_sure = is_typed or (is_base64 and not mime_type)
        if not whole and (not is_sure or _NO_HEADER.search(text, start, comma) is not None):
            return None
        end = len(text) if whole else _end_of_data(text, comma + 1, is_base64)
        written = text[comma + 1 : end]
        octets = _decoded(written) if is_base64 else unquote_to_bytes(written.encode("utf-8", "replace"))
        return cls(mime_type if is_typed else None, octets, end)


def _end_of_data(text: str, start: int, is_base64: bool) -> int:
    if not is_base64 and text.startswith("<", start):  # a drawing in plain characters, blanks and quotes among them
        end = text.find("</svg>", start)
        return len(text) if end < 0 else end + len("</svg>")
    found = (_DATA_BASE64 if is_base64 else _DATA_PLAIN).match(text, start)
    return found.end() if found else start


def _octets(value: Json) -> bytes | None:
    """Bytes as such, as a list of numbers, or as an object from place to number (JavaScript)."""
    if isinstance(value, Mapping):
        value = list(value.values()) if "0" in value and all(str(key).isdigit() for key in value) else None
    if not value or not isinstance(value, (bytes, bytearray, memoryview, list, tuple)):
        return None
    try:
        return bytes(value)
    except (TypeError, ValueError):  # other things than numbers from 0 to 255
        return None


def _encoded_in(holder: Mapping[Any, Json], name: str, kind: str | None) -> bytes | None:
    """The bytes in an object, by what the object says of them and by their form."""
    value = holder[name]
    is_media = kind is not None and (kind.lower() in _MEDIA_KINDS or "/" in kind)
    if not isinstance(value, str):
        return _octets(value) if is_media else None
    value = value.rstrip()
    if _ENCODED.fullmatch(value) is None:
        return None
    is_whole = len(value) % 4 == 0  # a word in a plain text may look like base64 otherwise
    if kind is not None and is_media and (is_whole or not kind.startswith("text/")):
        return _decoded(value)
    is_told = name == "b64_json" or (name == "bytes" and len(holder) == 1)  # OpenAI's images, Bedrock's bytes
    is_long = kind is not None and is_whole and len(value) >= _SURELY_ENCODED and not _BLANK.search(value)
    return _decoded(value) if is_told or is_long else None


def _decoded(data: str) -> bytes:
    """The bytes of base64, in either alphabet; of text that only looks like it, the text's own."""
    data = _BREAKS.sub("", unquote(data) if "%" in data else data).rstrip("=")
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
