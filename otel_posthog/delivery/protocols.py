"""PostHog's capture protocols: path, limits, headers and body of each, and what an answer means.

Answers are classified here, once; nothing above reads status codes. Limits and headers read from PostHog's capture
service and documentation, November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from otel_posthog._version import __version__
from otel_posthog.delivery.encoding import EncodedEvent
from otel_posthog.delivery.retry import parse_retry_after
from otel_posthog.delivery.transport import Response

BODY_LIMIT = 20 * 1024 * 1024  # bytes, decompressed: 413 for the request
EVENT_LIMIT = 983_040  # bytes of one event on the analytics endpoints: 413 for the whole request on v0
AI_EVENT_LIMIT = 8 * 1024 * 1024  # bytes of one event on the AI endpoints
ENVELOPE = 1024  # bytes reserved for everything in a body that is not an event

# Proxies and CDNs have 5xx of their own (520 to 530 are Cloudflare's). 501 and 505 are permanent.
_RETRYABLE = frozenset((408, 425, 429, *range(500, 600))) - {501, 505}
_NOT_SERVED = frozenset((404, 405))
# A firewall or an application that fails on one event gives these to every request with that event.
_MAY_BE_ONE_EVENT = frozenset((403, 500))

Kind = Literal["delivered", "results", "retry", "paused", "too_large", "invalid", "not_served", "refused"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """``reason`` is a word for counters, ``detail`` a sentence for people; neither holds content.

    ``retry`` and ``paused`` are temporary: ``paused`` refuses the key, everything waits. ``results`` (version 1) holds
    the outcome of each event by uuid. ``may_be_one_event``: a single event may be the cause of it.
    """

    kind: Kind
    reason: str
    detail: str = ""
    retry_after: float | None = None  # seconds
    results: Mapping[str, Outcome] = field(default_factory=dict)
    may_be_one_event: bool = False


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a request says besides its events; times are RFC 3339 in UTC.

    ``attempt`` counts from 1; ``created_at`` and ``request_id`` stay the same over all attempts.
    """

    api_key: str
    created_at: str
    sent_at: str
    attempt: int
    request_id: str
    historical: bool = False


@dataclass(frozen=True, slots=True)
class CaptureProtocol:
    """Version 0: the key is in the body, and one answer is for the whole request.

    ``accept_empty``: an empty 2xx answer is a delivery, for proxies that drop PostHog's answer.
    """

    path: str
    max_event_bytes: int
    max_events: int | None = None
    max_answer: int = 64 * 1024  # bytes
    accept_empty: bool = False

    def headers(self, envelope: Envelope) -> dict[str, str]:
        """The headers of a request, without its encoding."""
        return {"Content-Type": "application/json", "User-Agent": f"otel-posthog/{__version__}"}

    def body(self, events: Sequence[EncodedEvent], envelope: Envelope) -> bytes:
        """The body of a request, uncompressed."""
        head: dict[str, Any] = {"api_key": envelope.api_key, "sent_at": envelope.sent_at}
        return _batch(head, events, envelope)

    def outcome(self, response: Response, now: float) -> Outcome:
        """What an answer means; ``now`` is Unix time."""
        status = response.status
        if 200 <= status < 300:
            return self._accepted(response, now)
        retry_after = parse_retry_after(response.headers, now)
        may_be_one = status in _MAY_BE_ONE_EVENT
        if self._is_retryable(status):
            return Outcome("retry", f"http_{status}", f"answered {status}", retry_after, may_be_one_event=may_be_one)
        if status in (401, 403):
            reason = "unauthorized" if status == 401 else "http_403"
            return Outcome("paused", reason, _REFUSED_KEY[status], retry_after, may_be_one_event=may_be_one)
        if status == 413:
            return Outcome("too_large", "too_large", "answered 413: the request is too large")
        if status == 400:
            return Outcome("invalid", "invalid", "answered 400: an event in the request is invalid")
        if status in _NOT_SERVED:
            return Outcome("not_served", f"http_{status}", f"answered {status}: this path is not served")
        if 300 <= status < 400:
            return Outcome("refused", "redirect", f"answered {status}, a redirect: set host to its target")
        if status < 200:
            return Outcome("retry", f"http_{status}", f"answered {status} and nothing after it", retry_after)
        return Outcome("refused", f"http_{status}", f"answered {status}")

    def _is_retryable(self, status: int) -> bool:
        return status in _RETRYABLE

    def _accepted(self, response: Response, now: float) -> Outcome:
        """``{"status": "Ok"}`` or ``{"status": 1}``, older ``1``; with ``quota_limited`` PostHog dropped the events."""
        if not response.body.strip() and self.accept_empty:
            return Outcome("delivered", "delivered")
        answer = _json(response.body)
        if answer == 1:
            return Outcome("delivered", "delivered")
        if not isinstance(answer, dict) or answer.get("status") not in ("Ok", "ok", 1):
            return _not_posthog(response)
        if answer.get("quota_limited"):
            return Outcome("refused", "quota_limited", "dropped the events: the project is over its quota")
        return Outcome("delivered", "delivered")


