"""When the next request may begin, and how many may be under way: a host that fails is asked less often."""

from __future__ import annotations

from otel_posthog.delivery.protocols import Outcome
from otel_posthog.delivery.retry import backoff

_LONGEST_WHEN_HURRIED = 1.0  # seconds between two attempts while somebody waits for a flush
_SHORTEST_PAUSE = 10.0  # seconds after a refused key; no flush shortens them
_NEVER = float("-inf")


class Pacing:
    """Moments are of the monotonic clock. Called under the sender's lock."""

    def __init__(self, max_requests: int) -> None:
        self._max_requests = max_requests
        self._failures = 0  # in a row
        self._backoff_until = self._asked_until = self._paused_until = _NEVER
        self._hurried_until = _NEVER

    @property
    def max_requests(self) -> int:
        """Requests that may be under way: one while the host fails."""
        return 1 if self._failures > 1 else self._max_requests

    @property
    def failures(self) -> int:
        """Requests that failed since the last success."""
        return self._failures

    @property
    def next_moment(self) -> float:
        """No request should begin before."""
        return max(self._backoff_until, self._asked_until, self._paused_until)

    def succeeded(self) -> None:
        """The host took a request."""
        self._failures = 0
        self._backoff_until = self._asked_until = self._paused_until = _NEVER

    def failed(self, outcome: Outcome, now: float) -> None:
        """A request failed temporarily: the first failure alone holds nobody back, unless the host asks for it."""
        self._failures += 1
        if outcome.retry_after is not None:
            self._asked_until = max(self._asked_until, now + outcome.retry_after)
        if outcome.kind == "paused":
            self._paused_until = now + max(_SHORTEST_PAUSE, backoff(self._failures))
        elif self._failures > 1:
            self._backoff_until = now + self.delay(self._failures - 1, now)

    def delay(self, failures: int, now: float) -> float:
        """Seconds to wait after so many failures."""
        seconds = backoff(failures)
        return min(seconds, _LONGEST_WHEN_HURRIED) if now < self._hurried_until else seconds

    def hurry(self, now: float, deadline: float) -> None:
        """Try at once and often until the deadline. ``Retry-After`` is kept if it ends before that."""
        self._hurried_until = max(self._hurried_until, deadline)
        self._backoff_until = _NEVER
        if self._asked_until >= deadline:
            self._asked_until = _NEVER

    def end_pause(self, deadline: float) -> None:
        """Try a refused key once more if the pause would outlast the deadline, the last one."""
        if self._paused_until >= deadline:
            self._paused_until = _NEVER
