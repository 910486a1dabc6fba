"""RejectedEvents: events that PostHog has refused, kept in files for somebody to look at."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import orjson

from otel_posthog.delivery.batches import Encoded
from otel_posthog.delivery.endpoints import utc_now
from otel_posthog.settings import Settings


class RejectedEvents:
    """Appends to ``rejected-YYYY-MM-DD.jsonl``, a line for each event: ``{"at", "reason", "event"}``.

    The files hold content, so that only their owner may read them. At ``max_spool_bytes`` in the
    directory no more is written.

    Raises:
        OSError: a file cannot be written.
    """

    def __init__(self, settings: Settings) -> None:
        self._directory, self._max_bytes = Path(settings.rejected_dir or ""), settings.max_spool_bytes
        self._lock = threading.RLock()  # a signal handler may come in between

    def add(self, events: Sequence[Encoded], reason: str) -> None:
        """Keep events; what there is no room for is left out."""
        at = utc_now()
        lines = [
            b'{"at":%b,"reason":%b,"event":%b}\n' % (orjson.dumps(at), orjson.dumps(reason), event.body)
            for event in events
        ]
        with self._lock:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            room = self._max_bytes - sum(path.stat().st_size for path in self._directory.glob("rejected-*.jsonl"))
            file = os.open(self._directory / f"rejected-{at[:10]}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                for line in lines:
                    room -= len(line)
                    if room < 0:
                        break
                    os.write(file, line)  # one write for each line: several processes may append
            finally:
                os.close(file)

    def after_fork(self) -> None:
        """In a child: no lock that was held when it was forked."""
        self._lock = threading.RLock()
