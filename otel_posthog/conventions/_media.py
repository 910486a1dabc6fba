"""Images, audio, video and files in messages: by URL, as base64 or by the id of an uploaded file."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable

from otel_posthog._model import Json, Media, Other, Part
from otel_posthog.conventions._json import JsonObject, first, string

_KNOWN_MEDIA_KEYS = {"type", "modality", "mime_type", "mimeType", "media_type", "mediaType", "url", "uri", "image",
                     "image_url", "content", "data", "file_id", "filename", "name", "source", "file", "input_audio",
                     "format", "inline_data", "inlineData", "file_data", "fileData", "fileUri", "file_uri", "video",
                     "document", "bytes", "title", "audio", "video_url", "file_url"}  # fmt: skip


def media(modality: str) -> Callable[[JsonObject], Part | None]:
    """A parser of one kind of media. Providers nest the source under different keys, at most twice."""

    def read(part: JsonObject) -> Part | None:
        found = Media(str(part.get("modality") or modality))
        transcript = None
        for layer in _layers(part):
            if isinstance(layer, str):
                _take_source(found, layer)
                continue
            found.mime_type = found.mime_type or string(
                first(layer, "mime_type", "mimeType", "media_type", "mediaType")
            )
            if found.mime_type is None and isinstance(layer.get("format"), str):
                found.mime_type = f"{found.modality}/{layer['format']}"
            found.file_id = found.file_id or string(layer.get("file_id"))
            transcript = transcript or string(layer.get("transcript"))
            found.filename = found.filename or string(first(layer, "filename", "title"))
            source = _encoded(
                first(layer, "url", "uri", "fileUri", "file_uri", "data", "bytes", "content", "file_data")
            )
            if isinstance(source, str):
                _take_source(found, source)
        if not (found.url or found.data or found.file_id):
            return None if _has_empty_source(part) else Other(part)
        found.extra = {k: v for k, v in part.items() if k not in _KNOWN_MEDIA_KEYS and v is not None}
        if transcript:
            found.extra["transcript"] = transcript
        return found

    return read


def _has_empty_source(part: JsonObject) -> bool:
    """Whether the data was omitted (OpenLLMetry for Bedrock)."""
    return any(part.get(name) == "" for name in ("content", "data", "url", "uri"))


def _layers(part: JsonObject) -> Iterable[JsonObject | str]:
    """The part and its nested sources: ``image_url`` {url}, ``source`` {data}, Bedrock's image.source.bytes."""
    yield part
    for name in ("image_url", "input_audio", "source", "file", "inline_data", "inlineData", "file_data", "fileData",
                 "image", "audio", "video", "document", "video_url", "file_url"):  # fmt: skip
        nested = _encoded(part.get(name))
        if isinstance(nested, str) and name != "file_data":
            yield nested
        elif isinstance(nested, dict):
            yield from _layers(nested)


def _encoded(source: Json) -> Json:
    """Base64 for bytes, lists of numbers, Node's ``Buffer`` and objects that map positions to numbers; other values
    unchanged."""
    octets = source
    if isinstance(octets, dict):
        octets = octets.get("data") if octets.get("type") == "Buffer" else _numbered(octets)
    if not octets or not isinstance(octets, (bytes, bytearray, memoryview, list, tuple)):
        return source
    try:
        return base64.b64encode(bytes(octets)).decode()
    except (TypeError, ValueError):  # other things than numbers from 0 to 255
        return source


def _numbered(source: JsonObject) -> list[Json] | None:
    return list(source.values()) if "0" in source and all(str(key).isdigit() for key in source) else None


def _take_source(found: Media, source: str) -> None:
    if source[:5].lower() == "data:" or source.startswith("file:") or "://" in source[:32]:
        found.url = found.url or source
    else:
        found.data = found.data or source
