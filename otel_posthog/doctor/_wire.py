"""What an observed app sends to PostHog, whichever library sends it: read where ``http.client`` writes it.

Kept are counts and ids, never content.
"""

from __future__ import annotations

import http.client
import re
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

_CAPTURE_PATHS = ("/batch", "/capture", "/i/v0/e", "/i/v0/ai/batch", "/i/v1/ai/events", "/i/v1/analytics/events")
_OTLP_PATH = "/i/v0/ai/otel"
_LONGEST_BODY = 32 * 1024 * 1024  # bytes
_SDK_INFO = re.compile(rb"posthog-sdk-info: *([\w.-]+)", re.IGNORECASE)
_USER_AGENT = re.compile(rb"user-agent: *([\w.-]+)", re.IGNORECASE)
_OURS = b"otel-posthog/"  # in the header User-Agent
_CONTENT = ("$ai_input", "$ai_output_choices", "$ai_input_state", "$ai_output_state")


@dataclass(slots=True)
class Wire:
    """Counts of what was answered with 200. ``spans`` are the ids of spans whose event was sent."""

    events: Counter[str] = field(default_factory=Counter)  # by name, of otel-posthog
    others: Counter[str] = field(default_factory=Counter)  # AI events by the other library that sent them
    calls: dict[str, bool] = field(default_factory=dict)  # by span id, whether the call has content
    users: Counter[str] = field(default_factory=Counter)  # events by distinct_id, without anonymous ones
    repeated: int = 0
    otlp_requests: int = 0
    requests: Counter[str] = field(default_factory=Counter)  # by host and status
    spans: set[str] = field(default_factory=set)
    _uuids: set[str] = field(default_factory=set)

    def reset(self) -> None:
        """Start from zero."""
        for counter in (self.events, self.others, self.requests, self.calls, self.users, self.spans, self._uuids):
            counter.clear()
        self.repeated = self.otlp_requests = 0

    def record(self, host: str, path: str, status: int, sent: bytes) -> None:
        """A request that was answered; ``sent`` is all of it, headers included."""
        bare = path.rstrip("/")
        if not bare.endswith((*_CAPTURE_PATHS, _OTLP_PATH)):
            return
        self.requests[f"{host} {status}"] += 1
        if status != 200:
            return
        head, _, body = sent.partition(b"\r\n\r\n")
        if bare.endswith(_OTLP_PATH):
            self.otlp_requests += 1
            return
        for event in _events_of(_decoded(head.lower(), body)):
            self._record_event(event, head)

    def _record_event(self, event: Mapping[str, Any], head: bytes) -> None:
        name, properties = str(event.get("event")), event.get("properties")
        if not name.startswith("$ai_") or not isinstance(properties, Mapping):
            return
        if _OURS not in head:
            self.others[_library(head, properties)] += 1
            return
        uuid = str(event.get("uuid"))
        self.repeated += uuid in self._uuids
        if uuid in self._uuids:
            return
        self._uuids.add(uuid)
        self.events[name] += 1
        span_id = str(properties.get("$ai_span_id"))
        if name != "$ai_trace":  # which repeats the id of a root span
            self.spans.add(span_id)
        if name in ("$ai_generation", "$ai_embedding"):
            self.calls[span_id] = any(key in properties for key in _CONTENT)
        if properties.get("$process_person_profile") is not False:
            self.users[str(event.get("distinct_id"))] += 1


def _library(head: bytes, properties: Mapping[str, Any]) -> str:
    """The library that sent an event: PostHog's SDKs name themselves in a property or a header."""
    header = _SDK_INFO.search(head) or _USER_AGENT.search(head)
    return str(properties.get("$lib") or (header[1].decode() if header else "another library"))


def _decoded(head: bytes, body: bytes) -> bytes:
    try:
        if b"content-encoding: gzip" in head:
            return zlib.decompress(body, 16 + zlib.MAX_WBITS)
        if b"content-encoding: zstd" in head:
            import zstandard

            return bytes(zstandard.ZstdDecompressor().decompressobj().decompress(body))
    except Exception:  # a body that cannot be read is not counted
        return b""
    return body


def _events_of(body: bytes) -> list[Mapping[str, Any]]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    batch = document.get("batch", [document]) if isinstance(document, dict) else document
    return [event for event in batch if isinstance(event, dict)] if isinstance(batch, list) else []


def watch(wire: Wire) -> None:
    """Record every POST of this process from now on."""
    connection = http.client.HTTPConnection
    putrequest, send, getresponse = connection.putrequest, connection.send, connection.getresponse
    sent: dict[int, tuple[str, bytearray]] = {}

    def watched_putrequest(self: http.client.HTTPConnection, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        if method == "POST":
            sent[id(self)] = urlsplit(url).path, bytearray()
        putrequest(self, method, url, *args, **kwargs)

    def watched_send(self: http.client.HTTPConnection, data: Any) -> None:
        request = sent.get(id(self))
        if request and isinstance(data, (bytes, bytearray, memoryview)) and len(request[1]) < _LONGEST_BODY:
            request[1].extend(data)
        send(self, data)

    def watched_getresponse(self: http.client.HTTPConnection, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
        answer = getresponse(self, *args, **kwargs)
        request = sent.pop(id(self), None)
        if request:
            wire.record(self.host, request[0], answer.status, bytes(request[1]))
        return answer

    setattr(connection, "putrequest", watched_putrequest)  # noqa: B010  # mypy forbids to assign to a method
    setattr(connection, "send", watched_send)  # noqa: B010
    setattr(connection, "getresponse", watched_getresponse)  # noqa: B010
