"""Files of telemetry: OTLP JSON lines and protobuf dumps as the Collector's file exporter writes them, single requests,
and events as `otel-posthog local export` writes them. gzip, zstd or neither; what a file holds is read from its bytes.

Source: Collector contrib, exporter/fileexporter/README.md.
"""

from __future__ import annotations

import gzip
import io
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from otel_posthog.bridge import _json
from otel_posthog.bridge._values import UndecodableError

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_LARGEST = 256 * 1024 * 1024  # bytes of one record


@dataclass(frozen=True, slots=True)
class Record:
    """One request, or one event. ``kind`` is a decoder's name, or ``events``; ``position`` is how many bytes of the
    file, compressed as it may be, have been read."""

    kind: str
    body: bytes
    position: int


class UnreadableError(Exception):
    """The file is of no known format."""


def read_records(path: str) -> Iterator[Record]:
    """The records of a file, ``-`` for standard input. One that is cut at the end is left out.

    Raises:
        UnreadableError: what the file holds is unknown.
        OSError: it cannot be read.
    """
    with sys.stdin.buffer if path == "-" else open(path, "rb") as raw:
        source = _Counted(raw)
        file: Any = io.BufferedReader(source)
        start = file.peek(8)[:8]
        if start.startswith(_GZIP):
            file = io.BufferedReader(gzip.GzipFile(fileobj=file))
        elif start.startswith(_ZSTD):
            file = io.BufferedReader(_zstd(file))
        try:
            for kind, body in _records(file):
                yield Record(kind, body, source.count)
        except UnreadableError as error:
            raise UnreadableError(f"{path}: {error}") from None
        except (EOFError, zlib.error):  # the last gzip block is cut
            return


class _Counted(io.RawIOBase):
    """Counts the bytes that are read."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw, self.count = raw, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._raw.read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)


def _zstd(file: IO[bytes]) -> Any:
    try:
        import zstandard
    except ModuleNotFoundError:
        raise UnreadableError('zstd files need an extra: pip install "otel-posthog[zstd]"') from None
    return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)


def _records(file: Any) -> Iterator[tuple[str, bytes]]:
    start = file.peek(64)[:64]
    if not start:
        return
    if start.lstrip()[:1] in (b"{", b"["):
        yield from _lines(file)
    elif start[:1] == b"\x0a":  # the tag of resource_spans, resource_logs
        body = file.read(_LARGEST)
        yield _protobuf_kind(body), body
    elif start[:1] in (b"\x00", b"\x01"):  # a length of less than 32 MiB, big-endian
        yield from _frames(file)
    else:
        raise UnreadableError("neither OTLP JSON, OTLP protobuf nor events")


def _lines(file: Any) -> Iterator[tuple[str, bytes]]:
    """A JSON value a line, or one value over many lines."""
    first = file.readline(_LARGEST)
    try:
        kind = _json_kind(_json.parse(first))
    except UndecodableError:
        body = first + file.read(_LARGEST)
        try:
            yield from _of_kind(_json_kind(_json.parse(body)), body)
        except UndecodableError:
            raise UnreadableError("not JSON") from None
        return
    yield from _of_kind(kind, first)
    while line := file.readline(_LARGEST):
        if not line.strip():
            continue
        try:
            yield from _of_kind(_json_kind(_json.parse(line)), line)
        except UndecodableError:
            if line.endswith(b"\n"):  # otherwise it is the last one, cut
                yield "traces.json", line  # it is counted as undecodable


def _of_kind(kind: str | None, body: bytes) -> Iterator[tuple[str, bytes]]:
    if kind is not None:
        yield kind, body


def _json_kind(value: Any) -> str | None:
    """``None`` for metrics."""
    if isinstance(value, list):
        return "traces.json"
    if isinstance(value, dict):
        if "resourceSpans" in value:
            return "traces.json"
        if "resourceLogs" in value:
            return "logs.json"
        if "event" in value and "properties" in value:
            return "events"
        if "resourceMetrics" in value or not value:
            return None
    raise UnreadableError("JSON that is neither OTLP nor events")


def _frames(file: Any) -> Iterator[tuple[str, bytes]]:
    """Four bytes big-endian length, then a message, which the Collector compresses by itself."""
    while len(head := file.read(4)) == 4:
        (length,) = struct.unpack(">I", head)
        if length > _LARGEST:
            raise UnreadableError("not a protobuf dump")
        body = file.read(length)
        if len(body) < length:
            return
        if body.startswith(_ZSTD):
            body = _zstd(io.BytesIO(body)).read(_LARGEST)
        if body[:1] in (b"{", b"["):
            yield from _of_kind(_json_kind(_json.parse(body)), body)
        else:
            yield _protobuf_kind(body), body


def _protobuf_kind(body: bytes) -> str:
    """Spans and log records are alike but for their first field: a span's is its trace id, 16 bytes."""
    from otel_posthog.bridge._protobuf import first_item

    item = first_item(body)
    return "logs.proto" if item is not None and item[:2] != b"\x0a\x10" else "traces.proto"
