"""Sampling of whole traces: the same decision for every span of a trace, in every service."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

_MOST_TRACES = 10_000  # decisions that are remembered; the oldest is forgotten first
_SPACE = 2**64


class Sampler:
    """Decides by the trace id; ``rate`` is the share of traces that is kept, 0 to 1.

    A trace with an error by the time of the decision is kept, unless ``sample_errors``. Decisions are remembered, so a
    trace is never partially exported.
    """

    def __init__(self, rate: float, sample_errors: bool) -> None:
        self._rate, self._sample_errors = rate, sample_errors
        self._bound = round(rate * _SPACE)
        self._decisions: OrderedDict[str, float | None] = OrderedDict()

    @property
    def keeps_all(self) -> bool:
        """Whether every trace is kept."""
        return self._rate >= 1

    def waits_for_errors(self, trace_id: str) -> bool:
        """Whether only an error can still make this trace be kept, so that it is worth waiting for its end."""
        return not self.keeps_all and not self._sample_errors and not self._is_in_sample(trace_id)

    def rate_of(self, trace_id: str, failed: bool) -> float | None:
        """The sampling rate of the trace, ``None`` if it is not exported."""
        if trace_id not in self._decisions:
            self._decisions[trace_id] = self._decide(trace_id, failed)
            if len(self._decisions) > _MOST_TRACES:
                self._decisions.popitem(last=False)
        return self._decisions[trace_id]

    def _decide(self, trace_id: str, failed: bool) -> float | None:
        if failed and not self._sample_errors:
            return 1.0
        return self._rate if self._is_in_sample(trace_id) else None

    def _is_in_sample(self, trace_id: str) -> bool:
        # Hashed, because the SDK's TraceIdRatioBased sampler decides by the same bits.
        digest = hashlib.blake2b(trace_id.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self._bound
