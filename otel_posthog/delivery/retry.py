"""When to try again: exponential backoff with full jitter, or as long as PostHog asks."""

from __future__ import annotations

import random

_FIRST = 0.5  # seconds
_LONGEST = 30.0
_LEAST = 0.1
_RANDOM = random.SystemRandom()  # an app that has seeded `random` must not see numbers of it go; and forks differ


def delay_before(attempt: int, asked: float | None) -> float:
    """Seconds to wait before retry number ``attempt`` (from 1). What PostHog asks for is the least.

    Full jitter, so that a fleet that failed together does not come back together
    (AWS Architecture Blog, "Exponential Backoff And Jitter").
    """
    jittered = _RANDOM.uniform(_LEAST, min(_LONGEST, _FIRST * 2 ** min(attempt - 1, 10)))
    return jittered if asked is None else asked + min(jittered, 1.0)
