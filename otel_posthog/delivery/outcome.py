"""What PostHog's answer means: classified once, here. Nothing above reads status numbers.

Source: PostHog capture API (posthog.md section 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Literal

import orjson
import requests

# Proxies and CDNs have 5xx of their own (520 to 530 are Cloudflare's). What a host does not implement, it will not the
# next time either.
_RETRYABLE = frozenset((408, 425, 429, *range(500, 600))) - {501, 505}
_NOT_SERVED = frozenset((404, 405))
WRONG_KEY = (
    "PostHog answered 401: it does not know this project API key. Copy it again from the project's settings "
    "(it starts with phc_) and check that host is the region of the project. Nothing more is sent until the restart"
)
_MOST_RETRY_AFTER = 300.0  # seconds; a longer wait asked for is a mistake or a day-long block


@dataclass(frozen=True, slots=True)
class Outcome:
    """``reason`` is a short word for counters, ``detail`` a sentence for people; neither holds content.

    ``answered`` (version 1): PostHog has answered for each event, in ``results`` by uuid.
    """

    kind: Literal["delivered", "answered", "retry", "too_large", "invalid", "not_served", "unauthorized", "refused"]
    reason: str
    detail: str = ""
    retry_after: float | None = None
    results: Mapping[str, Outcome] = field(default_factory=dict)


def outcome_of(response: requests.Response, body: bytes, version: int = 0) -> Outcome:
    """What an answer means for the batch that was sent; ``body`` is what was read of it."""
    status = response.status_code
    delay = retry_after(response.headers.get("Retry-After"))
    if 200 <= status < 300:
        return _accepted(body) if version == 0 else _answered(body, delay)
    if status in _RETRYABLE and not (status == 429 and version == 1):
        return Outcome("retry", f"http_{status}", f"PostHog answered {status}", delay)
    if status == 413:
        return Outcome("too_large", "too_large", "PostHog answered 413: the request is too large")
    if status == 400:
        return Outcome("invalid", "invalid", "PostHog answered 400: an event in the request is invalid")
    if status == 401:
        return Outcome("unauthorized", "unauthorized", WRONG_KEY)
    if status in _NOT_SERVED:
        return Outcome("not_served", f"http_{status}", f"PostHog answered {status}: the host serves no such endpoint")
    if 300 <= status < 400:
        return Outcome("refused", "redirect", f"the host answered {status}, a redirect: set host to where it points")
    return Outcome("refused", f"http_{status}", f"PostHog answered {status}")


def _accepted(body: bytes) -> Outcome:
    """200 may carry ``quota_limited``: then PostHog has thrown the events away."""
    try:
        answer = orjson.loads(body)
    except ValueError:  # a proxy's own page, or an answer cut short: the events are in
        return Outcome("delivered", "delivered")
    if isinstance(answer, dict) and answer.get("quota_limited"):
        return Outcome("refused", "quota_limited", "PostHog has dropped the events: the project is over its quota")
    return Outcome("delivered", "delivered")


_RESULTS = {
    "ok": Outcome("delivered", "delivered"),
    "warning": Outcome("delivered", "delivered"),
    "retry": Outcome("retry", "retry", "PostHog asked for them again"),
}


def _answered(body: bytes, delay: float | None) -> Outcome:
    """Version 1: ``{"results": {uuid: {"result", "details"?}}}``. A result that is not known is final."""
    try:
        results = orjson.loads(body)["results"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        # A proxy's own page, or an answer cut short: PostHog has not said that it has them.
        return Outcome("retry", "bad_answer", "PostHog's answer could not be read", delay)
    found = {}
    for uuid, result in results:
        said = result.get("result") if isinstance(result, dict) else None
        outcome = _RESULTS.get(said) if isinstance(said, str) else None
        if outcome is None:
            why = result.get("details") if isinstance(result, dict) else None
            reason = why if isinstance(why, str) and why.isidentifier() and len(why) <= 60 else "dropped_by_posthog"
            outcome = Outcome("refused", reason, f"PostHog dropped them: {reason.replace('_', ' ')}")
        found[str(uuid).lower()] = outcome
    return Outcome("answered", "answered", retry_after=delay, results=found)


def outcome_of_error(error: Exception) -> Outcome:
    """What a request without an answer means. The exception's text is left out: it can hold the URL's credentials."""
    if isinstance(error, requests.Timeout):
        return Outcome("retry", "timeout", "PostHog did not answer in time")
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        return Outcome("refused", "invalid_url", "the host is not a URL that can be requested")
    if isinstance(error, requests.exceptions.SSLError):
        return Outcome("retry", "tls", "the TLS connection to PostHog failed")
    if isinstance(error, requests.RequestException):
        return Outcome("retry", "connection", f"no connection to PostHog ({type(error).__name__})")
    # urllib3 and the codecs raise errors of their own for hosts that no name server knows how to spell.
    return Outcome("refused", "request_failed", f"the request could not be made ({type(error).__name__})")


def retry_after(header: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait by ``Retry-After`` (RFC 9110 10.2.3): seconds or an HTTP date, capped; ``None`` if unusable."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            moment = parsedate_to_datetime(header)
        except (TypeError, ValueError, OverflowError):
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        seconds = (moment - (now or datetime.now(timezone.utc))).total_seconds()
    if seconds != seconds:  # NaN
        return None
    return min(max(0.0, seconds), _MOST_RETRY_AFTER)
