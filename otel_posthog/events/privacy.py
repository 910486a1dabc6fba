"""The gate that every event passes before it is encoded for delivery: redaction, and media as their description.

Works on finished properties; what is sent where content is off is a column of the table of properties.
"""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from otel_posthog._model import Json
from otel_posthog.events import Event, redacted_as
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
from otel_posthog.events.redaction import READY_MADE

Redact = Callable[[str, str], str]

FAILED = "[removed: redaction failed]"

_STRUCTURE = frozenset(("role", "tool_call_id", "finish_reason"))  # fields of a message that are not text
_DEEPEST = 100  # levels; more are not sent
_LONGEST_NUMBER = 7  # digits; longer ones may be a card or a phone number


class Privacy:
    """Cleans events. ``redact`` are names of ready-made patterns and callables ``(text, where) -> text``.

    ``where`` is ``input``, ``output``, ``tools``, ``error``, ``metadata``, ``parameters``, ``prompt``, ``name`` (of a
    span), ``evaluation`` (an evaluation or feedback) or the name of an attribute. Media larger than ``keep_media``
    bytes are replaced by type, size and hash. A callable that raises, or returns no string, costs the text that it was
    given; ``on_failure`` gets the error.
    """

    def __init__(
        self,
        redact: Iterable[str | Redact],
        keep_media: int,
        on_failure: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        self._redact = [_ready_made(item) if isinstance(item, str) else item for item in redact]
        self._keep_media = keep_media
        self._on_failure = on_failure

    @property
    def redacts(self) -> bool:
        """Whether there is anything to redact."""
        return bool(self._redact)

    def clean(self, event: Event) -> Event:
        """The event without what must not leave. Values are replaced, not changed."""
        properties = {name: self._clean_value(name, value) for name, value in event.properties.items()}
        return replace(event, properties=properties)

    def _clean_value(self, name: str, value: Json) -> Json:
        try:
            return self._property(name, value)
        except Exception:  # a foreign object that raises when it is read: what it holds is not known to be clean
            return f"<{type(value).__name__}>"

    def _property(self, name: str, value: Json) -> Json:
        where = redacted_as(name)
        if where is None:
            return value
        if isinstance(value, list):
            return [self._item(item, where) for item in value]
        return self._value(value, where)

    def _item(self, item: Json, where: str) -> Json:
        """A message, a tool definition or any other value of a list."""
        if not isinstance(item, dict):
            return self._value(item, where, 1)
        if isinstance(item.get("role"), str):
            return {name: self._message_field(name, value, where) for name, value in item.items()}
        if item.keys() == {"type", "function"} and where == "tools":
            return {"type": item["type"], "function": self._named(item["function"], where)}
        return self._value(item, where, 1)

    def _message_field(self, name: str, value: Json, where: str) -> Json:
        if name in _STRUCTURE:
            return value
        if name == "content" and isinstance(value, list):
            return [self._part(part, where) for part in value]
        return self._value(value, where, 2)

    def _part(self, part: Json, where: str) -> Json:
        """A part as ``events.messages`` makes it: its structure stays, its texts are cleaned."""
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("image", "input_audio", "file"):
            return self._media(part, where)
        if kind == "function":
            return {**part, "function": self._named(part.get("function"), where)}
        if kind in ("text", "thinking", "refusal"):
            return {
                name: value if name in ("type", "signature") else self._value(value, where, 3)
                for name, value in part.items()
            }
        return self._value(part, where, 3)

    def _named(self, function: Json, where: str) -> Json:
        """A tool or a call of it: all but its name."""
        if not isinstance(function, dict):
            return self._value(function, where, 3)
        return {name: value if name == "name" else self._value(value, where, 3) for name, value in function.items()}

    def _media(self, part: dict[str, Any], where: str) -> Json:
        """The part, or a text part with the description of its data."""
        nested = part.get(part["type"])
        fields = nested if isinstance(nested, dict) else {"file_data": nested}
        source, mime_type = fields.get("file_data"), fields.get("mime_type")
        data = None
        encoded = fields.get("data")
        if isinstance(encoded, str):
            data, mime_type = decoded(encoded), f"audio/{fields.get('format') or '*'}"
        elif isinstance(source, str) and (url := DataUrl.at(source, 0, whole=True)) is not None:
            data, mime_type = url.octets, url.mime_type or mime_type
        if data is not None and len(data) > self._keep_media:
            return {"type": "text", "text": self._description(mime_type or part["type"], data, "")}
        if data is not None:
            return part
        return {name: value if name == "type" else self._value(value, where, 3) for name, value in part.items()}

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
                    raise TypeError("redact must return a string")
            except (Exception, SystemExit) as error:
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
    redact = READY_MADE[name]
    return lambda text, where: redact(text)


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
