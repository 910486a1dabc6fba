"""What the fake APIs share: ids, pieces of text for streams, JSON and event-stream replies."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

import orjson
from starlette.responses import Response, StreamingResponse

Json = Any
Handler = Callable[[Json, Mapping[str, str]], Response]
"""From the request's body and path parameters to the reply."""

CREATED = 1_741_000_000
"""When every answer was made: a fixed time keeps replies comparable."""

_CHUNK_DELAY = 0.002  # seconds; enough for a first token to be earlier than the last
_WORDS_IN_A_PIECE = 4
_ids = itertools.count(1)


def new_id(prefix: str, digits: int = 24) -> str:
    """An id that no other reply of this process has."""
    return f"{prefix}{next(_ids):0{digits}x}"


def text_of(content: Json) -> str:
    """The text of a message: a string, or a list of parts of which some have a ``text``."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    texts = [part if isinstance(part, str) else (part or {}).get("text") for part in parts]
    return "\n".join(text for text in texts if isinstance(text, str))


def all_text(*contents: Json) -> str:
    """The text of several messages, to count tokens by."""
    return "\n".join(filter(None, map(text_of, contents)))


def pieces(text: str) -> list[str]:
    """The text cut every few words, white space kept; nothing for no text."""
    cuts: list[str] = []
    words = text.split(" ")
    for start in range(0, len(words), _WORDS_IN_A_PIECE):
        piece = " ".join(words[start : start + _WORDS_IN_A_PIECE])
        cuts.append(piece if start + _WORDS_IN_A_PIECE >= len(words) else f"{piece} ")
    return [piece for piece in cuts if piece]


def dumps(value: Json) -> str:
    """JSON text as models write it in tool arguments: with spaces, and characters as they are."""
    return json.dumps(value, ensure_ascii=False)


def json_reply(body: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, media_type="application/json")


def error_reply(status: int, body: Json, headers: Mapping[str, str] | None = None) -> Response:
    """An error; clients that retry do so at once, so that apps under test do not wait."""
    return json_reply(body, status, {"retry-after-ms": "1", **(headers or {})})


def sse_reply(events: Iterable[tuple[str | None, Json]], done: str | None = None) -> Response:
    """Server-sent events, each with its name (or none), and a last line that is no JSON."""

    async def stream() -> AsyncIterator[bytes]:
        for name, data in events:
            head = f"event: {name}\n".encode() if name else b""
            yield head + b"data: " + orjson.dumps(data) + b"\n\n"
            await asyncio.sleep(_CHUNK_DELAY)
        if done is not None:
            yield f"data: {done}\n\n".encode()

    return StreamingResponse(stream(), media_type="text/event-stream")


def vectors(count: int, dimensions: int) -> list[list[float]]:
    """Embeddings that anybody can check by eye: 0.01, 0.02, … times the number of the text."""
    first = [round(0.01 * (i + 1), 6) for i in range(dimensions)]
    return [[round(number * x, 6) for x in first] for number in range(1, count + 1)]
