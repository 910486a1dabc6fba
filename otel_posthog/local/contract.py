"""What PostHog's capture endpoints accept and answer, as pure functions: bytes in, verdict out.

`endpoint_of` finds the endpoint of a path, `judge` reads a request for it. Nothing is stored here.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from otel_posthog.local import _v0, _v1
from otel_posthog.local._rules import (
    AI_EVENT_LIMIT,
    BODY_LIMIT,
    DISTINCT_ID_LIMIT,
    EVENT_LIMIT,
    REFUSED_DISTINCT_IDS,
    Event,
    RefusalError,
)

__all__ = [
    "AI_EVENT_LIMIT",
    "BODY_LIMIT",
    "DISTINCT_ID_LIMIT",
    "ENDPOINTS",
    "EVENT_LIMIT",
    "REFUSED_DISTINCT_IDS",
    "Endpoint",
    "Event",
    "RefusalError",
    "Verdict",
    "decode",
    "endpoint_of",
    "judge",
]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path PostHog serves (without trailing slash). ``event_limit`` in bytes."""

    path: str
    version: Literal[0, 1]
    ai_lane: bool
    event_limit: int


# Longest first: `/i/v0/ai/batch` must not be taken for `/batch` below a prefix.
ENDPOINTS = (
    Endpoint("/i/v1/analytics/events", 1, False, EVENT_LIMIT),
    Endpoint("/i/v1/ai/events", 1, True, AI_EVENT_LIMIT),
    Endpoint("/i/v0/ai/batch", 0, True, AI_EVENT_LIMIT),
    Endpoint("/i/v0/e", 0, False, EVENT_LIMIT),
    Endpoint("/capture", 0, False, EVENT_LIMIT),
    Endpoint("/batch", 0, False, EVENT_LIMIT),
    Endpoint("/e", 0, False, EVENT_LIMIT),
)


def endpoint_of(path: str) -> Endpoint | None:
    """The endpoint a path means: slash at the end or not, below any reverse-proxy prefix."""
    bare = path.rstrip("/")
    for endpoint in ENDPOINTS:
        if bare.endswith(endpoint.path):
            # `/i/v0/ai/otel/e` and its like are paths of PostHog's own, not a proxy's prefix.
            return None if "/i/v" in bare.removesuffix(endpoint.path) else endpoint
    return None


@dataclass(slots=True)
class Verdict:
    """What a request comes to.

    ``events`` are to be stored; ``results`` (v1) holds one entry a uuid; ``sent`` counts the
    events of the request, stored or not; ``quota_limited`` (v0) names resources over their limit;
    ``project`` is the request's project key, once it was accepted.
    """

    endpoint: Endpoint
    events: list[Event] = field(default_factory=list)
    results: dict[str, _v1.Result] = field(default_factory=dict)
    refusal: RefusalError | None = None
    quota_limited: list[str] = field(default_factory=list)
    sent: int = 0
    decompressed_bytes: int = 0
    project: str = ""

    @property
    def status(self) -> int:
        return 200 if self.refusal is None else self.refusal.status

    def answer(self) -> tuple[bytes, str]:
        """Body and media type of the answer: v0 refuses in plain text, v1 in JSON."""
        if self.endpoint.version == 1:
            return orjson.dumps(self._answer_v1()), "application/json"
        if self.refusal is not None:
            return self.refusal.detail.encode(), "text/plain"
        answer: dict[str, Any] = {"status": "Ok"}
        if self.quota_limited:
            answer["quota_limited"] = self.quota_limited
        return orjson.dumps(answer), "application/json"

    def headers(self) -> dict[str, str]:
        """v1 asks for a second's pause when it wants events again."""
        retry = any(result["result"] == "retry" for result in self.results.values())
        return {"Retry-After": "1"} if retry else {}

    def _answer_v1(self) -> dict[str, Any]:
        if self.refusal is None:
            return {"results": self.results}
        return {
            "error": self.refusal.tag,
            "error_description": self.refusal.detail,
            "error_uri": "https://posthog.com/docs/api",
        }


