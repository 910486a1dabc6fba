"""RejectedEvents: events that PostHog refused, kept in files for somebody to look at."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import orjson

from otel_posthog.delivery import private_files
from otel_posthog.delivery.clock import rfc3339
from otel_posthog.delivery.encoding import EncodedEvent
from otel_posthog.settings import Settings


class RejectedEvents:
    """Appends to ``rejected-YYYY-MM-DD.jsonl``, a line for each event: ``{"at", "reason", "event"}``.

    The files hold content; only their owner may read them. At ``max_spool_bytes`` in the directory no more is written.
    """

    def __init__(self, settings: Settings) -> None:
        self._directory, self._max_bytes = Path(settings.rejected_dir or ""), settings.max_spool_bytes
        self._lock = threading.RLock()  # a signal handler may interrupt its holder

    def add(self, events: Sequence[EncodedEvent], reason: str) -> None:
        """Keep events; those that there is no room for are left out. Raises ``OSError``."""
        at = rfc3339(time.time())
        lines = [
            b'{"at":%b,"reason":%b,"event":%b}\n' % (orjson.dumps(at), orjson.dumps(reason), event.body)
            for event in events
        ]
        with self._lock:
            private_files.make_directory(self._directory)
            room = self._max_bytes - sum(path.stat().st_size for path in self._directory.glob("rejected-*.jsonl"))
            with private_files.open_existing(self._directory / f"rejected-{at[:10]}.jsonl", "a") as file:
                for line in lines:
                    room -= len(line)
                    if room < 0:
                        break
                    file.write(line)  # one write for each line: several processes may append
