"""Request bodies: bounded decompression, and the decoder for each signal and encoding."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from otel_posthog.bridge import _json, _protobuf
from otel_posthog.bridge._values import Decoded, UndecodableError

# wbits of zlib: 31 is gzip; "deflate" is zlib's own format (RFC 9110, 8.4.1.2).
_WBITS = {"gzip": 31, "deflate": 15}
ENCODINGS = ("", "identity", *_WBITS)
_MOST_MEMBERS = 100  # of a gzip body; each costs a copy of the rest

DECODERS: dict[str, Callable[[bytes], Decoded]] = {
    "traces.proto": _protobuf.decode_traces,
    "traces.json": _json.decode_traces,
    "logs.proto": _protobuf.decode_logs,
    "logs.json": _json.decode_logs,
}


class TooLargeError(ValueError):
    """The body exceeds the limit once it is decompressed."""


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """The body as it was before its ``Content-Encoding``; never more than ``limit`` bytes are produced.

    Raises:
        TooLargeError: it has more.
        UndecodableError: it is cut or corrupt.
    """
    if encoding not in _WBITS:
        return body
    parts: list[bytes] = []
    left = limit
    while body:  # gzip files may be concatenated
        if len(parts) == _MOST_MEMBERS:
            raise UndecodableError(f"more than {_MOST_MEMBERS} gzip members")
        decompressor = zlib.decompressobj(_WBITS[encoding])
        try:
            part = decompressor.decompress(body, left + 1)
        except zlib.error:
            raise UndecodableError(f"not {encoding}") from None
        left -= len(part)
        if left < 0:
            raise TooLargeError(f"more than {limit:,} bytes after decompression")
        if not decompressor.eof:
            raise UndecodableError(f"truncated {encoding}")
        parts.append(part)
        body = decompressor.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)
