"""Images, audio and files inside messages: shown where their bytes are there, else described."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

MEDIA_TYPES = frozenset(
    {"image", "image_url", "input_image", "audio", "input_audio", "video", "document", "file", "input_file", "blob",
     "uri", "media"}
)  # fmt: skip
# Formats that a browser draws and that hold no script.
_SHOWN = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(;[\w=.+-]+)*;base64,")
_BASE64 = re.compile(r"[A-Za-z0-9+/\r\n]+={0,2}")
_LARGEST = 4 * 1024 * 1024  # characters of base64 that the page shows


@dataclass(frozen=True, slots=True)
class Media:
    """``label`` describes it; ``source`` is a `data:` URL to show, ``link`` an http(s) address to offer."""

    label: str
    source: str | None = None
    link: str | None = None


def media_of(part: dict[str, Any]) -> Media:
    """Read any of the shapes in which providers write media. Never raises."""
    kind = str(part.get("type") or "file").replace("input_", "").replace("_url", "")
    holder = next(
        (
            part[key]
            for key in ("source", "image_url", "inlineData", "inline_data", "fileData", "file_data", "input_audio",
                        "file", "image", "audio", "video", "document")
            if isinstance(part.get(key), dict)
        ),
        part,
    )  # fmt: skip
    mime = _first(holder, "media_type", "mime_type", "mimeType", "mediaType") or _first(part, "mime_type", "mediaType")
    text = _first(holder, "data", "url", "image_url", "file_data", "uri", "fileUri", "file_uri", "image", "content")
    name = _first(holder, "filename", "name", "file_id", "title") or _first(part, "filename", "file_id")
    if text is None:
        return Media(_label(kind, mime, name))
    if text.startswith(("http://", "https://")):
        return Media(_label(kind, mime, name or text[:200]), link=text[:2000])
    header = _DATA_URL.match(text[:200])
    if header is not None:
        mime, data = header[1] or mime, text[header.end() :]
    elif _BASE64.fullmatch(text[:_LARGEST]) and len(text) > 40:
        data = text
    else:  # a description, as the exporter leaves one in the place of large media
        return Media(_label(kind, mime, name or text[:300]))
    size = f"{len(data) * 3 // 4 / 1024:,.1f} KiB"
    shown = mime in _SHOWN and len(data) <= _LARGEST and _BASE64.fullmatch(data) is not None
    return Media(_label(kind, mime, name, size), source=f"data:{mime};base64,{data}" if shown else None)


def _label(*parts: str | None) -> str:
    return " · ".join(dict.fromkeys(part for part in parts if part))


def _first(holder: dict[str, Any], *names: str) -> str | None:
    return next((holder[name] for name in names if isinstance(holder.get(name), str) and holder[name]), None)
