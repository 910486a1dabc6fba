"""When to try again: exponential backoff with full jitter, or what ``Retry-After`` asks for."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime

_FIRST = 0.5  # seconds
_LONGEST = 30.0
_SHORTEST = 0.1
_MAX_RETRY_AFTER = 300.0  # seconds; a server that asks for longer is mistaken or blocks for a day
_RANDOM = random.SystemRandom()  # leaves the app's seeded `random` alone, and differs between forked processes


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row (from 1): full jitter, at most 30 s.

    Source: AWS Architecture Blog, "Exponential Backoff And Jitter".
    """
    return _RANDOM.uniform(_SHORTEST, min(_LONGEST, _FIRST * 2 ** min(failures - 1, 10)))


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait by ``Retry-After`` (RFC 9110, 10.2.3), at most 300; ``None`` if absent or unreadable.

    A date is read relative to the answer's own ``Date``, since this machine's clock (``now``, Unix time) may be wrong.
    Fractions of seconds are accepted, which ``urllib3.util.Retry.parse_retry_after`` refuses.
    """
    value = headers.get("Retry-After", "")
    try:
        seconds = float(value)
    except ValueError:
        moment = _parse_date(value)
        if moment is None:
            return None
        server_now = _parse_date(headers.get("Date", ""))
        seconds = moment - (now if server_now is None else server_now)
    if seconds != seconds:  # NaN
        return None
    return min(max(0.0, seconds), _MAX_RETRY_AFTER)


def _parse_date(value: str) -> float | None:
    """Unix time of an HTTP date."""
    try:
        moment = parsedate_to_datetime(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
