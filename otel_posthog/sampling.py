"""Sampling of whole traces: the same answer for every span of a trace, in every service."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

_MOST_TRACES = 10_000  # answers that are remembered; the oldest is forgotten first
_SPACE = 2**64


class Sampler:
    """Decides by the trace id. ``rate`` is the share of traces that is kept, from 0 to 1.

    Unless ``sample_errors``, a trace in which something has failed by the time of the decision is kept. A decision
    stands: no trace is sent by halves.
    """

    def __init__(self, rate: float, sample_errors: bool) -> None:
        self._rate, self._sample_errors = rate, sample_errors
        self._bound = round(rate * _SPACE)
        self._decided: OrderedDict[str, float | None] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def keeps_all(self) -> bool:
        """Whether there is nothing to decide."""
        return self._rate >= 1

    def rate_of(self, trace_id: str, failed: bool) -> float | None:
        """The share of such traces that is sent, ``None`` if this one is not."""
        with self._lock:
            if trace_id not in self._decided:
                self._decided[trace_id] = self._decide(trace_id, failed)
                if len(self._decided) > _MOST_TRACES:
                    self._decided.popitem(last=False)
            return self._decided[trace_id]

    def _decide(self, trace_id: str, failed: bool) -> float | None:
        if failed and not self._sample_errors:
            return 1.0
        # Hashed, because the SDK's TraceIdRatioBased sampler has looked at the same bits before.
        digest = hashlib.blake2b(trace_id.encode(), digest_size=8).digest()
        return self._rate if int.from_bytes(digest, "big") < self._bound else None

    def after_fork(self) -> None:
        """In a child: no lock that was held when it was forked."""
        self._lock = threading.Lock()
