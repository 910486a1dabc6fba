"""Transport: one HTTP request and its answer. Knows nothing about PostHog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """A POST.

    ``timeout`` (seconds) limits the wait for a connection, each wait for progress while the body is sent, and the
    answer as a whole once it is sent; ``total`` limits everything together, ``None`` not at all.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes
    timeout: float
    total: float | None
    max_answer: int  # bytes of the answer's body to read


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; header names are case-insensitive, ``body`` is decompressed and cut at the request's limit."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class TransportError(Exception):
    """No answer. ``reason`` is a word for counters, ``detail`` a sentence without URLs, since these hold credentials.

    ``kind`` says whether another try can help.
    """

    def __init__(self, kind: Literal["retry", "refused"], reason: str, detail: str) -> None:
        super().__init__(detail)
        self.kind: Literal["retry", "refused"] = kind
        self.reason, self.detail = reason, detail


class Transport(Protocol):
    """Called by several threads at once."""

    def send(self, request: Request) -> Response:
        """Send a request and read the answer. Raises :class:`TransportError` if there is none."""