@dataclass(frozen=True, slots=True)
class SingleEventProtocol(CaptureProtocol):
    """Version 0 with one event a request, which holds key and time itself."""

    def body(self, events: Sequence[EncodedEvent], envelope: Envelope) -> bytes:
        (event,) = events
        head = orjson.dumps({"api_key": envelope.api_key, "sent_at": envelope.sent_at})
        return head[:-1] + b"," + event.body[1:]


@dataclass(frozen=True, slots=True)
class ResultsProtocol(CaptureProtocol):
    """Version 1: the key is in a header, and the answer holds a result for each event."""

    max_answer: int = 4 * 1024 * 1024

    def headers(self, envelope: Envelope) -> dict[str, str]:
        sdk = f"otel-posthog/{__version__}"
        return {
            "Content-Type": "application/json",
            "User-Agent": sdk,
            "Authorization": f"Bearer {envelope.api_key}",
            "PostHog-Sdk-Info": sdk,
            "PostHog-Attempt": str(envelope.attempt),
            "PostHog-Request-Id": envelope.request_id,
            "PostHog-Request-Timestamp": envelope.sent_at,
        }

    def body(self, events: Sequence[EncodedEvent], envelope: Envelope) -> bytes:
        return _batch({"created_at": envelope.created_at}, events, envelope)

    def _is_retryable(self, status: int) -> bool:
        return status in _RETRYABLE and status != 429  # in version 1 the limit is per project and final

    def _accepted(self, response: Response, now: float) -> Outcome:
        """``{"results": {uuid: {"result", "details"?}}}``."""
        answer = _json(response.body)
        results = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(results, dict):
            return _not_posthog(response)
        found = {uuid.lower(): _result(result) for uuid, result in results.items()}
        return Outcome("results", "results", retry_after=parse_retry_after(response.headers, now), results=found)


_REFUSED_KEY = {
    401: (
        "answered 401: it does not accept this project API key (copy it again from the project's settings, it "
        "starts with phc_, and check that host is the region of the project)"
    ),
    403: "answered 403: it, or a proxy or firewall on the way, refuses the request",
}
_RESULTS = {
    "ok": Outcome("delivered", "delivered"),
    "warning": Outcome("delivered", "delivered"),
    "retry": Outcome("retry", "retry", "asked for them again"),
}


def _result(result: Any) -> Outcome:
    """The outcome of one event; an unknown result is final."""
    name = result.get("result") if isinstance(result, dict) else None
    known = _RESULTS.get(name) if isinstance(name, str) else None
    if known is not None:
        return known
    details = result.get("details") if isinstance(result, dict) else None
    is_word = isinstance(details, str) and details.isidentifier() and len(details) <= 60
    reason = str(details) if is_word else "dropped_by_posthog"
    return Outcome("refused", reason, f"dropped them: {reason.replace('_', ' ')}")


def _not_posthog(response: Response) -> Outcome:
    what = "an empty body" if not response.body.strip() else "a body that is not PostHog's"
    return Outcome("retry", "bad_answer", f"answered {response.status} with {what}: is there a proxy or login page?")


def _batch(head: dict[str, Any], events: Sequence[EncodedEvent], envelope: Envelope) -> bytes:
    if envelope.historical:
        head["historical_migration"] = True
    return b"".join((orjson.dumps(head)[:-1], b',"batch":[', b",".join(event.body for event in events), b"]}"))


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        return None


_SINGLE_LIMIT = EVENT_LIMIT - ENVELOPE  # key and time are in the event


def protocols(endpoint: str, *, accept_empty: bool = False) -> tuple[CaptureProtocol, ...]:
    """The protocols of the setting ``endpoint``, in the order in which they are tried."""
    ai = CaptureProtocol("/i/v0/ai/batch/", AI_EVENT_LIMIT, accept_empty=accept_empty)
    batch = CaptureProtocol("/batch/", EVENT_LIMIT, accept_empty=accept_empty)
    single = SingleEventProtocol("/i/v0/e/", _SINGLE_LIMIT, max_events=1, accept_empty=accept_empty)
    v1_ai = ResultsProtocol("/i/v1/ai/events", AI_EVENT_LIMIT)
    v1 = ResultsProtocol("/i/v1/analytics/events", EVENT_LIMIT)
    return {
        "auto": (ai, batch),
        "ai": (ai,),
        "batch": (batch,),
        "v1": (v1_ai, v1),
        "event": (single,),
    }[endpoint]