def judge(
    endpoint: Endpoint,
    headers: Mapping[str, str],
    body: bytes,
    api_keys: frozenset[str] | None = None,
) -> Verdict:
    """Read a request as PostHog would. Header names in lower case; never raises on bad input."""
    verdict = Verdict(endpoint)
    try:
        _judge(endpoint, headers, body, api_keys, verdict)
    except RefusalError as refusal:
        verdict.refusal = refusal
        verdict.events.clear()
        verdict.results.clear()
    return verdict


def _judge(
    endpoint: Endpoint,
    headers: Mapping[str, str],
    body: bytes,
    api_keys: frozenset[str] | None,
    verdict: Verdict,
) -> None:
    if endpoint.version == 1:
        verdict.project = _v1.authenticate(headers, api_keys)
    raw = decode(body, headers.get("content-encoding", ""), endpoint.version)
    verdict.decompressed_bytes = len(raw)
    document = _parse(raw)
    if endpoint.version == 1:
        events = _v1.events_of(document)
        verdict.sent = len(events)
        verdict.events, verdict.results = _v1.read(
            events, headers, ai_lane=endpoint.ai_lane, event_limit=endpoint.event_limit
        )
    else:
        events = _v0.events_of(document)
        verdict.sent = len(events)
        verdict.project = _v0.authenticate(document, events, api_keys)
        verdict.events = _v0.read(events, ai_lane=endpoint.ai_lane, event_limit=endpoint.event_limit)


def _parse(raw: bytes) -> object:
    """JSON, strictly: orjson refuses NaN, lone surrogates and bad UTF-8, as serde does."""
    try:
        document: object = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise RefusalError(400, "request_parsing_error", f"failed to parse request: {error}") from None
    return document


def decode(body: bytes, encoding: str, version: Literal[0, 1]) -> bytes:
    """The body decompressed. v0 goes by gzip's magic bytes too, v1 by the header alone."""
    encoding = encoding.strip().lower()
    if len(body) > BODY_LIMIT:
        raise _too_large()
    if encoding == "gzip" or (version == 0 and body[:2] == b"\x1f\x8b"):
        return _inflate(body, 16 + zlib.MAX_WBITS)
    if encoding in ("", "identity"):
        return body
    if version == 1 and encoding == "deflate":
        # RFC 9110 means the zlib format (first byte 0x78), but raw deflate is in the wild.
        return _inflate(body, zlib.MAX_WBITS if body[:1] == b"\x78" else -zlib.MAX_WBITS)
    if version == 1 and encoding in _OPTIONAL_DECODERS:
        return _decode_with_library(body, encoding)
    raise RefusalError(415, "unsupported_encoding", f"unsupported content encoding: {encoding}")


def _inflate(body: bytes, window_bits: int) -> bytes:
    decoder = zlib.decompressobj(window_bits)
    try:
        raw = decoder.decompress(body, BODY_LIMIT + 1)
    except zlib.error as error:
        raise _undecodable(error) from None
    if len(raw) > BODY_LIMIT:
        raise _too_large()
    if not decoder.eof:
        raise _undecodable("unexpected end of data")
    return raw


# Encoding -> libraries that decode it, any of which may be installed.
_OPTIONAL_DECODERS = {"br": ("brotli", "brotlicffi"), "zstd": ("compression.zstd", "zstandard")}


def _decode_with_library(body: bytes, encoding: str) -> bytes:
    for name in _OPTIONAL_DECODERS[encoding]:
        try:
            library = importlib.import_module(name)
        except ImportError:
            continue
        try:
            if name == "zstandard":  # its one-shot call wants the size in the frame's header
                raw: bytes = library.ZstdDecompressor().decompressobj().decompress(body)
            else:
                raw = library.decompress(body)
        except Exception as error:  # each library has an error class of its own
            raise _undecodable(error) from None
        if len(raw) > BODY_LIMIT:
            raise _too_large()
        return raw
    raise RefusalError(415, "unsupported_encoding", f"no library for content encoding: {encoding}")


def _too_large() -> RefusalError:
    return RefusalError(413, "payload_too_large", f"payload too large: over {BODY_LIMIT} bytes decompressed")


def _undecodable(error: object) -> RefusalError:
    return RefusalError(400, "request_decoding_error", f"failed to decode request: {error}")
