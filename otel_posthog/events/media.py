"""Recognising media: base64, data URLs and bytes, in texts and objects. ``privacy`` decides what to do with them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from otel_posthog._model import Json

# A run of base64 this long, in one piece or wrapped as in mails, is no text in any language; BLOCK fits into it at a
# multiple of its own length. Runs are looked for from their beginning only, so that the time is linear.
RUN = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{1024,}={0,2}")
_BREAK = r"(?:\r?\n|\\r\\n|\\n)[ \t]{0,20}"
WRAPPED = re.compile(rf"(?<![A-Za-z0-9+/_-])(?:[A-Za-z0-9+/_-]{{60,100}}{_BREAK}){{9,}}[A-Za-z0-9+/_-]*={{0,2}}")
BLOCK = re.compile(r"[A-Za-z0-9+/_\s\\-]{256}")
_BREAKS = re.compile(r"\s+|\\[rn]")
_ENCODED = re.compile(r"[A-Za-z0-9+/_\s-]+={0,2}")
_BLANK = re.compile(r"[ \t]")

DATA = re.compile("data:", re.IGNORECASE)
_MIME_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")
_LONGEST_HEADER = 200  # characters between "data:" and the comma
_NO_HEADER = re.compile(r"[\r\n\"'<>(){}\[\]]")
_DATA_BASE64 = re.compile(rf"(?:[A-Za-z0-9+/_%-]{{40,100}}{_BREAK})*[A-Za-z0-9+/_%-]*=*")
_DATA_PLAIN = re.compile(r"[^\s\"'<>()\[\]{}\\]*")

# Objects with media in them, in states and in what tools answer: the key of the bytes, and what says that they are.
MEDIA_FIELDS = ("data", "bytes", "blob", "file_data", "b64_json", "base64", "base64Data", "uint8Array",
                 "uint8ArrayData")  # fmt: skip
MEDIA_TYPES = ("mimeType", "mime_type", "media_type", "mediaType", "type")
_MEDIA_KINDS = frozenset(
    ("audio", "base64", "binary", "blob", "buffer", "document", "file", "image", "image_url", "input_audio",
     "input_file", "input_image", "media", "video")
)  # fmt: skip
_SURELY_ENCODED = 100  # characters of base64 that are not a word, beside an unknown type


@dataclass(frozen=True, slots=True)
class DataUrl:
    """A data URL (RFC 2397) and where it ends."""

    mime_type: str | None
    octets: bytes
    end: int

    @classmethod
    def at(cls, text: str, start: int, whole: bool = False) -> DataUrl | None:
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
        octets = decoded(written) if is_base64 else unquote_to_bytes(written.encode("utf-8", "replace"))
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


def encoded_in(holder: Mapping[Any, Json], name: str, kind: str | None) -> bytes | None:
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
        return decoded(value)
    is_told = name == "b64_json" or (name == "bytes" and len(holder) == 1)  # OpenAI's images, Bedrock's bytes
    is_long = kind is not None and is_whole and len(value) >= _SURELY_ENCODED and not _BLANK.search(value)
    return decoded(value) if is_told or is_long else None


def decoded(data: str) -> bytes:
    """The bytes of base64, in either alphabet; of text that only looks like it, the text's own."""
    data = _BREAKS.sub("", unquote(data) if "%" in data else data).rstrip("=")
    try:
        return base64.b64decode(data + "=" * (-len(data) % 4), altchars=b"-_" if "-" in data or "_" in data else None)
    except (binascii.Error, ValueError):
        return data.encode("utf-8", "replace")


_IN_BLOCK = re.compile(rb"[A-Za-z0-9+/_\\-]{64}")
_STRIDE = 512  # bytes: a run of 1,024 characters covers a block at a multiple of it
_KEYS = frozenset(MEDIA_FIELDS)


def may_hold_media(properties: Mapping[str, Any], body: bytes) -> bool:
    """Whether an event may hold media: a quick look, so that events without any are not walked text by text.

    ``body`` is the event as JSON. Looks for data URLs and long runs of base64 in it, and for the fields and bytes of
    objects in ``properties``.
    """
    if b"data:" in body or b"DATA:" in body:
        return True
    match = _IN_BLOCK.match
    for start in range(0, len(body) - 64, _STRIDE):
        if match(body, start) is not None:
            return True
    return _has_media_field(properties)


_TEXT_OR_NUMBER = frozenset((str, int, float, bool, type(None)))
_MOST_CONTAINERS = 100_000  # a value may contain itself


def _has_media_field(properties: Mapping[str, Any]) -> bool:
    containers: list[Any] = [value for value in properties.values() if type(value) not in _TEXT_OR_NUMBER]
    for visited, found in enumerate(containers):  # the list grows meanwhile
        kind = type(found)
        if kind is dict:
            if not _KEYS.isdisjoint(found):
                return True
            found = found.values()
        elif kind is not list and kind is not tuple:
            return True  # bytes, other mappings and foreign objects
        if visited > _MOST_CONTAINERS:
            return True
        if not _TEXT_OR_NUMBER.issuperset(map(type, found)):
            containers += [item for item in found if type(item) not in _TEXT_OR_NUMBER]
    return False
